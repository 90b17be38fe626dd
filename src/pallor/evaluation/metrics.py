"""How far estimates lie from measurements: pure functions of two vectors.

Every function takes measured and predicted hemoglobin in g/dL, ``(n,)`` each, and returns
a float. What is undefined (no pairs, no variance) is NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

TOLERANCE_SLACK: Final = 1e-9
"""What a difference may exceed a tolerance by, g/dL: 16.1 - 15.1 is not 1 in binary."""


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
    return float(np.mean(np.abs(p - y) <= tolerance + TOLERANCE_SLACK)) if y.size else math.nan


def within_percent(measured: ArrayLike, predicted: ArrayLike, percent: float = 4.0) -> float:
    """Share of the pairs that differ by at most ``percent`` % of the measured value, 0..1.

    4 % is the limit of acceptable performance in proficiency tests of hemoglobin in the
    United States since 2025, 7 % the one before: 42 CFR 493.941.
    """
    y, p = _pairs(measured, predicted)
    allowed = percent / 100.0 * y + TOLERANCE_SLACK
    return float(np.mean(np.abs(p - y) <= allowed)) if y.size else math.nan


def median_absolute_error(measured: ArrayLike, predicted: ArrayLike) -> float:
    """Median of the absolute errors, g/dL; the mean of the middle two where n is even."""
    y, p = _pairs(measured, predicted)
    return float(np.median(np.abs(p - y))) if y.size else math.nan


def mape_percent(measured: ArrayLike, predicted: ArrayLike) -> float:
    """Mean absolute error in percent of the measured value; NaN unless all are above 0."""
    y, p = _pairs(measured, predicted)
    if y.size == 0 or not (y > 0).all():
        return math.nan
    return float(100.0 * np.mean(np.abs(p - y) / y))


def rho(measured: ArrayLike, predicted: ArrayLike) -> float:
    """Spearman rank correlation, ties at their mean rank; NaN where a side does not vary."""
    from scipy.stats import rankdata

    y, p = _pairs(measured, predicted)
    return r(rankdata(y), rankdata(p))


def ccc(measured: ArrayLike, predicted: ArrayLike) -> float:
    """Concordance correlation coefficient, -1..1.

    ``2 s_yp / (s_y^2 + s_p^2 + (mean y - mean p)^2)``, variances dividing by n: the sample
    estimate of Lin, Biometrics 1989;45:255-268. It is r, lessened by what bias and wrong
    scale take away. NaN where either side does not vary, as r.
    """
    y, p = _pairs(measured, predicted)
    if y.size < 2 or np.ptp(y) == 0 or np.ptp(p) == 0:
        return math.nan
    shift = float(p.mean() - y.mean())
    y, p = y - y.mean(), p - p.mean()
    return float(2.0 * (y @ p) / (y @ y + p @ p + y.size * shift**2))


def calibration_slope(measured: ArrayLike, predicted: ArrayLike) -> float:
    """Slope of the measured on the predicted value; 1 where differences mean what they say.

    Below 1, predictions are spread too widely, as after overfitting: Steyerberg, Clinical
    Prediction Models, 2nd edition, 2019. NaN where predictions do not vary.
    """
    return _slope(measured, predicted)


def calibration_intercept_g_dl(measured: ArrayLike, predicted: ArrayLike) -> float:
    """Intercept of the measured on the predicted value, g/dL; 0 where calibrated.

    The value of the regression line of ``calibration_slope`` at a prediction of 0 g/dL, so
    it says little without the slope. NaN where predictions do not vary.
    """
    y, p = _pairs(measured, predicted)
    slope = calibration_slope(y, p)
    return math.nan if math.isnan(slope) else float(y.mean() - slope * p.mean())


def prediction_slope(measured: ArrayLike, predicted: ArrayLike) -> float:
    """Slope of the predicted on the measured value.

    Below 1 where low values are overestimated and high ones underestimated: regression to
    the mean, which a well calibrated model shows too (there the slope is R2). NaN where
    either side does not vary.
    """
    _, p = _pairs(measured, predicted)
    return math.nan if p.size and np.ptp(p) == 0 else _slope(predicted, measured)


def _slope(of: ArrayLike, on: ArrayLike) -> float:
    """Least-squares slope of one on the other; NaN where the other does not vary."""
    y, x = _pairs(of, on)
    if x.size < 2 or np.ptp(x) == 0:
        return math.nan
    x = x - x.mean()
    return float(x @ (y - y.mean()) / (x @ x))
