"""How the decision "predicted hemoglobin below the threshold" agrees with the measured one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pallor.evaluation.metrics import Interval
from pallor.evaluation.resampling import Counts, ratio, resampled, share_interval, sums_of

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.intp]


@dataclass(frozen=True)
class OperatingPoint:
    """Counts of the fourfold table and what follows from them.

    Attributes
    ----------
    true_positives, false_positives, true_negatives, false_negatives
        Units, averaged over the repeats of the cross-validation, hence not always whole.
        Positive means anemic.
    sensitivity
        Share of the anemic who are called anemic, ``TP / (TP + FN)``.
    specificity
        Share of the others who are not, ``TN / (TN + FP)``.
    ppv, npv
        Share of those called anemic who are, ``TP / (TP + FP)``, and of those not called so
        who are not, ``TN / (TN + FN)``. Both depend on the prevalence in the cohort.
    """

    true_positives: float
    false_positives: float
    true_negatives: float
    false_negatives: float
    sensitivity: Interval
    specificity: Interval
    ppv: Interval
    npv: Interval

    def as_dict(self) -> dict[str, Any]:
        """Return counts as numbers and shares as ``{"value": ..., "low": ..., "high": ...}``."""
        return {
            "true_positives": self.true_positives,
            "false_positives": self.false_positives,
            "true_negatives": self.true_negatives,
            "false_negatives": self.false_negatives,
            "sensitivity": self.sensitivity.as_dict(),
            "specificity": self.specificity.as_dict(),
            "ppv": self.ppv.as_dict(),
            "npv": self.npv.as_dict(),
        }


def share(of: FloatArray, among: FloatArray, participant: IntArray, counts: Counts) -> Interval:
    """Share with its 95 % interval over participants.

    Parameters
    ----------
    of, among
        Weight of each unit in numerator and denominator, 0..1, ``(units,)``.
    participant
        Index of each unit's participant, ``(units,)``.
    counts
        ``(resamples, participants)`` of ``resample_counts``.

    Returns
    -------
    NaN where nothing is in the denominator; for a share of exactly 0 or 1 the exact binomial
    limit over the participants in it.
    """
    sums = sums_of([of, among], participant, counts.shape[1])
    participants = int(np.count_nonzero(sums[:, 1]))
    return share_interval(resampled(ratio, sums[None], counts), participants)


def operating_point(
    called: BoolArray, positive: BoolArray, participant: IntArray, counts: Counts
) -> OperatingPoint:
    """Count the fourfold table, with intervals over participants.

    The shares are those of the averaged counts. For sensitivity and specificity that is the
    mean over repeats; PPV and NPV stay defined when no one is called anemic in one of them.

    Parameters
    ----------
    called
        Whether the prediction lies below the threshold, ``(repeats, units)``.
    positive
        Whether the measurement does, ``(units,)``.
    participant
        Index of each unit's participant, ``(units,)``.
    counts
        ``(resamples, participants)`` of ``resample_counts``.

    Returns
    -------
    Counts and shares; a share that is undefined (an empty class; no one called anemic) is NaN.
    """
    chosen = called.mean(axis=0)
    spared = (~called).mean(axis=0)
    tp, fp, tn, fn = chosen * positive, chosen * ~positive, spared * ~positive, spared * positive
    return OperatingPoint(
        true_positives=float(tp.sum()),
        false_positives=float(fp.sum()),
        true_negatives=float(tn.sum()),
        false_negatives=float(fn.sum()),
        sensitivity=share(tp, tp + fn, participant, counts),
        specificity=share(tn, tn + fp, participant, counts),
        ppv=share(tp, tp + fp, participant, counts),
        npv=share(tn, tn + fn, participant, counts),
    )
