"""Agreement of estimates with measurements after Bland and Altman.

How far a single estimate may lie from the laboratory's value: the mean difference, and the
limits between which 95 % of the differences are expected if they are normal. Where people
were seen several times, their differences resemble each other, and the variance of one
difference is that between people plus that within them; both come from a one-way analysis
of variance. With one unit a participant this is exactly the simple form.

References: Bland and Altman, Lancet 1986;327:307-310 (limits), Stat Methods Med Res
1999;8:135-160 (their standard errors, sections 2.1 and 5), J Biopharm Stat 2007;17:571-582
(several observations of a true value that varies); Olofsen, Dahan, Borsboom and Drummond,
J Clin Monit Comput 2015;29:127-139 (standard errors with unequal numbers).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pallor.evaluation.bootstrap import percentile_interval, resampled_sums
from pallor.evaluation.metrics import Interval
from pallor.evaluation.sums import FloatArray, about_means

_Z: Final = 1.96
"""Standard deviations from the mean to either limit, as Bland and Altman write it."""

_ONE, _M, _MM, _D, _DD, _WITHIN, _X, _XX, _XD, _Y, _YY, _YD = range(12)


@dataclass(frozen=True)
class BlandAltman:
    """Agreement of one model; differences are predicted minus measured, g/dL.

    With several repeats of the cross-validation every number is computed for each and then
    averaged, ends of intervals included. Intervals are at 95 %. Those named ``bootstrap``
    resample participants and assume nothing of the differences; the others assume that they
    are normal and use Student's t with participants - 1 degrees of freedom.

    Attributes
    ----------
    units, participants
        How many there are.
    bias_g_dl, bias_bootstrap_g_dl
        Mean difference over units.
    sd_g_dl
        Standard deviation of one difference, ``sqrt(between^2 + within^2)``.
    sd_between_g_dl, sd_within_g_dl
        Its parts between and within participants; NaN where nobody has two units.
    lower_limit_g_dl, lower_limit_bootstrap_g_dl, upper_limit_g_dl, upper_limit_bootstrap_g_dl
        Limits of agreement, ``bias -+ 1.96 sd``.
    slope_on_mean
        Slope of the difference on the mean of predicted and measured, interval by bootstrap:
        proportional bias. It is 0 where both vary equally, so below 0 for every model that
        regresses to the mean, -2 for a constant.
    slope_on_reference
        Slope of the difference on the measured value, interval by bootstrap. Below 0 for a
        well calibrated model too, since it cannot know what it does not see.
    """

    units: int
    participants: int
    bias_g_dl: Interval
    bias_bootstrap_g_dl: Interval
    sd_g_dl: float
    sd_between_g_dl: float
    sd_within_g_dl: float
    lower_limit_g_dl: Interval
    lower_limit_bootstrap_g_dl: Interval
    upper_limit_g_dl: Interval
    upper_limit_bootstrap_g_dl: Interval
    slope_on_mean: Interval
    slope_on_reference: Interval

    def as_dict(self) -> dict[str, Any]:
        """Everything by its name; an interval as ``{"value": ..., "low": ..., "high": ...}``."""
        return {
            name: value.as_dict() if isinstance(value, Interval) else value
            for name, value in vars(self).items()
        }


class _Moments(NamedTuple):
    """Of sets of participants, ``(...)`` each: variance components and standard errors."""

    mean: FloatArray
    between: FloatArray
    within: FloatArray
    variance: FloatArray
    mean_error: FloatArray
    limit_error: FloatArray
    slope_on_mean: FloatArray
    slope_on_reference: FloatArray


def _sums(
    measured: FloatArray, difference: FloatArray, participant: NDArray[np.intp], participants: int
) -> FloatArray:
    """Sum over each participant what moments follow from, ``(participants, 12)``.

    The square of a participant's sum of differences is divided by their units, and squares
    within a participant are taken about their own mean, lest they cancel.
    """

    def total(values: FloatArray) -> FloatArray:
        return np.bincount(participant, values, participants).astype(np.float64)

    units = total(np.ones_like(measured))
    present = np.maximum(units, 1.0)
    x, y = measured + difference / 2, measured - measured.mean()
    x = x - x.mean()
    of_person = total(difference)
    residual = difference - (of_person / present)[participant]
    columns = (
        (units > 0).astype(np.float64), units, units**2, of_person, of_person**2 / present,
        total(residual**2), total(x), total(x * x), total(x * difference),
        total(y), total(y * y), total(y * difference),
    )  # fmt: skip
    return np.stack(columns, axis=-1)


def _slope(s: FloatArray, first: int, square: int, product: int) -> FloatArray:
    spread = about_means(s[..., square], s[..., first], s[..., first], s[..., _M])
    together = about_means(s[..., product], s[..., first], s[..., _D], s[..., _M])
    return together / np.where(spread > 0, spread, np.nan)


def _moments(s: FloatArray) -> _Moments:
    """Analysis of variance of the differences from their sums.

    Components: Bland and Altman 2007, a negative one between participants counted as 0.
    Standard errors: a mean square has the variance ``2 MS^2 / df``, and the delta method
    takes it to the standard deviation, as in Bland and Altman 1999. With one unit each that
    is ``s sqrt(1/n + 1.96^2 / (2 (n - 1)))``; with unequal numbers it is an approximation.
    """
    people, units = s[..., _ONE], s[..., _M]
    df_between, df_within = people - 1, units - people
    mean = s[..., _D] / units
    ms_between = np.maximum(s[..., _DD] - s[..., _D] ** 2 / units, 0.0) / df_between
    repeated = df_within > 0
    # Where nobody comes twice, nothing within participants is seen, and nothing is added.
    ms_within = np.where(repeated, s[..., _WITHIN] / np.where(repeated, df_within, 1.0), 0.0)
    each = (units**2 - s[..., _MM]) / (df_between * units)
    between = np.maximum((ms_between - ms_within) / each, 0.0)
    variance = between + ms_within
    var_within = 2 * ms_within**2 / np.where(repeated, df_within, 1.0)
    var_variance = np.where(
        between > 0,
        2 * ms_between**2 / (df_between * each**2) + (1 - 1 / each) ** 2 * var_within,
        var_within,
    )
    var_mean = ms_within / units + between * s[..., _MM] / units**2
    var_sd = var_variance / (4 * np.where(variance > 0, variance, np.inf))
    return _Moments(
        mean=mean,
        between=np.where(repeated, between, np.nan),
        within=np.where(repeated, ms_within, np.nan),
        variance=variance,
        mean_error=np.sqrt(var_mean),
        limit_error=np.sqrt(var_mean + _Z**2 * var_sd),
        slope_on_mean=_slope(s, _X, _XX, _XD),
        slope_on_reference=_slope(s, _Y, _YY, _YD),
    )


def _averaged(values: FloatArray) -> FloatArray:
    return np.asarray(values.mean(axis=0), dtype=np.float64)


def bland_altman(
    measured: FloatArray,
    predicted: FloatArray,
    participant: NDArray[np.intp],
    counts: NDArray[np.uint16],
) -> BlandAltman:
    """Compare the estimates of one model with the measurements.

    Parameters
    ----------
    measured
        g/dL, ``(units,)``.
    predicted
        g/dL, ``(repeats, units)``; computed for each repeat and then averaged, predictions
        never.
    participant
        Index of each unit's participant, ``(units,)``.
    counts
        ``(resamples, participants)`` of ``resample_counts``.

    Returns
    -------
    Bias, limits of agreement and proportional bias with intervals; with fewer than two
    participants only the bias, without ends, and the slopes.
    """
    from scipy.special import stdtrit

    participants = counts.shape[1]
    # Differences less their mean, added again below: equal results, less cancellation.
    differences = predicted - measured
    shift = differences.mean(axis=1, keepdims=True)
    sums = np.stack(
        [_sums(measured, row, participant, participants) for row in differences - shift]
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        seen = _moments(sums.sum(axis=1))
        drawn = _moments(resampled_sums(counts, sums))
        people = len(np.unique(participant))
        t = float(stdtrit(people - 1, 0.975)) if people > 1 else float("nan")

    def of_normal(value: FloatArray, error: FloatArray) -> Interval:
        ends = value, value - t * error, value + t * error
        return Interval(*(float(_averaged(end)) for end in ends))

    def of_resamples(value: FloatArray, replicates: FloatArray) -> Interval:
        return percentile_interval(float(_averaged(value)), _averaged(replicates))

    bias, drawn_bias = seen.mean + shift[:, 0], drawn.mean + shift
    half, drawn_half = _Z * np.sqrt(seen.variance), _Z * np.sqrt(drawn.variance)
    return BlandAltman(
        units=len(measured),
        participants=people,
        bias_g_dl=of_normal(bias, seen.mean_error),
        bias_bootstrap_g_dl=of_resamples(bias, drawn_bias),
        sd_g_dl=float(_averaged(np.sqrt(seen.variance))),
        sd_between_g_dl=float(_averaged(np.sqrt(seen.between))),
        sd_within_g_dl=float(_averaged(np.sqrt(seen.within))),
        lower_limit_g_dl=of_normal(bias - half, seen.limit_error),
        lower_limit_bootstrap_g_dl=of_resamples(bias - half, drawn_bias - drawn_half),
        upper_limit_g_dl=of_normal(bias + half, seen.limit_error),
        upper_limit_bootstrap_g_dl=of_resamples(bias + half, drawn_bias + drawn_half),
        slope_on_mean=of_resamples(seen.slope_on_mean, drawn.slope_on_mean),
        slope_on_reference=of_resamples(seen.slope_on_reference, drawn.slope_on_reference),
    )
