"""Everything that is said of the main model beyond its scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from pallor.evaluation.agreement import bland_altman
from pallor.evaluation.baselines import REFERENCE
from pallor.evaluation.coverage import judge_coverage
from pallor.evaluation.discrimination import auc_gain
from pallor.evaluation.error_by_hemoglobin import error_by_hemoglobin
from pallor.evaluation.explanation import combine
from pallor.evaluation.gate import gate_out_of_fold
from pallor.evaluation.groupings import GROUPINGS, labels_of, unit_attributes
from pallor.evaluation.quality_scores import STANDARD_SCORE, passes_gate, unit_quality
from pallor.evaluation.rejection import rejected_against_kept
from pallor.evaluation.risk_coverage import risk_coverage
from pallor.evaluation.screened import screened_units
from pallor.evaluation.screening import screen
from pallor.evaluation.study import Study
from pallor.evaluation.subgroups import subgroup_scores
from pallor.evaluation.training_residuals import gate_folds, half_widths_of_splits

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class _Subject:
    """The main model and those it was tested on."""

    study: Study
    name: str
    table: pd.DataFrame
    components: NDArray[np.integer]
    seed: int
    frame: pd.DataFrame
    thresholds_g_dl: FloatArray

    @property
    def usual(self) -> tuple[Any, ...]:
        """What most judges ask for: measured, predicted, participant, resamples."""
        units = self.study.units
        return units.measured, self.study.predicted[self.name], units.participant, self.study.counts


def _agreement(subject: _Subject) -> dict[str, Any]:
    found = bland_altman(*subject.usual)
    return {
        "model": subject.name,
        "limit_low_g_dl": found.lower_limit_g_dl.value,
        "limit_high_g_dl": found.upper_limit_g_dl.value,
        **found.as_dict(),
    }


def _by_hemoglobin(subject: _Subject) -> list[dict[str, Any]]:
    return [one.as_dict() for one in error_by_hemoglobin(*subject.usual)]


def _screening(subject: _Subject) -> dict[str, Any]:
    study, units = subject.study, subject.study.units
    screened, thresholds = screened_units(units.frame, units.participant, units.fold, study.counts)
    predicted = study.predicted[subject.name]
    reference = study.predicted.get(REFERENCE)
    gain = None
    if reference is not None:
        found = auc_gain(predicted, reference, screened)
        gain = {name: value.as_dict() for name, value in found.items()}
    return {
        "thresholds": thresholds.as_dict(),
        "model": screen(predicted, screened).as_dict(),
        "sex_age": None if reference is None else screen(reference, screened).as_dict(),
        "auc_gain": gain,
    }


def _subgroups(subject: _Subject) -> list[dict[str, Any]]:
    found = subgroup_scores(subject.frame, *subject.usual, thresholds_g_dl=subject.thresholds_g_dl)
    return [one.as_dict() for one in found]


def _coverage(subject: _Subject) -> dict[str, Any] | None:
    study, units = subject.study, subject.study.units
    residuals = study.fitted.residuals.get(subject.name)
    if residuals is None:
        return None
    widths = half_widths_of_splits(
        study.plan.splits, residuals, units.of_row, subject.components, seed=subject.seed
    )
    measured, predicted, participant, counts = subject.usual
    strata = {name: labels_of(GROUPINGS[name], subject.frame) for name in ("sex", "ita")}
    return judge_coverage(measured, predicted, widths, participant, counts, strata=strata).as_dict()


def _quality(subject: _Subject) -> dict[str, Any] | None:
    """Say what rejecting clips of poor quality would do, by the standard score and by the gate."""
    study, units = subject.study, subject.study.units
    quality = unit_quality(subject.table, units.of_row)
    if not np.isfinite(quality).any():
        return None
    measured, predicted, participant, counts = subject.usual
    usable = passes_gate(subject.table, units.of_row)
    chosen, residuals = None, study.fitted.residuals.get(subject.name)
    if residuals is not None:
        gate = gate_out_of_fold(quality, gate_folds(study.plan.splits, residuals, units.of_row))
        chosen = {
            "thresholds": [value if np.isfinite(value) else None for value in gate.thresholds],
            **rejected_against_kept(
                measured, gate.kept, participant, counts,
                thresholds_g_dl=subject.thresholds_g_dl, predicted=predicted,
            ).as_dict(),
        }  # fmt: skip
    return {
        "score": STANDARD_SCORE,
        "curve": risk_coverage(measured, predicted, quality, participant, counts).as_dict(),
        "usable_pulse": None
        if usable is None
        else rejected_against_kept(
            measured, usable, participant, counts,
            thresholds_g_dl=subject.thresholds_g_dl, predicted=predicted,
        ).as_dict(),
        "chosen_in_training": chosen,
    }  # fmt: skip


def _explanation(subject: _Subject) -> dict[str, Any] | None:
    folds = subject.study.fitted.explanations
    return combine(folds).as_dict() if folds else None


JUDGES: Final[Mapping[str, Callable[[_Subject], Any]]] = {
    "agreement": _agreement,
    "error_by_hemoglobin": _by_hemoglobin,
    "screening": _screening,
    "subgroups": _subgroups,
    "coverage": _coverage,
    "quality": _quality,
    "explanation": _explanation,
}
"""Key in ``metrics.json`` to what computes it; None where the table does not allow it."""


def describe_main(
    study: Study, name: str | None, table: pd.DataFrame, components: NDArray[np.integer], seed: int
) -> dict[str, Any]:
    """Judge the main model from every side.

    Parameters
    ----------
    study
        Out-of-fold predictions of all models.
    name
        The main model; None where there is none, and everything is None then. So it is where
        a repeat does not test everybody (``holdout``): the seeds are the subject there.
    table
        The rows that were scored.
    components
        Component of each row.
    seed
        Of draws.

    Returns
    -------
    dict
        One entry for each of `JUDGES`, ready for JSON but for NaN.
    """
    from pallor.anemia import thresholds_of_table

    if name is None or not study.complete:
        return dict.fromkeys(JUDGES)
    units = study.units
    frame = units.frame.join(unit_attributes(table, units.of_row))
    thresholds = thresholds_of_table(units.frame).threshold_g_dl
    subject = _Subject(study, name, table, components, seed, frame, thresholds)
    return {key: judge(subject) for key, judge in JUDGES.items()}
