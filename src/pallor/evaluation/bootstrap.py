"""Percentile bootstrap over participants, vectorized over the resamples.

A participant is drawn with all that belongs to them, because two clips of one person are
not two observations. Most scores are functions of sums over participants, so a resample
is a vector of counts and all resamples together are one matrix product: counts
``(resamples, participants)`` times sums ``(participants, sums)``. The same counts serve
every model, which makes differences between models paired.

Reference: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pallor.evaluation.metrics import Interval
from pallor.evaluation.sums import SCORES, FloatArray, participant_sums

__all__ = [
    "SCORES",
    "area_under_curve",
    "auc_with_interval",
    "paired_difference",
    "participant_sums",
    "percentile_interval",
    "resample_counts",
    "resampled_sums",
    "scores_with_intervals",
]

_CHUNK: Final = 500
"""Resamples turned into float64 at once; keeps memory flat for large cohorts."""
_DEFINED_SHARE: Final = 0.95
"""An interval is NaN where a score is undefined in more than 5 % of the resamples."""


def resample_counts(participants: int, resamples: int, seed: int) -> NDArray[np.uint16]:
    """How often each participant is drawn in each resample.

    Parameters
    ----------
    participants
        Number of participants, who are drawn with replacement.
    resamples
        Number of resamples; 0 gives an empty array, hence intervals that are NaN.
    seed
        Of the random generator.

    Returns
    -------
    ``(resamples, participants)``; every row sums to ``participants``.
    """
    rng = np.random.default_rng(seed)
    counts = np.empty((resamples, participants), dtype=np.uint16)
    for start in range(0, resamples, _CHUNK):
        rows = min(_CHUNK, resamples - start)
        drawn = rng.integers(0, participants, size=(rows, participants))
        drawn += np.arange(rows)[:, None] * participants
        flat = np.bincount(drawn.ravel(), minlength=rows * participants)
        counts[start : start + rows] = flat.reshape(rows, participants)
    return counts


def resampled_sums(counts: NDArray[np.uint16], sums: FloatArray) -> FloatArray:
    """Sum each resample, ``(repeats, resamples, sums)``, from ``(repeats, participants, sums)``."""
    out = np.empty((sums.shape[0], counts.shape[0], sums.shape[2]))
    for start in range(0, counts.shape[0], _CHUNK):
        weights = counts[start : start + _CHUNK].astype(np.float64)
        out[:, start : start + _CHUNK] = weights @ sums
    return out


def percentile_interval(value: float, replicates: FloatArray) -> Interval:
    """95 % percentile interval of the replicates around a value.

    Replicates in which the score is undefined are passed over, but where that concerns
    more than 5 % of them (or there are none) the ends are NaN.
    """
    defined = replicates[np.isfinite(replicates)]
    if defined.size == 0 or defined.size < _DEFINED_SHARE * replicates.size:
        return Interval(value)
    low, high = np.quantile(defined, (0.025, 0.975))
    return Interval(value, float(low), float(high))


def _over_repeats(score: Callable[[FloatArray], FloatArray], sums: FloatArray) -> FloatArray:
    """Score each repeat by itself, then average over the first axis."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(score(sums).mean(axis=0), dtype=np.float64)


def scores_with_intervals(sums: FloatArray, counts: NDArray[np.uint16]) -> dict[str, Interval]:
    """Every score of one model with its interval.

    Parameters
    ----------
    sums
        ``(repeats, participants, sums)`` of ``participant_sums``. A score is computed for
        each repeat of the cross-validation and then averaged: predictions are never
        averaged over repeats, which would score an ensemble that nobody trains.
    counts
        ``(resamples, participants)`` of ``resample_counts``.
    """
    observed = sums.sum(axis=1)
    resampled = resampled_sums(counts, sums)
    return {
        name: percentile_interval(
            float(_over_repeats(score, observed)), _over_repeats(score, resampled)
        )
        for name, score in SCORES.items()
    }


def paired_difference(
    score: str, sums: FloatArray, reference: FloatArray, counts: NDArray[np.uint16]
) -> Interval:
    """Score of one model minus that of another, on the same resamples.

    Parameters
    ----------
    score
        A name of ``SCORES``.
    sums, reference
        ``(repeats, participants, sums)`` of the two models on the same units.
    counts
        ``(resamples, participants)``.
    """
    function = SCORES[score]
    value = _over_repeats(function, sums.sum(axis=1)) - _over_repeats(
        function, reference.sum(axis=1)
    )
    replicates = _over_repeats(function, resampled_sums(counts, sums)) - _over_repeats(
        function, resampled_sums(counts, reference)
    )
    return percentile_interval(float(value), replicates)


def area_under_curve(
    scores: FloatArray, positive: NDArray[np.bool_], weights: FloatArray
) -> FloatArray:
    """Area under the ROC curve: how often a positive outscores a negative, ties counting half.

    Mann-Whitney statistic; Hanley and McNeil, Radiology 1982;143:29-36.

    Parameters
    ----------
    scores
        ``(n,)``, finite.
    positive
        Class of each, ``(n,)``.
    weights
        How often each counts, ``(..., n)``.

    Returns
    -------
    ``(...)``, 0..1; NaN where a class has no weight.
    """
    order = np.argsort(scores, kind="stable")
    ranked, is_positive = scores[order], positive[order]
    ones, zeros = weights[..., order] * is_positive, weights[..., order] * ~is_positive
    total = np.cumsum(zeros, axis=-1)
    total = np.concatenate([np.zeros_like(total[..., :1]), total], axis=-1)
    below = total[..., np.searchsorted(ranked, ranked, side="left")]
    up_to = total[..., np.searchsorted(ranked, ranked, side="right")]
    pairs = ones.sum(axis=-1) * zeros.sum(axis=-1)
    return np.asarray(
        (ones * (below + up_to)).sum(axis=-1) / (2.0 * np.where(pairs > 0, pairs, np.nan)),
        dtype=np.float64,
    )


def auc_with_interval(
    scores: FloatArray,
    positive: NDArray[np.bool_],
    participant: NDArray[np.intp],
    counts: NDArray[np.uint16],
) -> Interval:
    """Area under the ROC curve with its interval, computed by repeat and then averaged.

    Parameters
    ----------
    scores
        ``(repeats, units)``; NaN where a repeat does not test a unit.
    positive, participant
        Class and index of the participant of each unit, ``(units,)``.
    counts
        ``(resamples, participants)`` of ``resample_counts``.
    """

    def averaged(weights: FloatArray) -> FloatArray:
        of_repeats = [
            area_under_curve(row[tested], positive[tested], weights[..., tested])
            for row, tested in zip(scores, np.isfinite(scores), strict=True)
        ]
        return np.asarray(np.mean(of_repeats, axis=0), dtype=np.float64)

    replicates = [
        averaged(counts[start : start + _CHUNK, participant].astype(np.float64))
        for start in range(0, counts.shape[0], _CHUNK)
    ]
    return percentile_interval(
        float(averaged(np.ones(len(positive)))), np.concatenate([np.empty(0), *replicates])
    )
