"""How well sex can be told from the features of each modality.

A network that sees a face sees sex, and sex goes with hemoglobin: a model on features that
give sex away may be estimating sex. The probe is linear and fixed beforehand: training
medians, variance filter, standardization and principal components, then a logistic
regression. Its splits are those of the evaluation, so no participant and no content lies on
both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pallor.evaluation.bootstrap import auc_with_interval, resample_counts
from pallor.evaluation.probe_plan import BoolArray, FloatArray, Probe
from pallor.evaluation.splits import assert_disjoint
from pallor.evaluation.task import Task
from pallor.evaluation.unit import mean_of_units

if TYPE_CHECKING:
    import pandas as pd

SHRINKAGE: Final = 0.1
"""The L2 penalty against the information that the training rows carry on a component of
average variance where both sexes are equally likely; that component's weight shrinks by 1/11
there. Fixed, not tuned: stated in this way it serves one column as well as 64 components."""


def fit_and_score(train: FloatArray, is_male: BoolArray, test: FloatArray, seed: int) -> FloatArray:
    """Learn sex from training rows and give the probability of male for others.

    Parameters
    ----------
    train
        Features of the training rows, ``(n, p)``; NaN where undefined.
    is_male
        Their sex, ``(n,)``; both must occur, and both weigh the same in the fit.
    test
        Features of the rows to score, ``(m, p)``.
    seed
        Of the randomized solver of the principal components.

    Returns
    -------
    ``(m,)``, 0..1; 0.5 for all where no column varies in the training rows.
    """
    from sklearn.linear_model import LogisticRegression

    from pallor.models.preprocessing import prepare, varying_columns

    if varying_columns(train) == 0:
        return np.full(len(test), 0.5)
    pipeline = prepare("components", train, seed)
    inputs = pipeline.transform(train)
    scale = np.sqrt(inputs.var(axis=0).mean())
    # The information of n rows on a component of variance 1 is n / 4 at probability 1/2.
    model = LogisticRegression(
        C=4.0 / (SHRINKAGE * len(train)), class_weight="balanced", solver="newton-cholesky"
    ).fit(inputs / scale, is_male)
    return np.asarray(model.predict_proba(pipeline.transform(test) / scale)[:, 1], np.float64)


def probe_sex(
    table: pd.DataFrame,
    probe: Probe,
    task: Task,
    *,
    bootstrap: int,
    done: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Score how well sex can be told from one modality.

    Parameters
    ----------
    table, probe
        The rows and what ``plan_probes`` made of them.
    task
        Components and seed of the evaluation.
    bootstrap
        Resamples of the participants.
    done
        Called with a label after each fit.

    Returns
    -------
    ``modality``; ``auc``, ``{value, low, high}`` or None; ``participants``, ``left_out`` and
    ``note`` as in ``Probe``.

    Notes
    -----
    The AUC is that of units of analysis (mean probability of their clips), pooled over the
    folds of a repeat and averaged over repeats. Pooling compares probabilities of different
    fits, which costs the AUC a little and without any signal puts it slightly below 0.5 (0.488
    on average for one column of noise and 240 rows); the AUC within folds has not that fault,
    but does not exist where a fold holds one sex only, as held-out sites and sessions may.

    Resampling participants holds the fits fixed, so the interval lacks the chance that lies in
    them: of 100 cohorts of 120 participants and five columns of noise, 78 intervals held 0.5.
    """
    auc = None
    if probe.splits:
        scores = _out_of_fold(table, probe, task, done)
        first = np.unique(probe.unit, return_index=True)[1]
        auc = auc_with_interval(
            np.stack([mean_of_units(row, probe.unit) for row in scores]),
            probe.male[first],
            probe.person[first],
            resample_counts(sum(probe.participants.values()), bootstrap, task.seed),
        ).as_dict()
    return {
        "modality": probe.modality,
        "auc": auc,
        "participants": probe.participants,
        "left_out": probe.left_out,
        "note": probe.note,
    }


def _out_of_fold(
    table: pd.DataFrame, probe: Probe, task: Task, done: Callable[[str], None] | None
) -> FloatArray:
    """Probabilities of male, ``(repeats, rows)``."""
    from pallor.models.preprocessing import matrix

    values = matrix(table.iloc[probe.rows], probe.columns)
    components = task.components[probe.rows]
    repeats = sorted({split.repeat for split in probe.splits})
    scores = np.full((len(repeats), len(values)), np.nan)
    for split in probe.splits:
        assert_disjoint(split.train, split.test, components)
        scores[repeats.index(split.repeat), split.test] = fit_and_score(
            values[split.train], probe.male[split.train], values[split.test], task.seed
        )
        if done is not None:
            done(f"sex from {probe.modality} without {split.label}")
    return scores


def probe_notes(entries: Sequence[dict[str, Any]]) -> list[str]:
    """Gather the notes of the probes, one sentence for all modalities that share one."""
    names: dict[str, list[str]] = {}
    for entry in entries:
        if entry["note"]:
            names.setdefault(entry["note"], []).append(entry["modality"])
    return [f"Telling sex from {', '.join(held)}: {note}." for note, held in names.items()]
