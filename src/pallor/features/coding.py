"""What the encoder's keyframes do to a trace, and whether a peak is made of it.

An intra frame is quantized from scratch, while the frames after it mostly repeat it. So the
color of a region can step at every keyframe and stay until the next one: a staircase without
any blood in it. Two parts are told apart here.

- *Steps of any size and sign*, a new one at each keyframe. Their sum is no periodic signal, so
  their spectrum has peaks anywhere, not only at multiples of the keyframe rate.
- *A waveform that repeats* in each group of pictures (a sawtooth, a rate control that
  recovers). Its peaks lie at multiples of the keyframe rate.

Signals are ``(..., n)`` on a uniform grid; keyframes are given by their positions on it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pallor.features.filters import detrend

JUMP_FRAMES = 3
"""Samples on either side from which a jump is estimated: at 30 frames a second 0.1 s, over
which a pulse of 120 a minute bends by a tenth of its amplitude."""

MAX_KEYFRAME_RATE_HZ = 3.0
"""Upper end of the band of heart rates: faster keyframes have no multiple in it, and where
they come with every frame there is nothing to compare them with."""

MIN_Z = 2.33
"""One-sided 1 % of a standard normal distribution."""

MIN_GROUPS = 3
"""Groups of pictures from which a repeated waveform can be told."""


def keyframe_positions(
    grid_s: NDArray[np.float64],
    fps: float,
    time_s: NDArray[np.float64],
    keyframes: NDArray[np.bool_],
) -> NDArray[np.intp]:
    """Return where on a uniform grid the keyframes lie at which a jump can be measured.

    Parameters
    ----------
    grid_s
        ``(n,)`` seconds, step ``1 / fps``.
    fps
        Rate of the grid in Hz.
    time_s
        ``(frames,)`` times of the frames.
    keyframes
        ``(frames,)`` which of them are keyframes, or empty where that is not known.

    Returns
    -------
    numpy.ndarray
        ``(k,)`` ascending positions, those next to the ends left out. Empty where keyframes
        come more often than 3 times a second or than every 6 samples (codecs that know only
        keyframes): then there is nothing to compare them with.
    """
    n = len(grid_s)
    if len(keyframes) != len(time_s) or n == 0:
        return np.empty(0, np.intp)
    at = np.unique(np.rint((time_s[keyframes] - grid_s[0]) * fps).astype(np.intp))
    at = at[(at >= JUMP_FRAMES) & (at <= n - JUMP_FRAMES)]
    if at.size > 1:
        typical = float(np.median(np.diff(at)))
        if typical < max(2 * JUMP_FRAMES, fps / MAX_KEYFRAME_RATE_HZ * (1 - 1e-9)):
            return at[:0]
    return at


def jumps(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return by how much a signal jumps between each sample and the one before it.

    Least squares over 3 samples before and 3 from the sample on, with a level for each side
    and the mean of both slopes, so that what is straight does not count. The variance is 2.9
    times that of white noise in the signal.

    Parameters
    ----------
    x
        ``(..., n)`` uniform samples.

    Returns
    -------
    numpy.ndarray
        Same shape and unit; NaN where a side is incomplete.
    """
    m = JUMP_FRAMES
    out = np.full(x.shape, np.nan)
    if x.shape[-1] < 2 * m:
        return out
    u = np.arange(m) - (m - 1) / 2
    slope = m / 2 * u / (u @ u)  # half the rise over m samples, by least squares
    weight = np.concatenate((-1.0 / m - slope, 1.0 / m - slope))
    windows = np.lib.stride_tricks.sliding_window_view(x, 2 * m, axis=-1)
    out[..., m : x.shape[-1] - m + 1] = windows @ weight
    return out


def jump_z(x: NDArray[np.float64], at: NDArray[np.intp]) -> float:
    """Return how significantly a signal jumps more at some samples than at the others.

    The rank-sum test of the sizes of the jumps (Mann & Whitney 1947, Ann Math Stat 18:50),
    normal approximation: coded noise is far from Gaussian, and ranks do not mind.

    Parameters
    ----------
    x
        ``(n,)`` uniform samples.
    at
        ``(k,)`` positions to be tested.

    Returns
    -------
    float
        About standard normal where the positions are like the others, large where jumps are
        larger there; NaN for fewer than two positions or no others.
    """
    size = np.abs(jumps(x))
    chosen = np.zeros(len(x), bool)
    chosen[at] = True
    inside, outside = size[chosen & np.isfinite(size)], size[~chosen & np.isfinite(size)]
    k, rest = len(inside), len(outside)
    if k < 2 or rest < 2:
        return float("nan")
    outside.sort()
    below = np.searchsorted(outside, inside, "left") + np.searchsorted(outside, inside, "right")
    exceeded = below.sum() / (2.0 * k * rest)  # ties count half
    return float((exceeded - 0.5) / np.sqrt((k + rest + 1) / (12.0 * k * rest)))


