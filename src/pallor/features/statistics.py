"""Statistics over the pixels of a region, for many channels at once, and over angles.

Every function reduces the last axis of its input and works in float64. Moments are those of
the pixels themselves (population, divided by n): a region is measured whole, it is no draw
from a larger one. What is undefined is NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

MIN_PIXELS: Final = 20
"""Fewest pixels for any statistic; with fewer, p5 and p95 would merely be the extremes."""

MIN_SAMPLES: Final = 3
"""Fewest samples for a spread over time."""

PERCENTILES: Final = (5.0, 25.0, 50.0, 75.0, 95.0)
ENTROPY_BINS: Final = 32

STATISTICS: Final[dict[str, str]] = {
    "mean": "arithmetic mean over the pixels; for hue the circular mean, in (-180, 180] degrees",
    "std": "population standard deviation over the pixels; for hue sqrt(-2 ln R), R the mean "
    "resultant length, in degrees",
    "skewness": "third central moment over std^3",
    "kurtosis": "fourth central moment over std^4, minus 3",
    "p5": "5th percentile, linear interpolation between order statistics",
    "p25": "25th percentile",
    "p50": "median",
    "p75": "75th percentile",
    "p95": "95th percentile",
    "entropy": f"-sum p log2 p over {ENTROPY_BINS} fixed bins, in bits",
    "of_means": "computed once from the means of its inputs over the region",
    "share": "share of the pixels, 0..1",
    "temporal_std": f"sample standard deviation of the mean over the samples of the clip, at least "
    f"{MIN_SAMPLES} samples; NaN for a still",
}
"""Each statistic of the color features by name, with its definition."""

_ROUND_OFF = 1e-9


def moments(values: ArrayLike) -> tuple[Floats, Floats, Floats, Floats]:
    """Mean, standard deviation, skewness and excess kurtosis.

    Parameters
    ----------
    values
        ``(..., n)``.

    Returns
    -------
    tuple of ndarray
        Four arrays ``(...)``: mean; population standard deviation; ``m3 / m2**1.5``;
        ``m4 / m2**2 - 3``. All NaN for ``n < MIN_PIXELS``; the last two also where the
        values do not vary beyond round-off.
    """
    x = np.asarray(values, dtype=np.float64)
    if x.shape[-1] < MIN_PIXELS:
        nan = np.full(x.shape[:-1], np.nan)
        return nan, nan.copy(), nan.copy(), nan.copy()
    n = x.shape[-1]
    mean = x.sum(axis=-1) / n
    deviation = x - mean[..., None]
    square = deviation * deviation
    m2 = square.sum(axis=-1) / n
    m3 = np.einsum("...i,...i->...", square, deviation) / n
    m4 = np.einsum("...i,...i->...", square, square) / n
    std = np.sqrt(m2)
    varies = std > _ROUND_OFF * np.maximum(np.abs(mean), 1e-3)
    m2 = np.where(varies, m2, np.nan)
    return mean, std, m3 / (m2 * np.sqrt(m2)), m4 / (m2 * m2) - 3.0


def mean_and_std(values: ArrayLike) -> tuple[Floats, Floats]:
    """Mean and population standard deviation of ``(..., n)``; NaN for ``n < MIN_PIXELS``."""
    x = np.asarray(values, dtype=np.float64)
    n = x.shape[-1]
    if n < MIN_PIXELS:
        nan = np.full(x.shape[:-1], np.nan)
        return nan, nan.copy()
    mean = x.sum(axis=-1) / n
    deviation = x - mean[..., None]
    return mean, np.sqrt(np.einsum("...i,...i->...", deviation, deviation) / n)


def percentiles(values: ArrayLike, q: Sequence[float] = PERCENTILES) -> Floats:
    """Percentiles of every row from one sort.

    Parameters
    ----------
    values
        ``(..., n)``.
    q
        Percentages, 0..100.

    Returns
    -------
    ndarray
        ``(len(q), ...)``, linear interpolation at ``q / 100 * (n - 1)`` between the order
        statistics (Hyndman and Fan 1996, type 7); NaN for ``n < MIN_PIXELS``.
    """
    x = np.asarray(values, dtype=np.float64)
    n = x.shape[-1]
    if n < MIN_PIXELS:
        return np.full((len(q), *x.shape[:-1]), np.nan)
    ordered = np.sort(x, axis=-1)
    position = np.asarray(q, dtype=np.float64) / 100.0 * (n - 1)
    below = np.minimum(position.astype(np.intp), n - 2)
    low, high = ordered[..., below], ordered[..., below + 1]
    result: Floats = np.moveaxis(low + (high - low) * (position - below), -1, 0)
    return result


def entropy(values: ArrayLike, low: ArrayLike, high: ArrayLike, bins: int = ENTROPY_BINS) -> Floats:
    """Shannon entropy of the histogram with fixed bins.

    Parameters
    ----------
    values
        ``(k, n)``.
    low, high
        Range of the bins, scalars or ``(k,)``; values outside fall into the outermost bins.
        Fixed, because bins that follow the data would make the entropy of two clips
        incomparable.
    bins
        Number of bins of equal width.

    Returns
    -------
    ndarray
        ``(k,)``, bits, ``0..log2(bins)``; NaN for ``n < MIN_PIXELS``.
    """
    x = np.asarray(values, dtype=np.float64)
    k, n = x.shape
    if n < MIN_PIXELS:
        return np.full(k, np.nan)
    low_, high_ = (np.broadcast_to(np.asarray(v, dtype=np.float64), (k,)) for v in (low, high))
    scale = bins / (high_ - low_)
    index = np.clip((x - low_[:, None]) * scale[:, None], 0, bins - 1).astype(np.intp)
    index += np.arange(k)[:, None] * bins
    p = np.bincount(index.ravel(), minlength=k * bins).reshape(k, bins) / n
    # 0 log 0 = 0; adding 0.0 turns the -0.0 of a single occupied bin into 0.0
    result: Floats = -np.sum(p * np.log2(np.where(p > 0, p, 1.0)), axis=1) + 0.0
    return result


def circular_mean_and_std(degrees: ArrayLike) -> tuple[float, float]:
    """Mean and standard deviation of angles.

    Parameters
    ----------
    degrees
        ``(n,)`` angles in degrees, any turn; NaN (no hue) is left out.

    Returns
    -------
    mean
        Direction of the mean resultant vector in degrees, (-180, 180]: red, where skin lies,
        is then at 0 and not at the seam. NaN with fewer than ``MIN_PIXELS`` angles or where
        the angles cancel.
    std
        ``sqrt(-2 ln R)`` in degrees, R the mean resultant length (Mardia 1972); NaN with the
        mean.
    """
    angles = np.asarray(degrees, dtype=np.float64)
    angles = angles[np.isfinite(angles)]
    if angles.size < MIN_PIXELS:
        return float("nan"), float("nan")
    return _direction_and_spread(angles)


def circular_median(degrees: ArrayLike) -> float:
    """Median of a few angles, taken around their circular mean.

    Parameters
    ----------
    degrees
        ``(n,)`` angles in degrees; NaN is left out.

    Returns
    -------
    float
        Degrees in (-180, 180]; NaN without angles or where they cancel.
    """
    angles = np.asarray(degrees, dtype=np.float64)
    angles = angles[np.isfinite(angles)]
    if angles.size == 0:
        return float("nan")
    center = _direction_and_spread(angles)[0]
    return float(signed_degrees(center + np.median(signed_degrees(angles - center))))


def signed_degrees(degrees: ArrayLike) -> Floats:
    """Angles in degrees brought into (-180, 180]."""
    result: Floats = 180.0 - np.mod(180.0 - np.asarray(degrees, dtype=np.float64), 360.0)
    return result


def _direction_and_spread(degrees: Floats) -> tuple[float, float]:
    radians = np.radians(degrees)
    x, y = float(np.cos(radians).mean()), float(np.sin(radians).mean())
    resultant = min(float(np.hypot(x, y)), 1.0)
    if resultant < _ROUND_OFF:
        return float("nan"), float("nan")
    mean = float(signed_degrees(np.degrees(np.arctan2(y, x))))
    return mean, float(np.degrees(np.sqrt(-2.0 * np.log(resultant)))) + 0.0


def nan_median(values: ArrayLike) -> Floats:
    """Median over the first axis of ``(n, k)``, leaving out NaN; NaN where nothing is left."""
    x = np.sort(np.asarray(values, dtype=np.float64), axis=0)  # NaN sorts last
    count = np.isfinite(x).sum(axis=0)
    column = np.arange(x.shape[1])
    low = x[np.maximum(count - 1, 0) // 2, column]
    high = x[np.minimum(count // 2, x.shape[0] - 1), column]
    result: Floats = np.where(count > 0, (low + high) / 2.0, np.nan)
    return result


def nan_std(values: ArrayLike) -> Floats:
    """Sample standard deviation (n - 1) over the first axis of ``(n, k)``, leaving out NaN.

    NaN with fewer than ``MIN_SAMPLES`` values.
    """
    x = np.asarray(values, dtype=np.float64)
    finite = np.isfinite(x)
    count = finite.sum(axis=0)
    n = np.where(count >= MIN_SAMPLES, count, np.nan)
    deviation = np.where(finite, x - np.where(finite, x, 0.0).sum(axis=0) / n, 0.0)
    result: Floats = np.sqrt((deviation * deviation).sum(axis=0) / (n - 1.0))
    return result
