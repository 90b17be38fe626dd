"""How the error falls as units of low quality are rejected: the risk-coverage curve.

Here *coverage* is the share of units that are kept; it has nothing to do with the coverage of
intervals. Units of equal quality are kept or rejected in no particular order, so within them
the sum of the errors is taken to grow linearly: the expectation over random orders.

The curve describes; it chooses no threshold. A threshold read off it and then scored on the
same units would be tuned on the test part: ``pallor.evaluation.gate`` chooses it in training
parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pallor.evaluation.metrics import Interval
from pallor.evaluation.resampling import Counts, Resampled, require_finite

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

SHARES: Final = tuple(round(0.1 * step, 1) for step in range(1, 11))
"""Shares of the units kept at which the curve is given."""
_CHUNK: Final = 500


@dataclass(frozen=True)
class RiskCoverage:
    """The curve of one model under one quality score.

    Attributes
    ----------
    shares
        Shares of the units that are kept, those of best quality first, ``(points,)``.
    mae
        Mean absolute error of the kept at each share, g/dL; the last point keeps all.
    aurc
        Area under the curve, g/dL: mean over 1..n kept units of the error of the kept
        (Geifman, Uziel, El-Yaniv, ICLR 2019, arXiv:1805.08206).
    gain
        Error of all minus ``aurc``, g/dL. 0 is what a quality that knows nothing of the error
        gives; below 0 the better units have the larger errors.
    unjudged
        Units without a quality, ranked below all others.
    """

    shares: tuple[float, ...]
    mae: tuple[Interval, ...]
    aurc: Interval
    gain: Interval
    unjudged: int

    def as_dict(self) -> dict[str, Any]:
        """Return plain numbers and words for JSON."""
        return {
            "curve": [
                {"share_kept": share, "mae": mae.as_dict()}
                for share, mae in zip(self.shares, self.mae, strict=True)
            ],
            "aurc": self.aurc.as_dict(),
            "gain": self.gain.as_dict(),
            "unjudged": self.unjudged,
        }


def ranked(quality: FloatArray) -> FloatArray:
    """Quality with the undefined below every number."""
    return np.where(np.isnan(quality), -np.inf, quality)


def _curves(
    error: FloatArray, quality: FloatArray, weights: FloatArray, shares: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Curve and area for units that count several times.

    Parameters
    ----------
    error, quality
        ``(units,)``.
    weights
        Whole numbers, ``(m, units)``, none of the rows all zero.
    shares
        ``(points,)``.

    Returns
    -------
    ``(m, points)`` and ``(m,)``.
    """
    order = np.argsort(-ranked(quality), kind="stable")
    sorted_ = ranked(quality)[order]
    steps = np.flatnonzero(np.concatenate([[True], sorted_[1:] != sorted_[:-1]]))
    weight = weights[:, order]
    n = np.add.reduceat(weight, steps, axis=1)
    e = np.add.reduceat(weight * error[order], steps, axis=1)
    zero = np.zeros((len(weights), 1))
    kept = np.hstack([zero, np.cumsum(n, axis=1)])
    total = np.hstack([zero, np.cumsum(e, axis=1)])
    harmonic = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, int(kept[:, -1].max()) + 1))])
    # While a block of n equals with errors e is kept one by one after N units with errors E, the
    # means are (E + j e / n) / (N + j), j = 1..n; their sum is e + (E - N e / n) (H(N + n) - H(N)),
    # where H are the harmonic numbers.
    slope = e / np.where(n > 0, n, 1.0)
    rank = kept.astype(np.intp)
    grown = harmonic[rank[:, 1:]] - harmonic[rank[:, :-1]]
    blocks = n * slope + (total[:, :-1] - kept[:, :-1] * slope) * grown
    area = blocks.sum(axis=1) / kept[:, -1]
    at = shares * kept[:, -1:]
    curve = np.stack([np.interp(x, k, s) for x, k, s in zip(at, kept, total, strict=True)]) / at
    return curve, area


def risk_coverage(
    measured: FloatArray,
    predicted: FloatArray,
    quality: FloatArray,
    participant: IntArray,
    counts: Counts,
    *,
    shares: Sequence[float] = SHARES,
) -> RiskCoverage:
    """Describe how the error of a model depends on the quality of the units.

    Parameters
    ----------
    measured
        Hemoglobin, g/dL, ``(units,)``.
    predicted
        Out of fold, g/dL, ``(repeats, units)``.
    quality
        Higher is better, ``(units,)``, NaN where undefined (``unit_quality``).
    participant
        Index of each unit's participant, ``(units,)``.
    counts
        ``(resamples, participants)`` of ``resample_counts``.
    shares
        Where the curve is given, above 0 up to 1; the error of all is added.

    Returns
    -------
    Curve and areas by repeat, then averaged, with pointwise 95 % intervals over participants.

    Raises
    ------
    ValueError
        If shapes do not fit, there are no units, a value is not a number, or a share lies outside
        0..1.
    """
    if (
        not len(measured)
        or predicted.shape[1:] != measured.shape
        or quality.shape != (len(measured),)
    ):
        raise ValueError(
            f"measured {measured.shape}, predicted {predicted.shape} and quality"
            f" {quality.shape} do not fit"
        )
    require_finite(measured, predicted)
    points = np.unique([*shares, 1.0])
    if not (points[0] > 0 and points[-1] == 1.0):
        raise ValueError("shares must lie above 0 and at most at 1")
    errors = np.abs(predicted - measured)

    def averaged(weights: FloatArray) -> FloatArray:
        """Points of the curve, then the area, averaged over repeats, ``(m, points + 1)``."""
        columns = [np.column_stack(_curves(error, quality, weights, points)) for error in errors]
        return np.asarray(np.mean(columns, axis=0))

    value = averaged(np.ones((1, len(measured))))[0]
    parts = [
        averaged(counts[start : start + _CHUNK, participant].astype(np.float64))
        for start in range(0, counts.shape[0], _CHUNK)
    ]
    replicates = np.concatenate([np.empty((0, len(value))), *parts])
    scores = [Resampled(float(v), r) for v, r in zip(value, replicates.T, strict=True)]
    *curve, area = scores
    return RiskCoverage(
        tuple(float(point) for point in points),
        tuple(score.interval() for score in curve),
        area.interval(),
        curve[-1].minus(area).interval(),
        int(np.isnan(quality).sum()),
    )
