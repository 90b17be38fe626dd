"""How far estimates lie from measurements: pure functions of two vectors.

Every function takes measured and predicted hemoglobin in g/dL, ``(n,)`` each, and returns
a float. What is undefined (no pairs, no variance) is NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Interval:
    """A value with the ends of its 95 % confidence interval; NaN where undefined."""

    value: float
    low: float = math.nan
    high: float = math.nan

    def as_dict(self) -> dict[str, float]:
        """Return ``{"value": ..., "low": ..., "high": ...}``."""
        return {"value": self.value, "low": self.low, "high": self.high}


def _pairs(
    measured: ArrayLike, predicted: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    y = np.asarray(measured, dtype=np.float64)
    p = np.asarray(predicted, dtype=np.float64)
    if y.shape != p.shape or y.ndim != 1:
        raise ValueError(f"two vectors of one length are needed, not {y.shape} and {p.shape}")
    return y, p


def mae(measured: ArrayLike, predicted: ArrayLike) -> float:
    """Mean absolute error, g/dL."""
    y, p = _pairs(measured, predicted)
    return float(np.mean(np.abs(p - y))) if y.size else math.nan


def rmse(measured: ArrayLike, predicted: ArrayLike) -> float:
    """Root of the mean squared error, g/dL."""
    y, p = _pairs(measured, predicted)
    return float(np.sqrt(np.mean((p - y) ** 2))) if y.size else math.nan


def bias(measured: ArrayLike, predicted: ArrayLike) -> float:
    """Mean of predicted minus measured, g/dL."""
    y, p = _pairs(measured, predicted)
    return float(np.mean(p - y)) if y.size else math.nan


def r(measured: ArrayLike, predicted: ArrayLike) -> float:
    """Pearson correlation; NaN where either side does not vary."""
    y, p = _pairs(measured, predicted)
    if y.size < 2 or np.ptp(y) == 0 or np.ptp(p) == 0:
        return math.nan
    y, p = y - y.mean(), p - p.mean()
    return float(np.clip(y @ p / math.sqrt((y @ y) * (p @ p)), -1.0, 1.0))


def r2(measured: ArrayLike, predicted: ArrayLike) -> float:
    """Coefficient of determination, ``1 - SSE / SST``.

    SST is taken about the mean of the scored measurements, so 0 is what their own mean
    would reach and a mean learned elsewhere scores below 0. This is not the square of
    Pearson's r: wrong scale and bias count against it. NaN where nothing varies.
    """
    y, p = _pairs(measured, predicted)
    if y.size < 2 or np.ptp(y) == 0:
        return math.nan
    return float(1.0 - np.sum((y - p) ** 2) / np.sum((y - y.mean()) ** 2))


def limits_of_agreement(measured: ArrayLike, predicted: ArrayLike) -> tuple[float, float]:
    """95 % limits of agreement, ``bias -+ 1.96 s`` of predicted minus measured, g/dL.

    ``s`` is the sample standard deviation (n - 1) of the differences: Bland and Altman,
    Lancet 1986;327:307-310.
    """
    y, p = _pairs(measured, predicted)
    if y.size < 2:
        return math.nan, math.nan
    difference = p - y
    half = 1.96 * float(np.std(difference, ddof=1))
    center = float(np.mean(difference))
    return center - half, center + half


def within(measured: ArrayLike, predicted: ArrayLike, tolerance: float = 1.0) -> float:
    """Share of the pairs that differ by at most ``tolerance`` g/dL, 0..1."""
    y, p = _pairs(measured, predicted)
    return float(np.mean(np.abs(p - y) <= tolerance)) if y.size else math.nan
