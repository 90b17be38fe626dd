"""Variability of the beats, and the respiration that modulates them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pallor.features.filters import bandpass

MIN_DURATION_S = 30.0
"""Shortest signal whose variability is reported: ultra-short SDNN and RMSSD need 10-30 s of
clean electrocardiogram, and a camera is worse."""

MIN_INTERVALS = 15
"""Fewest intervals between neighboring beats."""

RESPIRATION_BAND_HZ = (0.1, 0.5)
"""6 to 30 breaths a minute."""

MAX_SPREAD_PER_MINUTE = 4.0
"""Largest standard deviation between the three estimates of the respiration rate."""


def clean_intervals(peak_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the intervals between beats, NaN for those that a missed or false beat spoiled.

    Parameters
    ----------
    peak_s
        ``(k,)`` times of the beats in seconds.

    Returns
    -------
    numpy.ndarray
        ``(k - 1,)`` seconds; NaN where an interval is off the median by more than 25 %.
    """
    intervals = np.diff(peak_s)
    if intervals.size == 0:
        return intervals
    median = np.median(intervals)
    return np.asarray(np.where(np.abs(intervals - median) <= 0.25 * median, intervals, np.nan))


def variability(peak_s: NDArray[np.float64]) -> dict[str, float]:
    """Return time-domain heart rate variability.

    Task Force of the ESC and NASPE 1996, Circulation 93:1043, table 1. The jitter of the
    camera's beats adds to all three: they are upper bounds.

    Parameters
    ----------
    peak_s
        ``(k,)`` times of the beats in seconds.

    Returns
    -------
    dict
        ``sdnn`` and ``rmssd`` in seconds, ``pnn50`` 0..1 (share of neighboring intervals that
        differ by more than 50 ms); NaN with fewer than 15 clean intervals, or where more than
        a fifth of the intervals is not clean.
    """
    nothing = dict.fromkeys(("sdnn", "rmssd", "pnn50"), float("nan"))
    intervals = clean_intervals(peak_s)
    good = np.isfinite(intervals)
    if good.sum() < MIN_INTERVALS or good.mean() < 0.8:
        return nothing
    steps = np.diff(intervals)
    steps = steps[np.isfinite(steps)]
    if steps.size < 2:
        return nothing
    return {
        "sdnn": float(np.std(intervals[good], ddof=1)),
        "rmssd": float(np.sqrt(np.mean(steps**2))),
        "pnn50": float(np.mean(np.abs(steps) > 0.05)),
    }


def respiration_per_minute(
    pulse: NDArray[np.float64],
    intensity: NDArray[np.float64],
    fps: float,
    peak_s: NDArray[np.float64],
) -> float:
    """Return the respiration rate, if three ways to see it agree.

    Frequency of the beats, amplitude of the beats and baseline each give the peak of their
    spectrum between 0.1 and 0.5 Hz; the mean counts if their standard deviation is at most 4
    a minute (Karlen, Raman, Ansermino, Dumont 2013, IEEE Trans Biomed Eng 60:1946, smart
    fusion).

    Parameters
    ----------
    pulse
        ``(n,)`` band-passed pulse.
    intensity
        ``(n,)`` light of the skin, any unit, not filtered.
    fps
        Rate in Hz.
    peak_s
        ``(k,)`` times of the beats in seconds from the first sample.

    Returns
    -------
    float
        Breaths a minute; NaN where undefined or in disagreement.
    """
    intervals = clean_intervals(peak_s)
    good = np.isfinite(intervals)
    if good.sum() < MIN_INTERVALS:
        return float("nan")
    rate = 4.0
    grid = np.arange(peak_s[0], peak_s[-1], 1 / rate)
    middle = 0.5 * (peak_s[1:] + peak_s[:-1])
    time = np.arange(len(pulse)) / fps
    series = (
        np.interp(grid, middle[good], intervals[good]),
        np.interp(grid, peak_s, np.interp(peak_s, time, pulse)),
        np.interp(grid, time, bandpass(intensity, fps, 0.05, 1.0)),
    )
    rates = [_peak_per_minute(x, rate) for x in series]
    if not np.isfinite(rates).all() or np.std(rates, ddof=1) > MAX_SPREAD_PER_MINUTE:
        return float("nan")
    return float(np.mean(rates))


def _peak_per_minute(x: NDArray[np.float64], rate: float) -> float:
    """Return the frequency of the highest inner maximum of the respiration band, a minute."""
    x = bandpass(x, rate, 0.05, 0.6) * np.hanning(len(x) + 2)[1:-1]
    size = 1 << int(np.ceil(np.log2(max(len(x), rate / 0.002))))
    power = np.abs(np.fft.rfft(x, size)) ** 2
    freq = np.fft.rfftfreq(size, 1 / rate)
    low, high = RESPIRATION_BAND_HZ
    inside = np.flatnonzero((freq > low) & (freq < high))
    peaks = inside[(power[inside] > power[inside - 1]) & (power[inside] >= power[inside + 1])]
    return float(60 * freq[peaks[np.argmax(power[peaks])]]) if peaks.size else float("nan")
