"""From a feature table to a model."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pallor.errors import FeatureTableError, UsageError
from pallor.models.bundle import build_model, library_versions
from pallor.models.model import Model
from pallor.models.preprocessing import (
    DEMOGRAPHICS,
    columns_of,
    matrix,
    with_demographics,
)
from pallor.models.regressors import REGRESSORS
from pallor.models.training_summary import internal_metrics, summarize_cohort
from pallor.models.uncertainty import calibrate, check_coverage

if TYPE_CHECKING:
    import pandas as pd

MIN_PARTICIPANTS = 10
"""Below this many independent participants nothing is fitted; good models need hundreds."""

_ROWS_AT_A_TIME = 4096
_CONTRADICTIONS = ("hemoglobin_g_dl", "sex", "age_years")


@dataclass(frozen=True)
class TrainingRows:
    """The rows of a feature table that a model is fitted to.

    Attributes
    ----------
    table
        One row a clip, in the order of participant and clip, demographics added where asked.
    components
        What must stay together, ``(rows,)``.
    modalities
        In the order of the table, ``demographics`` first where asked.
    input_kind
        The one kind of clip.
    left_out
        Reason to number of rows.
    notes
        What to tell the user, one sentence each.
    """

    table: pd.DataFrame
    components: NDArray[np.intp]
    modalities: tuple[str, ...]
    input_kind: str
    left_out: Mapping[str, int]
    notes: tuple[str, ...]


def select_rows(
    table: pd.DataFrame, *, modalities: Sequence[str] | None = None, demographics: bool = False
) -> TrainingRows:
    """Choose the rows and modalities to train on, and say what was left out and why.

    Parameters
    ----------
    table
        Feature table (`pallor.cohort.feature_table.load_features`).
    modalities
        Names; all of the table where None. ``demographics`` among them is the same as asking
        for it.
    demographics
        Add sex and age.

    Returns
    -------
    TrainingRows
        Without rows that have no hemoglobin, none of whose features is defined, or whose clip
        also stands under another participant with different hemoglobin, sex or age: which of
        them is right cannot be told, so none is used.

    Raises
    ------
    FeatureTableError
        A column or modality is absent, kinds of input are mixed, or too few participants or no
        different outcomes are left.
    """
    from pallor.cohort.duplicates import duplicates_of_table
    from pallor.cohort.feature_table import modalities_of
    from pallor.cohort.folds import components

    for column in ("participant_id", "clip", "hemoglobin_g_dl", "input_kind"):
        if column not in table.columns:
            raise FeatureTableError(f"training needs the column {column}, which the table lacks")
    wanted = list(modalities) if modalities is not None else list(modalities_of(table))
    ask_demographics = demographics or DEMOGRAPHICS in wanted
    wanted = [name for name in wanted if name != DEMOGRAPHICS]
    for name in wanted:
        if not columns_of(list(table.columns), name):
            raise FeatureTableError(
                f"the table has no features of modality {name}: extract it, or choose from "
                f"{', '.join(modalities_of(table)) or 'none'}"
            )
    if not wanted and not ask_demographics:
        raise FeatureTableError("the table has no features: run pallor extract on the cohort")

    keys = table[["participant_id", "clip"]].reset_index(drop=True)
    order = keys.sort_values(["participant_id", "clip"], kind="stable").index.to_numpy()
    # Without features, which may fill much of the memory.
    rows = table[[name for name in table.columns if "." not in str(name)]]
    rows = rows.iloc[order].reset_index(drop=True)
    keep = np.ones(len(rows), dtype=bool)
    left_out: dict[str, int] = {}

    def drop(reason: str, where: NDArray[Any]) -> None:
        count = int(np.count_nonzero(where & keep))
        if count:
            left_out[reason] = count
        keep[where] = False

    drop("no hemoglobin", np.isnan(matrix(rows, ["hemoglobin_g_dl"])[:, 0]))
    features = [column for name in wanted for column in columns_of(list(table.columns), name)]
    if features:
        drop("no feature is defined", _undefined(table, features)[order])
    contradictory = np.zeros(len(rows), dtype=bool)
    for group in duplicates_of_table(rows).across_participants:
        if any(column in group.conflicts for column in _CONTRADICTIONS):
            contradictory[list(group.rows)] = True
    drop("copies of one clip under several participants, with different labels", contradictory)

    groups = components(rows)[keep]
    chosen = table.iloc[order[keep]].reset_index(drop=True)
    chosen.attrs = dict(table.attrs)
    kinds = sorted({str(kind) for kind in chosen["input_kind"]})
    if len(kinds) > 1:
        raise FeatureTableError(
            f"the table mixes kinds of input ({', '.join(kinds)}): train one model for each"
        )
    people = len(np.unique(groups))
    told = (table.attrs.get("extraction") or {}).get("notes") or ()
    notes = [f"{count} clips left out: {reason}" for reason, count in left_out.items()]
    if people < MIN_PARTICIPANTS:
        raise FeatureTableError(
            f"{people} independent participants can be trained on, at least {MIN_PARTICIPANTS} "
            f"are needed ({'; '.join(notes) or 'no clip was left out'}): add participants with "
            "hemoglobin values"
        )
    if chosen["hemoglobin_g_dl"].nunique() < 2:
        raise FeatureTableError("all hemoglobin values are equal: there is nothing to learn")
    if ask_demographics:
        chosen = with_demographics(chosen)
    names = ([DEMOGRAPHICS] if ask_demographics else []) + wanted
    return TrainingRows(chosen, groups, tuple(names), kinds[0], left_out, (*told, *notes))


def _undefined(table: pd.DataFrame, features: Sequence[str]) -> NDArray[np.bool_]:
    """Say of which rows no feature is defined, ``(rows,)``."""
    pieces = [
        np.isnan(matrix(table.iloc[start : start + _ROWS_AT_A_TIME], features)).all(axis=1)
        for start in range(0, len(table), _ROWS_AT_A_TIME)
    ]
    return np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.bool_)


def train(
    table: pd.DataFrame,
    *,
    regressor: str = "stacking",
    modalities: Sequence[str] | None = None,
    demographics: bool = False,
    coverage: float = 0.9,
    seed: int = 0,
    quick: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> Model:
    """Fit a model, with intervals, to a feature table.

    Parameters
    ----------
    table
        Feature table, one row a clip, with ``hemoglobin_g_dl``.
    regressor
        A name in `pallor.models.regressors.REGRESSORS`.
    modalities
        Names; all of the table where None.
    demographics
        Add sex and age.
    coverage
        Default coverage of the prediction intervals, between 0 and 1.
    seed
        Of folds, learners and the draw of the intervals' residuals.
    quick
        No tuning and fewer trees, for a first look.
    progress
        Called with ``(done, total, what)``.

    Returns
    -------
    Model
        Its ``metadata["metrics"]`` are of its own grouped cross-validation on one row a
        participant and session: an internal figure, beside those of predicting the mean and
        the mean of each sex on the same folds.

    Raises
    ------
    FeatureTableError
        The table does not fit; see `select_rows`.
    UsageError
        An unknown regressor, or a coverage outside 0..1.
    """
    from pallor.models.fusion import FusedRegressor

    check_coverage(coverage)
    if regressor not in REGRESSORS:
        raise UsageError(f"unknown regressor {regressor}: choose from {', '.join(REGRESSORS)}")
    rows = select_rows(table, modalities=modalities, demographics=demographics)
    del table  # whoever handed it over without keeping it has its memory back
    outcome = matrix(rows.table, ["hemoglobin_g_dl"])[:, 0]
    estimator = FusedRegressor(rows.modalities, REGRESSORS[regressor], seed=seed, quick=quick).fit(
        rows.table, outcome, rows.components, progress
    )
    residuals = outcome - estimator.oof_prediction_
    intervals = calibrate(residuals, rows.components, coverage=coverage, seed=seed)
    too_few = intervals.message()
    notes = [*rows.notes, *([too_few] if too_few else [])]
    metrics = internal_metrics(
        rows.table, outcome, estimator.oof_prediction_, estimator.inner_folds_
    )
    metadata = _metadata(rows, estimator, metrics, notes)
    metadata |= {"regressor": regressor, "seed": seed, "quick": quick, "coverage": coverage}
    return build_model(estimator, metadata, intervals)


def _metadata(
    rows: TrainingRows, estimator: Any, metrics: Mapping[str, Any], notes: Sequence[str]
) -> dict[str, Any]:
    from datetime import UTC, datetime

    from pallor._version import __version__

    extraction = rows.table.attrs.get("extraction") or {}
    weights = zip(estimator.member_names_, estimator.weights_, strict=True)
    simulated = rows.table.get("simulated")
    return {
        "pallor_version": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "modalities": list(rows.modalities),
        "feature_names": [name for names in estimator.columns_.values() for name in names],
        "input_kind": rows.input_kind,
        "precision": _plain(extraction.get("precision")),
        "extraction": _plain(extraction),
        "simulated": bool(simulated.fillna(False).astype(bool).any())
        if simulated is not None
        else False,
        "cohort": _plain(summarize_cohort(rows.table)),
        "left_out": dict(rows.left_out),
        "metrics": _plain(metrics),
        "weights": {name: float(weight) for name, weight in weights},
        "versions": library_versions(),
        "notes": list(notes),
    }


def _plain(value: Any) -> Any:
    """Return what JSON can hold: gaps become null, anything foreign its text."""
    text = json.dumps(value, default=str)
    return json.loads(text, parse_constant=lambda _: None)
