"""Scores that need the order of the units, bootstrapped over participants.

A median and a rank are no function of sums, but a resample is still only a weight for each
unit, how often it was drawn. The order of the units is the same in every resample, so they
are sorted once, and running totals of the weights give medians and mean ranks of all
resamples together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pallor.evaluation.bootstrap import percentile_interval
from pallor.evaluation.metrics import Interval

FloatArray = NDArray[np.float64]

_CELLS: Final = 1 << 17
"""Weights (resamples x units) handled at once: 1 MB, which stays in the processor's cache."""


def weighted_median(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Median of values that count several times each.

    Parameters
    ----------
    values
        ``(n,)``.
    weights
        How often each counts, whole numbers, ``(..., n)``.

    Returns
    -------
    ``(...)``: the median of the values so repeated, the mean of the middle two where their
    number is even; NaN where nothing counts or a value is NaN.
    """
    if not len(values) or np.isnan(values).any():
        return np.full(weights.shape[:-1], np.nan)
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    up_to = np.cumsum(weights[..., order], axis=-1)
    total = up_to[..., -1:]
    # The value at place k of the repeated ones, counted from 0, is the first whose running
    # total is above k.
    middle = [
        ranked[np.minimum((up_to <= place).sum(axis=-1), len(ranked) - 1)]
        for place in (np.floor((total - 1) / 2), np.floor(total / 2))
    ]
    return np.where(total[..., 0] > 0, (middle[0] + middle[1]) / 2, np.nan)


def weighted_midranks(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Rank each value among values that count several times each.

    Parameters
    ----------
    values
        ``(n,)``.
    weights
        How often each counts, whole numbers, ``(..., n)``.

    Returns
    -------
    ``(..., n)``: the rank from 1 upward; equal values share the mean of their ranks.
    """
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    running = np.zeros((*weights.shape[:-1], len(values) + 1))
    np.cumsum(weights[..., order], axis=-1, out=running[..., 1:])
    below = running[..., np.searchsorted(ranked, values, side="left")]
    up_to = running[..., np.searchsorted(ranked, values, side="right")]
    return np.asarray((below + up_to + 1.0) / 2.0, dtype=np.float64)


def _median_absolute_error(
    measured: FloatArray, predicted: FloatArray, weights: FloatArray
) -> FloatArray:
    return weighted_median(np.abs(predicted - measured), weights)


def _rho(measured: FloatArray, predicted: FloatArray, weights: FloatArray) -> FloatArray:
    if not (np.isfinite(measured).all() and np.isfinite(predicted).all()):
        return np.full(weights.shape[:-1], np.nan)
    mean_rank = (weights.sum(axis=-1, keepdims=True) + 1.0) / 2.0
    y = weighted_midranks(measured, weights) - mean_rank
    p = weighted_midranks(predicted, weights) - mean_rank
    # Half-integers all: the sums are exact, and 0 where nothing varies.
    product = (weights * y * y).sum(axis=-1) * (weights * p * p).sum(axis=-1)
    value = (weights * y * p).sum(axis=-1) / np.sqrt(np.where(product > 0, product, np.nan))
    return np.asarray(np.clip(value, -1.0, 1.0), dtype=np.float64)


RANK_SCORES: Mapping[str, Callable[[FloatArray, FloatArray, FloatArray], FloatArray]] = (
    MappingProxyType({"median_absolute_error": _median_absolute_error, "rho": _rho})
)
"""Scores as functions of measured ``(units,)``, predicted ``(units,)`` and how often each unit
counts ``(..., units)``; ``pallor.evaluation.metrics`` says what each is."""


def rank_scores_with_intervals(
    measured: FloatArray,
    predicted: FloatArray,
    participant: NDArray[np.intp],
    counts: NDArray[np.uint16],
    tested: NDArray[np.bool_] | None = None,
) -> dict[str, Interval]:
    """Every score of ``RANK_SCORES`` of one model with its interval.

    Parameters
    ----------
    measured
        g/dL, ``(units,)``.
    predicted
        g/dL, ``(repeats, units)``. A score is computed for each repeat and then averaged, as
        in ``scores_with_intervals``.
    participant
        Index of each unit's participant, ``(units,)``.
    counts
        ``(resamples, participants)`` of ``resample_counts``: the same as for the other
        scores, so that all describe the same resamples.
    tested
        Which units each repeat scores, ``(repeats, units)``; all where None.
    """
    everyone = np.ones(len(measured))
    scored = np.ones(predicted.shape, dtype=np.bool_) if tested is None else tested
    rows = max(1, _CELLS // max(1, len(measured)))
    replicates = {name: np.empty(len(counts)) for name in RANK_SCORES}
    for start in range(0, len(counts), rows):
        part = slice(start, start + rows)
        weights = counts[part][:, participant].astype(np.float64)
        for name, score in RANK_SCORES.items():
            of_repeats = [
                score(measured[in_it], row[in_it], weights[:, in_it])
                for row, in_it in zip(predicted, scored, strict=True)
            ]
            replicates[name][part] = np.mean(of_repeats, axis=0)
    values = {
        name: [
            score(measured[in_it], row[in_it], everyone[in_it])
            for row, in_it in zip(predicted, scored, strict=True)
        ]
        for name, score in RANK_SCORES.items()
    }
    return {
        name: percentile_interval(float(np.mean(of_repeats)), replicates[name])
        for name, of_repeats in values.items()
    }
