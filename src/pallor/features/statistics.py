"""Statistics over the pixels of a region, for many channels at once, and over angles.

Regions may lie one after the other on the last axis, ``n`` pixels in all: ``bounds``, ``m + 1``
indices that rise from 0 to n, says where each begins and ends. One call then serves them all.

All work is in float64. Moments are those of the pixels themselves (population, divided by n):
a region is measured whole, it is no draw from a larger one. What is undefined is NaN.
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


def moments(
    values: ArrayLike, bounds: Sequence[int] | None = None
) -> tuple[Floats, Floats, Floats, Floats]:
    """Mean, standard deviation, skewness and excess kurtosis.

    Parameters
    ----------
    values
        ``(k, n)``.
    bounds
        Where the regions lie, see the module; one region by default.

    Returns
    -------
    tuple of ndarray
        Four arrays ``(k, m)``: mean; population standard deviation; ``m3 / m2**1.5``;
        ``m4 / m2**2 - 3``. All NaN for fewer than `MIN_PIXELS` pixels; the last two also where
        the values do not vary beyond round-off.
    """
    x = np.asarray(values, dtype=np.float64)
    counts = _counts(x, bounds)
    n = _enough(counts)
    mean = _sums(x, counts) / n
    deviation = x - np.repeat(mean, counts, axis=-1)
    square = deviation * deviation
    m2 = _sums(square, counts) / n
    m3 = _sums(square * deviation, counts) / n
    m4 = _sums(square * square, counts) / n
    std = np.sqrt(m2)
    m2 = np.where(std > _ROUND_OFF * np.maximum(np.abs(mean), 1e-3), m2, np.nan)
    return mean, std, m3 / (m2 * np.sqrt(m2)), m4 / (m2 * m2) - 3.0


def means(values: ArrayLike, bounds: Sequence[int] | None = None) -> Floats:
    """Mean of ``(k, n)`` over each region, ``(k, m)``; NaN below `MIN_PIXELS` pixels."""
    x = np.asarray(values, dtype=np.float64)
    counts = _counts(x, bounds)
    return _sums(x, counts) / _enough(counts)


def mean_and_std(values: ArrayLike, bounds: Sequence[int] | None = None) -> tuple[Floats, Floats]:
    """Mean and population standard deviation; arguments and shapes as in `moments`."""
    x = np.asarray(values, dtype=np.float64)
    counts = _counts(x, bounds)
    n = _enough(counts)
    mean = _sums(x, counts) / n
    deviation = x - np.repeat(mean, counts, axis=-1)
    return mean, np.sqrt(_sums(deviation * deviation, counts) / n)


def percentiles(
    values: ArrayLike, q: Sequence[float] = PERCENTILES, bounds: Sequence[int] | None = None
) -> Floats:
    """Percentiles from one sort a region.

    Parameters
    ----------
    values
        ``(k, n)``.
    q
        Percentages, 0..100.
    bounds
        Where the regions lie, see the module; one region by default.

    Returns
    -------
    ndarray
        ``(len(q), k, m)``, linear interpolation at ``q / 100 * (n - 1)`` between the order
        statistics (Hyndman and Fan 1996, type 7); NaN below `MIN_PIXELS` pixels.
    """
    ordered = np.array(values, dtype=np.float64)
    counts = _counts(ordered, bounds)
    starts = np.cumsum(counts) - counts
    for start, count in zip(starts.tolist(), counts.tolist(), strict=True):
        ordered[:, start : start + count].sort(axis=-1)
    result = np.full((len(q), ordered.shape[0], counts.size), np.nan)
    enough = counts >= MIN_PIXELS
    n, first = counts[enough], starts[enough]
    position = np.asarray(q, dtype=np.float64)[:, None] / 100.0 * (n - 1)
    below = np.minimum(position.astype(np.intp), n - 2)
    low, high = ordered[:, first + below], ordered[:, first + below + 1]
    result[:, :, enough] = np.moveaxis(low + (high - low) * (position - below), 0, 1)
    return result


def entropy(
    values: ArrayLike,
    low: float,
    high: float,
    bins: int = ENTROPY_BINS,
    bounds: Sequence[int] | None = None,
) -> Floats:
    """Shannon entropy of the histogram with fixed bins.

    Parameters
    ----------
    values
        ``(k, n)``.
    low, high
        Range of the bins; values outside fall into the outermost bins. Fixed, because bins
        that follow the data would make the entropy of two clips incomparable.
    bins
        Number of bins of equal width.
    bounds
        Where the regions lie, see the module; one region by default.

    Returns
    -------
    ndarray
        ``(k, m)``, bits, ``0..log2(bins)``; NaN below `MIN_PIXELS` pixels.
    """
    x = np.asarray(values, dtype=np.float64)
    counts = _counts(x, bounds)
    k, m = x.shape[0], counts.size
    index = np.clip((x - low) * (bins / (high - low)), 0, bins - 1).astype(np.intp)
    index += np.arange(k)[:, None] * (m * bins) + np.repeat(np.arange(m) * bins, counts)
    histogram = np.bincount(index.ravel(), minlength=k * m * bins).reshape(k, m, bins)
    p = histogram / _enough(counts)[:, None]
    # 0 log 0 = 0; adding 0.0 turns the -0.0 of a single occupied bin into 0.0
    result: Floats = -np.sum(p * np.log2(np.where(p > 0, p, 1.0)), axis=-1) + 0.0
    return result


def circular_mean_and_std(
    degrees: ArrayLike, bounds: Sequence[int] | None = None
) -> tuple[Floats, Floats]:
    """Mean and standard deviation of angles.

    Parameters
    ----------
    degrees
        ``(n,)`` angles in degrees, any turn; NaN (no hue) is left out.
    bounds
        Where the regions lie, see the module; one region by default.

    Returns
    -------
    mean
        ``(m,)`` direction of the mean resultant vector in degrees, (-180, 180]: red, where skin
        lies, is then at 0 and not at the seam. NaN with fewer than `MIN_PIXELS` angles or where
        the angles cancel.
    std
        ``(m,)`` ``sqrt(-2 ln R)`` in degrees, R the mean resultant length (Mardia 1972); NaN
        with the mean.
    """
    angles = np.asarray(degrees, dtype=np.float64)
    counts = _counts(angles, bounds)
    radians = np.radians(angles)
    vector = np.stack([np.cos(radians), np.sin(radians), np.ones_like(radians)])
    vector[:, np.isnan(angles)] = 0.0
    x, y, defined = _sums(vector, counts)
    return _direction_and_spread(x, y, _enough(defined))


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
    radians = np.radians(angles)
    center, _ = _direction_and_spread(np.cos(radians).sum(), np.sin(radians).sum(), angles.size)
    return float(signed_degrees(center + np.median(signed_degrees(angles - center))))


def signed_degrees(degrees: ArrayLike) -> Floats:
    """Angles in degrees brought into (-180, 180]."""
    result: Floats = 180.0 - np.mod(180.0 - np.asarray(degrees, dtype=np.float64), 360.0)
    return result


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


def _direction_and_spread(x: ArrayLike, y: ArrayLike, n: ArrayLike) -> tuple[Floats, Floats]:
    """Direction and circular standard deviation in degrees from summed cosines and sines."""
    resultant = np.minimum(np.hypot(x, y) / np.asarray(n, dtype=np.float64), 1.0)
    resultant = np.where(resultant > _ROUND_OFF, resultant, np.nan)
    mean = np.where(np.isfinite(resultant), signed_degrees(np.degrees(np.arctan2(y, x))), np.nan)
    return mean, np.degrees(np.sqrt(-2.0 * np.log(resultant))) + 0.0


def _counts(values: Floats, bounds: Sequence[int] | None) -> NDArray[np.intp]:
    """Pixels of each region; `bounds` must cover the values from first to last."""
    n = values.shape[-1]
    edges = np.asarray((0, n) if bounds is None else bounds, dtype=np.intp)
    counts: NDArray[np.intp] = edges[1:] - edges[:-1]
    if edges[0] != 0 or edges[-1] != n or counts.min(initial=0) < 0:
        raise ValueError(f"bounds must rise from 0 to {n}, got {edges.tolist()}")
    return counts


def _enough(counts: ArrayLike) -> Floats:
    """Return the counts as divisors: NaN where there are too few pixels."""
    c = np.asarray(counts, dtype=np.float64)
    return np.where(c >= MIN_PIXELS, c, np.nan)


def _sums(values: Floats, counts: NDArray[np.intp]) -> Floats:
    """Sum of each region along the last axis, 0 for an empty one."""
    # reduceat would return the next pixel for an empty region, so these are left out
    filled = counts > 0
    starts = (np.cumsum(counts) - counts)[filled]
    if starts.size == counts.size > 0:
        total: Floats = np.add.reduceat(values, starts, axis=-1)
        return total
    out = np.zeros((*values.shape[:-1], counts.size))
    if starts.size:
        out[..., filled] = np.add.reduceat(values, starts, axis=-1)
    return out
