"""Shape of the average beat: times, widths, areas, notch, derivatives."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pallor.features.beats import AverageBeat

WIDTH_PERCENT = (10, 25, 33, 50, 66, 75)
"""Heights of the beat, in percent, at which its width is taken."""

HARMONICS = 6
"""Harmonics of the average beat that its derivatives are made of."""

MIN_NOTCH_DELAY_S = 0.08
"""A dent closer to the peak than this is noise on the top of the beat, not the notch."""

SHAPE_NAMES = (
    "crest_time", "decay_time", "crest_fraction", "rise_slope", "decay_slope",
    *(f"width_{percent}" for percent in WIDTH_PERCENT),
    "area", "area_before_peak", "area_after_peak", "ipa", "skewness", "kurtosis",
    "notch_time", "notch_height", "reflection_index", "reflection_delay",
    "vpg_y_w", "apg_b_a", "apg_c_a", "apg_d_a", "apg_e_a", "apg_aging_index",
)  # fmt: skip
"""Names of the quantities that `beat_shape` returns, always all of them."""


def beat_shape(beat: AverageBeat | None) -> dict[str, float]:
    """Return the shape of an average beat.

    Times are in seconds, heights relative to the peak, areas in seconds (height 1), slopes in
    heights a second. Names and definitions after Elgendi 2012, *On the analysis of fingertip
    photoplethysmogram signals*, Curr Cardiol Rev 8:14.

    Parameters
    ----------
    beat
        From `pallor.features.beats.average_beat`.

    Returns
    -------
    dict
        The keys of `SHAPE_NAMES`; NaN where undefined: all without a beat, the notch and what
        hangs on it where the descending limb has none, the later waves of the second
        derivative where they are not there.
    """
    shape = dict.fromkeys(SHAPE_NAMES, float("nan"))
    if beat is None:
        return shape
    y, dt = beat.values, beat.step_s
    peak = int(np.argmax(y))
    if not 0 < peak < len(y) - 1:
        return shape
    velocity, acceleration = _derivatives(y, beat.period_s)
    closed = np.append(y, 0.0)
    before, after = _area(closed[: peak + 1], dt), _area(closed[peak:], dt)
    weight = y / y.sum()
    centered = np.arange(len(y)) * dt - float((np.arange(len(y)) * dt) @ weight)
    variance = float(weight @ centered**2)
    shape |= {
        "crest_time": peak * dt,
        "decay_time": beat.period_s - peak * dt,
        "crest_fraction": peak * dt / beat.period_s,
        "rise_slope": float(velocity[: peak + 1].max()),
        "decay_slope": float(velocity[peak:].min()),
        "area": before + after,
        "area_before_peak": before,
        "area_after_peak": after,
        "skewness": float(weight @ centered**3) / variance**1.5,
        "kurtosis": float(weight @ centered**4) / variance**2,
        "vpg_y_w": float(velocity[peak:].min() / velocity[: peak + 1].max()),
    }
    for percent in WIDTH_PERCENT:
        shape[f"width_{percent}"] = _width(closed, peak, percent / 100) * dt
    return shape | _notch(y, peak, dt) | _acceleration_waves(acceleration, peak)


def _derivatives(
    y: NDArray[np.float64], period_s: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return first and second derivative of a periodic beat from its lower harmonics."""
    spectrum = np.fft.rfft(y)
    spectrum[HARMONICS + 1 :] = 0
    omega = 2j * np.pi * np.arange(len(spectrum)) / period_s
    return np.fft.irfft(spectrum * omega, len(y)), np.fft.irfft(spectrum * omega**2, len(y))


def _area(y: NDArray[np.float64], dt: float) -> float:
    return float((y.sum() - 0.5 * (y[0] + y[-1])) * dt)


def _width(y: NDArray[np.float64], peak: int, height: float) -> float:
    """Return the distance of the crossings nearest to the peak, in steps."""
    left = int(np.flatnonzero(y[:peak] < height)[-1])
    right = peak + int(np.flatnonzero(y[peak:] < height)[0])
    rise = left + (height - y[left]) / (y[left + 1] - y[left])
    fall = right - 1 + (y[right - 1] - height) / (y[right - 1] - y[right])
    return float(fall - rise)


def _notch(y: NDArray[np.float64], peak: int, dt: float) -> dict[str, float]:
    """Return notch and reflected wave: a true minimum and the maximum after it, or nothing."""
    tail = y[peak : peak + int(0.8 * (len(y) - peak))]
    inner = tail[1:-1]
    minima = np.flatnonzero((inner < tail[:-2]) & (inner <= tail[2:])) + 1
    minima = minima[minima * dt >= MIN_NOTCH_DELAY_S]
    maxima = np.flatnonzero((inner > tail[:-2]) & (inner >= tail[2:])) + 1
    if minima.size == 0 or not (maxima > minima[0]).any():
        return {}
    notch = int(minima[0])
    later = maxima[maxima > notch]
    reflected = int(later[np.argmax(tail[later])])
    split = peak + notch
    closed = np.append(y, 0.0)
    return {
        "notch_time": split * dt,
        "notch_height": float(tail[notch]),
        "reflection_index": float(tail[reflected]),
        "reflection_delay": reflected * dt,
        "ipa": _area(closed[split:], dt) / _area(closed[: split + 1], dt),
    }


def _acceleration_waves(acceleration: NDArray[np.float64], peak: int) -> dict[str, float]:
    """Return the waves of the second derivative relative to the first, as far as they exist."""
    n = len(acceleration)
    # The wave `a` may begin before the foot: the beat is periodic, so start a tenth earlier.
    lead = n // 10
    x = np.roll(acceleration, lead)
    a = int(np.argmax(x[: lead + peak + 1]))
    if not x[a] > 0:
        return {}
    sign = np.sign(np.diff(x))
    turning = np.flatnonzero(sign[1:] * sign[:-1] < 0) + 1
    turning = turning[(turning > a) & (turning < lead + int(0.7 * n))]
    waves = dict(zip("bcde", turning[:4], strict=False))
    values = {f"apg_{name}_a": float(x[i] / x[a]) for name, i in waves.items()}
    if len(waves) == 4:
        b, c, d, e = (values[f"apg_{name}_a"] for name in "bcde")
        values["apg_aging_index"] = b - c - d - e
    return values
