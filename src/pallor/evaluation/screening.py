"""Screening for anemia: what a model's predictions are worth where a decision is asked for.

Measured and predicted hemoglobin are judged by one threshold a person, the WHO cutoff plus
the adjustments for altitude and smoking (``pallor.anemia``). The score is threshold minus
prediction. The overall AUC holds what sex alone tells about anemia, AUC within sex does not (see
``pallor.evaluation.discrimination``). Among children, in pregnancy, and where altitude or smoking
vary, thresholds differ within a sex as well: what these tell is in both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pallor.anemia import below
from pallor.evaluation.decision_curve import DecisionCurve, anemia_probability, decision_curve
from pallor.evaluation.discrimination import RATES, auc_within, roc_points
from pallor.evaluation.metrics import Interval
from pallor.evaluation.operating_point import OperatingPoint, operating_point, share
from pallor.evaluation.resampling import MIN_PARTICIPANTS
from pallor.evaluation.result import without_nan
from pallor.evaluation.screened import BoolArray, FloatArray, Screened


@dataclass(frozen=True)
class Stratum:
    """Screening of one set of units.

    Attributes
    ----------
    by, label
        Stratification and label; both ``all`` for everyone.
    units, participants
        How many are scored.
    anemic, not_anemic
        Participants with at least one unit of the class.
    prevalence
        Share of the units that are anemic.
    auc
        Area under the ROC curve among people of one fold, threshold minus prediction as the
        score; 0.5 is chance.
    at_cutoff
        The decision "predicted below the threshold".
    notes
        What makes a number undefined or worthless.
    """

    by: str
    label: str
    units: int
    participants: int
    anemic: int
    not_anemic: int
    prevalence: Interval
    auc: Interval
    at_cutoff: OperatingPoint
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain numbers ready for JSON, None where undefined."""
        plain: dict[str, Any] = without_nan(
            {
                **{name: getattr(self, name) for name in ("by", "label", "units", "participants")},
                "anemic": self.anemic,
                "not_anemic": self.not_anemic,
                "prevalence": self.prevalence.as_dict(),
                "auc": self.auc.as_dict(),
                "at_cutoff": self.at_cutoff.as_dict(),
                "notes": self.notes,
            }
        )
        return plain


@dataclass(frozen=True)
class Screening:
    """Screening by one model or baseline.

    Attributes
    ----------
    overall
        All units with a threshold.
    auc_within_sex
        How often, of two people of one sex of whom one is anemic, the anemic one has the
        higher score.
    strata
        The same as ``overall`` for each label of each stratification.
    roc
        True positive rates for a plot, at the false positive rates 0, 0.01, ... 1; None where the
        AUC is undefined.
    decision
        Net benefit; None where no probability of anemia follows from other folds.
    without_threshold
        Units left out because their threshold is unknown.
    notes
        What concerns the whole.
    """

    overall: Stratum
    auc_within_sex: Interval
    strata: tuple[Stratum, ...]
    roc: tuple[float, ...] | None
    decision: DecisionCurve | None
    without_threshold: int
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain numbers ready for JSON, None where undefined."""
        plain: dict[str, Any] = without_nan(
            {
                "overall": self.overall.as_dict(),
                "auc_within_sex": self.auc_within_sex.as_dict(),
                "strata": [stratum.as_dict() for stratum in self.strata],
                "roc": self.roc and {"false_positive_rate": RATES, "true_positive_rate": self.roc},
                "decision_curve": self.decision and self.decision.as_dict(),
                "without_threshold": self.without_threshold,
                "notes": self.notes,
            }
        )
        return plain


def _stratum(
    predicted: FloatArray, screened: Screened, by: str, label: str, mask: BoolArray
) -> Stratum:
    positive, participant = screened.anemic[mask], screened.participant[mask]
    called = below(predicted, screened.threshold)[:, mask]
    anemic, others = (len(np.unique(participant[side])) for side in (positive, ~positive))
    auc = auc_within(predicted, screened, (mask,)).interval()
    point = operating_point(called, positive, participant, screened.counts)
    notes = []
    for count, name in ((anemic, "with anemia"), (others, "without anemia")):
        if count == 0:
            notes.append(f"No one is {name}: what needs both is undefined.")
        elif count < MIN_PARTICIPANTS:
            notes.append(
                f"Only {count} participants {name}: nothing can be concluded from fewer than"
                f" {MIN_PARTICIPANTS}."
            )
    if anemic and others and np.isnan(auc.value):
        notes.append("No fold holds people with and without anemia: no AUC.")
    if called.size and not called.any():
        notes.append("No prediction lies below the threshold: no positive predictive value.")
    if called.size and called.all():
        notes.append("Every prediction lies below the threshold: no negative predictive value.")
    return Stratum(
        by, label, int(mask.sum()), len(np.unique(participant)), anemic, others,
        share(positive.astype(float), np.ones(len(positive)), participant, screened.counts),
        auc, point, tuple(notes),
    )  # fmt: skip


def screen(predicted: FloatArray, screened: Screened) -> Screening:
    """Score one model or baseline as a test for anemia.

    Parameters
    ----------
    predicted
        Out-of-fold hemoglobin, g/dL, ``(repeats, units)``.
    screened
        The units; the same for all that are to stand side by side.

    Raises
    ------
    ValueError
        If the shape is not that of ``screened.fold``, or a prediction is not a number.
    """
    if predicted.shape != screened.fold.shape or not np.isfinite(predicted).all():
        raise ValueError(
            f"a finite prediction for each of {screened.fold.shape} repeats and units is needed"
        )
    known, positive = screened.known, screened.anemic
    probability = anemia_probability(
        predicted, screened.measured, screened.threshold, screened.fold
    )[:, known]
    decision, notes = None, []
    if known.any() and np.isfinite(probability).all():
        decision = decision_curve(
            probability, positive[known], screened.participant[known], screened.counts
        )
    else:
        notes.append("No decision curve: probabilities of anemia come from the errors of other"
                     " folds, and there are none.")  # fmt: skip
    if not known.all():
        notes.append(f"{int((~known).sum())} units have no anemia threshold and are left out.")
    if not screened.sexes:
        notes.append("No sex is known: no AUC within sex.")
    return Screening(
        overall=_stratum(predicted, screened, "all", "all", known),
        auc_within_sex=auc_within(predicted, screened, screened.sexes).interval(),
        strata=tuple(
            _stratum(predicted, screened, name, label, mask)
            for name in screened.strata
            for label, mask in screened.masks(name).items()
        ),
        roc=roc_points(predicted, screened),
        decision=decision,
        without_threshold=int((~known).sum()),
        notes=tuple(notes),
    )
