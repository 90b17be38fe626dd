"""What a model says about its training: the cohort, and its own cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pallor.models.meta import Fold

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]


def summarize_cohort(table: pd.DataFrame) -> dict[str, Any]:
    """Describe the participants and clips that a model was trained on.

    Parameters
    ----------
    table
        The training rows.

    Returns
    -------
    dict
        ``participants``, ``clips``, ``sex`` (counts of participants), ``age_years`` (``min``,
        ``max``; None where unknown), ``hemoglobin_g_dl`` (``mean``, ``sd``, ``min``, ``max``
        over participants' means), ``reference_methods``, ``sites``, ``cameras`` (counts of
        clips).
    """
    people = table.groupby("participant_id", sort=True)
    hemoglobin = people["hemoglobin_g_dl"].mean()
    summary: dict[str, Any] = {
        "participants": int(people.ngroups),
        "clips": len(table),
        "sex": {},
        "age_years": None,
        "hemoglobin_g_dl": {
            "mean": float(hemoglobin.mean()),
            "sd": float(hemoglobin.std(ddof=1)),
            "min": float(table["hemoglobin_g_dl"].min()),
            "max": float(table["hemoglobin_g_dl"].max()),
        },
    }
    if "sex" in table:
        summary["sex"] = _counts(people["sex"].first())
    if "age_years" in table and table["age_years"].notna().any():
        ages = table["age_years"].astype("float64")
        summary["age_years"] = {"min": float(ages.min()), "max": float(ages.max())}
    for column in ("reference_method", "site", "camera"):
        summary[f"{column}s"] = _counts(table[column]) if column in table else {}
    return summary


def _counts(values: pd.Series[Any]) -> dict[str, int]:
    known = values.dropna().astype(str)
    return {str(name): int(count) for name, count in known.value_counts().sort_index().items()}


def internal_metrics(
    table: pd.DataFrame, outcome: Floats, prediction: Floats, folds: Sequence[Fold]
) -> dict[str, Any]:
    """Score out-of-fold predictions, beside two baselines on the same folds.

    Parameters
    ----------
    table
        The training rows; clips of one participant and session are averaged before scoring.
    outcome, prediction
        Truth and out-of-fold prediction in g/dL, ``(rows,)``.
    folds
        The folds that the predictions come from.

    Returns
    -------
    dict
        ``validation`` (what these figures are), ``units``, ``mae``, ``rmse``, ``r``, ``r2``, and
        ``baselines`` with ``mean`` and, where the table has it, ``sex``.
    """
    unit = [table["participant_id"].astype(str)]
    if "session" in table:
        unit.append(table["session"].astype(str).fillna(""))
    units = table.groupby(unit, sort=False).ngroup().to_numpy()
    baselines = {"mean": _fold_means(np.zeros(len(table), dtype=object), outcome, folds)}
    if "sex" in table and table["sex"].notna().any():
        sexes = table["sex"].astype(object).where(table["sex"].notna(), None).to_numpy(object)
        baselines["sex"] = _fold_means(sexes, outcome, folds)
    return {
        "validation": f"internal cross-validation, {len(folds)} grouped folds",
        "units": len(np.unique(units)),
        **scores(_means(units, outcome), _means(units, prediction)),
        "baselines": {
            name: scores(_means(units, outcome), _means(units, values))
            for name, values in baselines.items()
        },
    }


def _fold_means(labels: NDArray[Any], outcome: Floats, folds: Sequence[Fold]) -> Floats:
    """Predict the training mean of a row's label, or of all rows where its label is new."""
    prediction = np.empty_like(outcome)
    for train, test in folds:
        overall = float(outcome[train].mean())
        means = {
            label: float(outcome[train][labels[train] == label].mean())
            for label in set(labels[train].tolist()) - {None}
        }
        prediction[test] = [means.get(label, overall) for label in labels[test].tolist()]
    return prediction


def _means(units: NDArray[Any], values: Floats) -> Floats:
    return np.asarray(np.bincount(units, weights=values) / np.bincount(units), dtype=np.float64)


def scores(truth: Floats, prediction: Floats) -> dict[str, float]:
    """Return ``mae``, ``rmse`` (g/dL), Pearson ``r`` and ``r2``; NaN where undefined.

    ``r2`` is one minus the squared error over that of the mean of ``truth``.
    """
    error = truth - prediction
    spread = float(np.square(truth - truth.mean()).sum())
    constant = bool(np.ptp(truth) == 0.0 or np.ptp(prediction) == 0.0)
    return {
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt(np.square(error).mean())),
        "r": float("nan") if constant else float(np.corrcoef(truth, prediction)[0, 1]),
        "r2": 1.0 - float(np.square(error).sum()) / spread if spread > 0.0 else float("nan"),
    }
