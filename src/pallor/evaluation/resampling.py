"""Scores that are functions of sums over participants, with all their resamples.

``pallor.evaluation.bootstrap`` does this for the scores that every model gets; here are the
parts that subgroups, coverage and rejection share, for sums of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pallor.evaluation.bootstrap import percentile_interval, resampled_sums
from pallor.evaluation.metrics import Interval

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
Counts = NDArray[np.uint16]
Score = Callable[[FloatArray], FloatArray]
"""Sums ``(..., k)`` to a score ``(...)``, NaN where undefined."""

MIN_PARTICIPANTS: Final = 20
"""A group of fewer participants is listed, and nothing is concluded about it."""

_TAIL: Final = 0.025


@dataclass(frozen=True)
class Resampled:
    """A score of one model, averaged over the repeats of the cross-validation.

    Attributes
    ----------
    value
        On the cohort itself.
    replicates
        On each resample of the participants, ``(resamples,)``.
    """

    value: float
    replicates: FloatArray

    def interval(self) -> Interval:
        """Return the value with its 95 % percentile interval."""
        return percentile_interval(self.value, self.replicates)

    def minus(self, other: Resampled) -> Resampled:
        """Subtract another score, resample by resample: a paired difference."""
        return Resampled(self.value - other.value, self.replicates - other.replicates)


def require_finite(*values: FloatArray) -> None:
    """Stop where a measured or predicted value is not a number.

    Raises
    ------
    ValueError
        If one is not: a score would be, too. Repeats that do not test every unit, as those of
        the hold-out protocol, have no predictions for the others and cannot be scored in this way.
    """
    if not all(np.isfinite(array).all() for array in values):
        raise ValueError("every unit needs a measured value and, in every repeat, a prediction")


def sums_of(columns: Sequence[FloatArray], participant: IntArray, participants: int) -> FloatArray:
    """Sum columns over the units of each participant.

    Parameters
    ----------
    columns
        k columns ``(units,)``.
    participant
        Index of each unit's participant, ``(units,)``, 0..participants-1.
    participants
        Number of participants.

    Returns
    -------
    ``(participants, k)``.
    """
    return np.stack(
        [np.bincount(participant, weights=column, minlength=participants) for column in columns],
        axis=-1,
    )


def resampled(score: Score, sums: FloatArray, counts: Counts) -> Resampled:
    """Score each repeat by itself, on the cohort and on each resample, then average.

    Parameters
    ----------
    score
        Function of sums.
    sums
        ``(repeats, participants, k)``.
    counts
        ``(resamples, participants)`` of ``resample_counts``.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.mean(score(sums.sum(axis=1)))
        replicates = np.mean(score(resampled_sums(counts, sums)), axis=0)
    return Resampled(float(value), np.asarray(replicates, dtype=np.float64))


def ratio(sums: FloatArray) -> FloatArray:
    """First sum over the second, NaN where there is nothing to divide by."""
    return np.asarray(sums[..., 0] / np.where(sums[..., 1] > 0, sums[..., 1], np.nan))


def share_interval(share: Resampled, participants: int) -> Interval:
    """Interval of a share, also where it is exactly 0 or 1.

    There every resample gives the same share, and the percentile interval would have no
    width. The exact binomial limit for none (all) of n is taken instead, n being participants
    (Clopper and Pearson, Biometrika 1934;26:404-413).

    Parameters
    ----------
    share
        0..1, with its replicates.
    participants
        Of whom it is a share, 1 or more where the share is defined.
    """
    interval = share.interval()
    if not np.isfinite(interval.low):
        return interval
    if share.value == 1.0:
        return Interval(1.0, _TAIL ** (1.0 / participants), 1.0)
    if share.value == 0.0:
        return Interval(0.0, 0.0, 1.0 - _TAIL ** (1.0 / participants))
    return interval