def staircase(x: NDArray[np.float64], at: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the sum of the jumps at some samples: a signal that is constant between them.

    Subtracted, it leaves what changes from frame to frame within the groups of pictures.

    Parameters
    ----------
    x
        ``(..., n)`` uniform samples.
    at
        ``(k,)`` positions, at least 3 samples away from the ends.

    Returns
    -------
    numpy.ndarray
        Same shape and unit, 0 before the first position.
    """
    steps = np.zeros_like(x)
    steps[..., at] = jumps(x)[..., at]
    return np.asarray(np.cumsum(steps, axis=-1))


def keyframe_rate(at: NDArray[np.intp], fps: float) -> float:
    """Return how often keyframes come, Hz; NaN unless they come regularly, four at least.

    Regular: nine of ten intervals differ by at most one sample from the median.
    """
    if at.size <= MIN_GROUPS:
        return float("nan")
    interval = np.diff(at)
    typical = np.median(interval)
    if (np.abs(interval - typical) <= 1).mean() < 0.9:
        return float("nan")
    return float(fps / interval[np.abs(interval - typical) <= 1].mean())


def near_multiple(hz: float, rate_hz: float, resolution_hz: float) -> bool:
    """Tell whether a frequency lies within the resolution of a multiple of a rate."""
    if not (np.isfinite(rate_hz) and rate_hz > 0):
        return False
    order = max(round(hz / rate_hz), 1)
    return abs(hz - order * rate_hz) <= resolution_hz


def locked_waveform(
    x: NDArray[np.float64], at: NDArray[np.intp], fps: float
) -> NDArray[np.float64]:
    """Return the part of a signal that repeats from keyframe to keyframe.

    The mean over the groups of pictures as a function of the time since the last keyframe,
    of the signal without its trend (a drift would become a sawtooth). Of a signal that does
    not follow the keyframes it takes ``1 / groups`` of the power; a sine whose frequency lies
    a multiple of ``1 / duration`` away from the multiples of the keyframe rate stays whole.

    Parameters
    ----------
    x
        ``(..., n)`` uniform samples.
    at
        ``(k,)`` positions of the keyframes.
    fps
        Rate in Hz.

    Returns
    -------
    numpy.ndarray
        Same shape and unit; 0 at phases that fewer than three groups have.
    """
    out = np.zeros(x.shape)
    phase = _phase(x.shape[-1], at)
    flat = detrend(x, fps, axis=-1)
    for p in range(int(phase.max(initial=-1)) + 1):
        members = np.flatnonzero(phase == p)
        if members.size >= MIN_GROUPS:
            out[..., members] = flat[..., members].mean(axis=-1, keepdims=True)
    return out


def waveform_is_sharp(x: NDArray[np.float64], at: NDArray[np.intp], fps: float) -> bool:
    """Tell whether what repeats with the keyframes changes faster than blood does.

    The mean jump of some phase of the group of pictures is significant (4 standard errors,
    for there are tens of phases) and makes up at least half of the range of the repeated
    waveform. From one frame to the next no pulse wave does that: its rise takes 0.1 s and
    more. So a pulse at the very rate of the keyframes is told from their traces.

    Parameters
    ----------
    x
        ``(n,)`` uniform samples.
    at
        ``(k,)`` positions of the keyframes.
    fps
        Rate in Hz.
    """
    if at.size < MIN_GROUPS:
        return False
    jump, phase = jumps(x), _phase(len(x), at)
    by_phase = [jump[(phase == p) & np.isfinite(jump)] for p in range(int(phase.max()) + 1)]
    by_phase = [sizes for sizes in by_phase if sizes.size >= MIN_GROUPS]
    if not by_phase:
        return False
    # Scatter is estimated from few groups, and among tens of phases one seems quiet by chance.
    usual = float(np.sqrt(np.mean([sizes.var(ddof=1) for sizes in by_phase])))
    means = np.array([abs(float(sizes.mean())) for sizes in by_phase])
    errors = [max(float(sizes.std(ddof=1)), usual) / np.sqrt(sizes.size) for sizes in by_phase]
    sharpest = means.max(where=means > 4 * np.array(errors), initial=0.0)
    span = float(np.ptp(locked_waveform(x, at, fps)))
    return bool(sharpest > 0 and sharpest >= 0.5 * span)


def _phase(n: int, at: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the samples since the last keyframe.

    Before the first one they are counted from where the one before it would have been, since
    the keyframe with which a clip begins is not among those at which a jump can be measured.
    """
    if at.size == 0:
        return np.full(n, -1, np.intp)
    position = np.arange(n)
    last = np.searchsorted(at, position, "right") - 1
    typical = int(np.median(np.diff(at))) if at.size > 1 else n
    before = (position - at[0]) % typical
    return np.asarray(np.where(last >= 0, position - at[np.maximum(last, 0)], before))
