"""Beats in a pulse signal: their times, and the average beat."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pallor.features.filters import bandpass, upsample

BEAT_RATE_HZ = 250.0
"""Rate of the average beat: steps of 4 ms, far below what 30 frames a second resolve."""

MIN_BEATS = 4
"""Fewest beats that make an average."""

MIN_CORRELATION = 0.5
"""Beats that resemble the median beat less than this are left out of the average."""


@dataclass(frozen=True)
class Beats:
    """Beats of a pulse signal.

    Attributes
    ----------
    peak_s
        ``(k,)`` times of the systolic peaks, seconds from the first sample.
    cut_s
        ``(k + 1,)`` where one beat ends and the next begins, ``cut[i] < peak[i] < cut[i + 1]``:
        the troughs of the fundamental, which noise moves far less than the flat feet.
    """

    peak_s: NDArray[np.float64]
    cut_s: NDArray[np.float64]


@dataclass(frozen=True)
class AverageBeat:
    """Ensemble average of beats, foot to foot.

    Attributes
    ----------
    values
        ``(m,)`` from foot to foot at steps of ``period_s / m``, 0 at the feet, 1 at the peak.
    period_s
        Median length of the beats in seconds.
    beats
        How many beats were averaged.
    correlation
        Mean correlation of all complete beats, kept or not, with the average.
    """

    values: NDArray[np.float64]
    period_s: float
    beats: int
    correlation: float

    @property
    def step_s(self) -> float:
        """Time between two values, seconds."""
        return self.period_s / len(self.values)


def detect_beats(pulse: NDArray[np.float64], fps: float, f0_hz: float) -> Beats:
    """Find the beats of a pulse signal whose rate is known.

    The signal, reduced to a band around its fundamental (0.6 to 1.6 times the rate), has
    exactly one maximum a beat; a systolic peak is the highest maximum of the pulse up to
    three times the rate within a quarter of a period of it, refined by a parabola. Beats
    are cut at the lowest point of the fundamental between two peaks.

    Parameters
    ----------
    pulse
        ``(n,)`` uniform samples that rise with blood volume.
    fps
        Rate in Hz.
    f0_hz
        Heart rate in Hz.

    Returns
    -------
    Beats
        Complete beats, with a cut on each side; possibly none.
    """
    none = Beats(np.empty(0), np.empty(0))
    if not (np.isfinite(pulse).all() and f0_hz > 0 and len(pulse) > 2 * fps / f0_hz):
        return none
    fundamental = bandpass(pulse, fps, 0.6 * f0_hz, 1.6 * f0_hz)
    wide, rate = upsample(bandpass(pulse, fps, 0.5, min(3 * f0_hz, 0.4 * fps)), fps, BEAT_RATE_HZ)
    coarse = np.flatnonzero(
        (fundamental[1:-1] > fundamental[:-2]) & (fundamental[1:-1] >= fundamental[2:])
    )
    reach = int(rate / f0_hz / 4)
    peaks: list[int] = []
    for center in ((coarse + 1) * rate / fps).astype(int):
        first, last = max(center - reach, 1), min(center + reach, len(wide) - 2)
        best = first + int(np.argmax(wide[first : last + 1]))
        # At the limit of the window it is a flank, not a maximum; two beats may not share one.
        if first < best < last and (not peaks or best > peaks[-1] + reach):
            peaks.append(best)
    if len(peaks) < 3:
        return none
    slow, _ = upsample(fundamental, fps, BEAT_RATE_HZ)
    cuts = [a + int(np.argmin(slow[a:b])) for a, b in pairwise(peaks)]
    inner = peaks[1:-1]
    return Beats(
        np.array([_vertex(wide, i) for i in inner]) / rate,
        np.array([_vertex(slow, i) for i in cuts]) / rate,
    )


def average_beat(pulse: NDArray[np.float64], fps: float, beats: Beats) -> AverageBeat | None:
    """Average the beats of a pulse signal at 250 Hz.

    Each beat is stretched to the median length, freed of the line between its ends and added;
    the sum is turned such that it starts at its lowest point, the foot. Beats whose length is
    more than 30 % off the median, or that correlate with the median beat by less than 0.5, are
    left out.

    Parameters
    ----------
    pulse
        ``(n,)`` uniform samples that rise with blood volume.
    fps
        Rate in Hz.
    beats
        From `detect_beats`.

    Returns
    -------
    AverageBeat or None
        None if fewer than 4 beats are left, or they have no height.
    """
    lengths = np.diff(beats.cut_s)
    if len(lengths) < MIN_BEATS:
        return None
    period = float(np.median(lengths))
    # Up to 8 Hz: the notch needs the harmonics that a heart rate does without.
    fine, rate = upsample(bandpass(pulse, fps, 0.5, min(8.0, 0.4 * fps)), fps, BEAT_RATE_HZ)
    count = max(round(period * BEAT_RATE_HZ), 8)
    steps = np.linspace(0.0, 1.0, count + 1)
    at = beats.cut_s[:-1, None] + lengths[:, None] * steps
    cut = np.interp(at.ravel(), np.arange(len(fine)) / rate, fine).reshape(at.shape)
    cut -= cut[:, :1] + (cut[:, -1:] - cut[:, :1]) * steps
    usual = np.abs(lengths - period) <= 0.3 * period
    if usual.sum() < MIN_BEATS:
        return None
    keep = usual & (_correlation(cut, np.median(cut[usual], axis=0)) >= MIN_CORRELATION)
    if keep.sum() < MIN_BEATS:
        return None
    mean = cut[keep].mean(axis=0)
    # Averaging moves the lowest point a little: start the beat there, on a level line.
    mean = np.roll(mean[:-1], -int(np.argmin(mean[:-1])))
    mean = mean - mean.min()
    if not mean.max() > 0:
        return None
    correlation = float(np.mean(_correlation(cut, cut[keep].mean(axis=0))))
    return AverageBeat(mean / mean.max(), period, int(keep.sum()), correlation)


def _vertex(x: NDArray[np.float64], i: int) -> float:
    """Return the position of the extremum near sample `i`, by a parabola."""
    if not 0 < i < len(x) - 1:
        return float(i)
    curvature = x[i - 1] - 2 * x[i] + x[i + 1]
    return float(i + 0.5 * (x[i - 1] - x[i + 1]) / curvature) if curvature != 0 else float(i)


def _correlation(rows: NDArray[np.float64], template: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the correlation of each row with a template; 0 where a row is constant."""
    a = rows - rows.mean(axis=1, keepdims=True)
    b = template - template.mean()
    scale = np.linalg.norm(a, axis=1) * np.linalg.norm(b)
    return np.asarray(np.where(scale > 0, a @ b / np.where(scale > 0, scale, 1.0), 0.0))
