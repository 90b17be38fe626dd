"""Scores as functions of sums over participants, which is what lets them be resampled fast.

``participant_sums`` turns measured and predicted values into one row of sums a participant;
each entry of ``SCORES`` turns such sums, added up over any participants, into a score. What
each score means is said once, at the function of the same name in
``pallor.evaluation.metrics``. A score that also needs ranks is in
``pallor.evaluation.rank_scores``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pallor.evaluation.metrics import TOLERANCE_SLACK

FloatArray = NDArray[np.float64]

(
    _N, _Y, _YY, _P, _PP, _YP, _ABS, _SQ, _CENTER,
    _APE, _IN_HALF, _IN_1, _IN_4_PERCENT, _IN_7_PERCENT,
) = range(14)  # fmt: skip
_ROUNDING: Final = 1e-13
"""Sums of products about the means below this part of the sum itself are rounding."""


def participant_sums(
    measured: FloatArray, predicted: FloatArray, participant: NDArray[np.intp], participants: int
) -> FloatArray:
    """Sum over the units of each participant what every score follows from.

    Parameters
    ----------
    measured, predicted
        g/dL, ``(units,)``.
    participant
        Index of each unit's participant, ``(units,)``, 0..participants-1.
    participants
        Number of participants.

    Returns
    -------
    ``(participants, 14)``: sums of 1, y, y^2, p, p^2, y p, ``|p - y|``, ``(p - y)^2``, the
    constant c, ``|p - y| / measured`` and of being within 0.5 g/dL, 1 g/dL, 4 % and 7 % of the
    measured value; y and p are measured and predicted less c, lest the squares cancel.
    """
    center = float(np.mean(measured)) if measured.size else 0.0
    y, p = measured - center, predicted - center
    error = np.abs(predicted - measured)
    # A percentage of nothing is undefined, and NaN stays NaN in every sum it enters.
    share = error / np.where(measured > 0, measured, np.nan)
    allowed = (0.5, 1.0, 0.04 * measured, 0.07 * measured)
    columns = (
        np.ones_like(y), y, y * y, p, p * p, y * p, error, error**2, np.full_like(y, center), share,
        *((error <= most + TOLERANCE_SLACK).astype(np.float64) for most in allowed),
    )  # fmt: skip
    return np.stack(
        [np.bincount(participant, weights=column, minlength=participants) for column in columns],
        axis=-1,
    )


def about_means(
    product: FloatArray, first: FloatArray, second: FloatArray, n: FloatArray
) -> FloatArray:
    """Sum of products about the means, from the sums of products, of both factors and of 1.

    Exactly 0 where only rounding is left.
    """
    value = product - first * second / n
    return np.where(np.abs(value) <= _ROUNDING * np.abs(product), 0.0, value)


def _mean_of(column: int, factor: float = 1.0) -> Callable[[FloatArray], FloatArray]:
    def score(s: FloatArray) -> FloatArray:
        return factor * s[..., column] / s[..., _N]

    return score


def _rmse(s: FloatArray) -> FloatArray:
    return np.sqrt(s[..., _SQ] / s[..., _N])


def _bias(s: FloatArray) -> FloatArray:
    return (s[..., _P] - s[..., _Y]) / s[..., _N]


def _yy(s: FloatArray) -> FloatArray:
    """Sum of squares of the measured about their mean; NaN where they do not vary."""
    value = about_means(s[..., _YY], s[..., _Y], s[..., _Y], s[..., _N])
    return np.where(value > 0, value, np.nan)


def _pp(s: FloatArray) -> FloatArray:
    """Sum of squares of the predicted about their mean; NaN where they do not vary."""
    value = about_means(s[..., _PP], s[..., _P], s[..., _P], s[..., _N])
    return np.where(value > 0, value, np.nan)


def _yp(s: FloatArray) -> FloatArray:
    return about_means(s[..., _YP], s[..., _Y], s[..., _P], s[..., _N])


def _r(s: FloatArray) -> FloatArray:
    return np.clip(_yp(s) / np.sqrt(_yy(s) * _pp(s)), -1.0, 1.0)


def _r2(s: FloatArray) -> FloatArray:
    return 1.0 - s[..., _SQ] / _yy(s)


def _ccc(s: FloatArray) -> FloatArray:
    return 2.0 * _yp(s) / (_yy(s) + _pp(s) + s[..., _N] * _bias(s) ** 2)


def _calibration_slope(s: FloatArray) -> FloatArray:
    return _yp(s) / _pp(s)


def _calibration_intercept(s: FloatArray) -> FloatArray:
    slope = _calibration_slope(s)
    at_center = (s[..., _Y] - slope * s[..., _P]) / s[..., _N]
    # The line is known about the constant that was taken off both sides.
    return at_center + (1.0 - slope) * s[..., _CENTER] / s[..., _N]


def _prediction_slope(s: FloatArray) -> FloatArray:
    return np.where(np.isnan(_pp(s)), np.nan, _yp(s) / _yy(s))


SCORES: Mapping[str, Callable[[FloatArray], FloatArray]] = MappingProxyType(
    {
        "mae": _mean_of(_ABS),
        "rmse": _rmse,
        "mape_percent": _mean_of(_APE, 100.0),
        "r": _r,
        "r2": _r2,
        "ccc": _ccc,
        "calibration_slope": _calibration_slope,
        "calibration_intercept_g_dl": _calibration_intercept,
        "prediction_slope": _prediction_slope,
        "bias": _bias,
        "within_0_5_g_dl": _mean_of(_IN_HALF),
        "within_1_g_dl": _mean_of(_IN_1),
        "within_4_percent": _mean_of(_IN_4_PERCENT),
        "within_7_percent": _mean_of(_IN_7_PERCENT),
    }
)
"""Scores as functions of sums ``(..., 14)``; ``pallor.evaluation.metrics`` says what each is."""

NEED_VARYING_PREDICTIONS: Final = frozenset(
    {
        "r", "rho", "ccc", "calibration_slope", "calibration_intercept_g_dl", "prediction_slope",
    }
)  # fmt: skip
"""Scores, those of ranks included, that say nothing of a model which predicts a constant.

Pooled over the folds of a cross-validation its constants differ, and go against the outcome
only because what a fold holds is missing from the mean of the others.
"""
