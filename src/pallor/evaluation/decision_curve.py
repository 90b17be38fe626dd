"""Decision curve: what acting on a prediction is worth, in net true positives a person.

Who acts at a probability ``p`` of anemia holds one missed case to weigh ``(1 - p) / p`` needless
actions. The net benefit ``TP/n - FP/n p/(1 - p)`` counts by that weight; it is to be compared with
acting on everyone and on no one (0): Vickers and Elkin, Med Decis Making 2006;26:565-574.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pallor.anemia import below
from pallor.evaluation.bootstrap import percentile_interval, resampled_sums
from pallor.evaluation.metrics import Interval
from pallor.evaluation.resampling import Counts, sums_of

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.intp]

PROBABILITIES: Final = tuple(percent / 100 for percent in range(1, 61))
"""Threshold probabilities of the curve: above 60 % no one waits to be surer of anemia."""


@dataclass(frozen=True)
class DecisionCurve:
    """Net benefit over threshold probabilities; that of treating no one is 0 throughout.

    Attributes
    ----------
    probability
        Threshold probabilities, ``(points,)``.
    model
        Net benefit of acting where the probability of anemia reaches each, with intervals.
    treat_all
        Net benefit of acting on everyone.
    """

    probability: tuple[float, ...]
    model: tuple[Interval, ...]
    treat_all: tuple[float, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return lists of one length, ready for a plot."""
        return {
            "probability": list(self.probability),
            "net_benefit": [point.value for point in self.model],
            "net_benefit_low": [point.low for point in self.model],
            "net_benefit_high": [point.high for point in self.model],
            "treat_all": list(self.treat_all),
            "treat_none": [0.0] * len(self.probability),
        }


def anemia_probability(
    predicted: FloatArray, measured: FloatArray, threshold: FloatArray, fold: IntArray
) -> FloatArray:
    """Probability that the measurement lies below the threshold, given the prediction.

    It is the share of the errors (measured minus predicted) made in the other folds of the
    same repeat that would carry the prediction below the threshold. A unit's own fold says
    nothing about it, so neither its value nor another of its participant does.

    Parameters
    ----------
    predicted
        Out-of-fold, g/dL, ``(repeats, units)``.
    measured, threshold
        g/dL, ``(units,)``; where the threshold is NaN the unit gives errors and gets NaN.
    fold
        Fold in which each unit is tested, ``(repeats, units)``.

    Returns
    -------
    ``(repeats, units)``, 0..1; NaN where there is no other fold.
    """
    probability = np.full(predicted.shape, np.nan)
    known = np.isfinite(threshold)
    for row, values in enumerate(predicted):
        for number in np.unique(fold[row]):
            inside = fold[row] == number
            errors = (measured - values)[~inside]
            asked = np.flatnonzero(inside & known)
            if errors.size:
                margin = (threshold - values)[asked]
                probability[row, asked] = below(errors[None, :], margin[:, None]).mean(axis=1)
    return probability


def net_benefit(
    true_positives: FloatArray, false_positives: FloatArray, units: FloatArray, at: FloatArray
) -> FloatArray:
    """Weigh cases found against needless actions, ``TP/n - FP/n p/(1 - p)``.

    Parameters
    ----------
    true_positives, false_positives, units
        Counts, of shapes that broadcast.
    at
        Threshold probability ``p``, 0 < p < 1.

    Returns
    -------
    The broadcast shape, at most the prevalence; NaN where there are no units.
    """
    benefit = true_positives - false_positives * at / (1.0 - at)
    return np.asarray(benefit / np.where(units > 0, units, np.nan))


def decision_curve(
    probability: FloatArray,
    positive: BoolArray,
    participant: IntArray,
    counts: Counts,
    at: tuple[float, ...] = PROBABILITIES,
) -> DecisionCurve:
    """Net benefit of acting where the probability of anemia reaches a threshold.

    Parameters
    ----------
    probability
        Of anemia, ``(repeats, units)``; the net benefit is averaged over repeats.
    positive
        Whether each is anemic, ``(units,)``.
    participant
        Index of each unit's participant, ``(units,)``.
    counts
        ``(resamples, participants)`` of ``resample_counts``.
    at
        Threshold probabilities, each between 0 and 1.

    Raises
    ------
    ValueError
        If a threshold probability is not between 0 and 1, or a probability is not a number.
    """
    points = np.asarray(at, dtype=np.float64)
    if points.size == 0 or np.any((points <= 0) | (points >= 1)):
        raise ValueError("threshold probabilities lie between 0 and 1, both excluded")
    if not np.isfinite(probability).all():
        raise ValueError("a probability of anemia is not a number")
    # Net benefit is linear in the counts, so averaging them averages it.
    acted = [(probability >= point).mean(axis=0) for point in points]
    columns = [share * side for side in (positive, ~positive) for share in acted]
    sums = sums_of([*columns, np.ones(len(positive))], participant, counts.shape[1])
    size = len(points)

    def benefit(cells: FloatArray) -> FloatArray:
        return net_benefit(cells[..., :size], cells[..., size:-1], cells[..., -1:], points)

    values, replicates = benefit(sums.sum(axis=0)), benefit(resampled_sums(counts, sums[None])[0])
    cases, all_units = np.asarray(positive.sum(), float), np.asarray(len(positive), float)
    return DecisionCurve(
        tuple(float(point) for point in points),
        tuple(
            percentile_interval(float(value), replicates[:, point])
            for point, value in enumerate(values)
        ),
        tuple(float(value) for value in net_benefit(cases, all_units - cases, all_units, points)),
    )
