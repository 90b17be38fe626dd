"""Pulse from color: the published projections, each a pure function.

Every method takes ``rgb (..., n, 3)`` and the frame rate, and returns ``(..., n)``. All of
them

- divide each channel by its mean over time first, so a gain per channel (white balance, von
  Kries) changes nothing;
- return a signal without unit, relative to the mean color and in phase with the green
  *reflectance*: more blood, less light, lower value. Turn the sign for a blood volume;
- return NaN throughout a trace that holds a NaN or a channel whose mean is not positive, or
  fewer than two samples, and zeros for a constant trace. Resample first
  (`pallor.features.filters.resample_uniform`); band-pass afterwards.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pallor.features.filters import bandpass

WINDOW_S = 1.6
"""Length of the sliding window of POS and CHROM: one beat even at 40 bpm."""

PBV_SIGNATURE = (0.33, 0.77, 0.53)
"""Relative pulsatility of R, G, B under white light (de Haan & van Leest 2014)."""

RppgMethod = Callable[[NDArray[np.float64], float], NDArray[np.float64]]


def green(rgb: NDArray[np.floating], fps: float) -> NDArray[np.float64]:
    """Return the relative green channel, ``G / mean(G) - 1``.

    The strongest single channel: Verkruysse, Svaasand, Nelson 2008, *Remote plethysmographic
    imaging using ambient light*, Opt Express 16:21434.

    Parameters
    ----------
    rgb
        ``(..., n, 3)`` color over time, any scale.
    fps
        Frame rate in Hz; not needed here, taken for the common signature.

    Returns
    -------
    numpy.ndarray
        ``(..., n)``.
    """
    del fps
    return _relative(rgb)[..., 1]


def chrom(rgb: NDArray[np.floating], fps: float) -> NDArray[np.float64]:
    """Return the chrominance pulse of de Haan & Jeanne.

    In windows of 1.6 s that overlap by half, with each channel over its mean in the window:
    ``X = 3R - 2G``, ``Y = 1.5R + G - 1.5B``, both band-passed 0.7-4 Hz, ``S = X - alpha Y``
    with ``alpha = std(X) / std(Y)``, Hann window, overlap-add. De Haan & Jeanne 2013, *Robust
    pulse rate from chrominance-based rPPG*, IEEE Trans Biomed Eng 60:2878. The
    sign is turned (``alpha Y - X``), which makes it rise with green. Half a window of
    reflected samples at both ends keeps the sum of the Hann windows at 1 everywhere.

    Parameters
    ----------
    rgb
        ``(..., n, 3)`` color over time, any scale.
    fps
        Frame rate in Hz.

    Returns
    -------
    numpy.ndarray
        ``(..., n)``.
    """
    c = _relative(rgb) + 1.0
    n = c.shape[-2]
    if n < 2:
        return np.asarray(c[..., 0] * np.nan)
    half = max(int(np.ceil(WINDOW_S * fps / 2)), 2)
    blocks = -(-n // half) + 1  # windows, half of each shared with the next
    before, after = half, (blocks + 1) * half - half - n
    padding = [(0, 0)] * (c.ndim - 2) + [(before, after), (0, 0)]
    padded = np.pad(c, padding, mode="reflect")
    halves = padded.reshape(*c.shape[:-2], blocks + 1, half, 3)
    windows = np.concatenate((halves[..., :-1, :, :], halves[..., 1:, :, :]), axis=-2)
    with np.errstate(invalid="ignore", divide="ignore"):
        r, g, b = np.moveaxis(windows / windows.mean(axis=-2, keepdims=True) - 1.0, -1, 0)
        x = bandpass(3 * r - 2 * g, fps, axis=-1)
        y = bandpass(1.5 * r + g - 1.5 * b, fps, axis=-1)
        pulse = _tuned(-x, y)
    pulse = pulse * np.hanning(2 * half + 1)[:-1]
    total = np.zeros((*c.shape[:-2], blocks + 1, half))
    total[..., :-1, :] += pulse[..., :half]
    total[..., 1:, :] += pulse[..., half:]
    return np.asarray(total.reshape(*c.shape[:-2], -1)[..., before : before + n])


def pos(rgb: NDArray[np.floating], fps: float) -> NDArray[np.float64]:
    """Return the plane-orthogonal-to-skin pulse of Wang et al.

    For every window of 1.6 s, with each channel over its mean in the window: ``S1 = G - B``,
    ``S2 = G + B - 2R``, ``h = S1 + alpha S2`` with ``alpha = std(S1) / std(S2)``; where windows,
    each minus its mean, overlap, their mean is taken. Wang, den Brinker, Stuijk, de Haan 2017,
    *Algorithmic principles of remote PPG*, IEEE Trans Biomed Eng 64:1479, algorithm 1; there the
    windows are added, which differs by a constant and lets the pulse fade within 1.6 s of the
    ends.

    A window is a linear combination of the channels with fixed weights, and its mean is zero
    by construction. So the sum over the windows that cover a sample is the sample times the
    moving sum of the weights: ``O(n)``, without a window ever being laid out.

    Parameters
    ----------
    rgb
        ``(..., n, 3)`` color over time, any scale.
    fps
        Frame rate in Hz.

    Returns
    -------
    numpy.ndarray
        ``(..., n)``.
    """
    d = _relative(rgb)
    n = d.shape[-2]
    if n < 2:
        return np.asarray(d[..., 0] * np.nan)
    size = min(max(int(np.ceil(WINDOW_S * fps)), 2), n)
    first, second = np.array([0.0, 1.0, -1.0]), np.array([-2.0, 1.0, 1.0])
    mean = _moving_sum(d, size) / size
    # Second moments of the channels in each window: rr, gg, bb, rg, rb, gb.
    i, j = np.array([0, 1, 2, 0, 0, 1]), np.array([0, 1, 2, 1, 2, 2])
    cov = _moving_sum(d[..., i] * d[..., j], size) / size - mean[..., i] * mean[..., j]
    with np.errstate(invalid="ignore", divide="ignore"):
        w1, w2 = first / (1 + mean), second / (1 + mean)
        twice = np.array([1.0, 1, 1, 2, 2, 2])
        var1 = np.sum(w1[..., i] * w1[..., j] * cov * twice, axis=-1)
        var2 = np.sum(w2[..., i] * w2[..., j] * cov * twice, axis=-1)
        ratio = np.sqrt(np.maximum(var1, 0) / var2)
        alpha = np.where(np.isfinite(ratio), ratio, 0.0)[..., None]
        weight = w1 + alpha * w2
        # Sum of the weights, written so that it is exactly zero for a constant trace.
        offset = -np.sum((first + alpha * second) * mean / (1 + mean), axis=-1, keepdims=True)
    cover = [(0, 0)] * (d.ndim - 2) + [(size - 1, size - 1), (0, 0)]
    summed = _moving_sum(np.pad(np.concatenate((weight, offset), axis=-1), cover), size)
    ends = np.minimum(np.arange(1, n + 1), np.arange(n, 0, -1))
    covering = np.minimum(ends, min(size, n - size + 1))
    return np.asarray((np.sum(d * summed[..., :3], axis=-1) + summed[..., 3]) / covering)


def lgi(rgb: NDArray[np.floating], fps: float) -> NDArray[np.float64]:
    """Return the local-group-invariance pulse of Pilz et al.

    The direction of largest variation (first left singular vector ``u`` of the color, not
    centered, hence nearly the intensity) is projected out: ``P = I - u u'``; the pulse is the
    green component of ``P C``. Pilz, Zaunseder, Krajewski, Blazek 2018, *Local group
    invariance for heart rate estimation from face videos in the wild*, CVPR Workshops,
    1335-1343.

    Parameters
    ----------
    rgb
        ``(..., n, 3)`` color over time, any scale.
    fps
        Frame rate in Hz; not needed here.

    Returns
    -------
    numpy.ndarray
        ``(..., n)``.
    """
    del fps
    d = _relative(rgb)
    bad = np.asarray(np.isnan(d).any(axis=(-2, -1)))
    c = np.where(bad[..., None, None], 0.0, d) + 1.0
    _, vectors = np.linalg.eigh(np.swapaxes(c, -1, -2) @ c)
    return _green_without(d, vectors[..., :, -1])


def pbv(rgb: NDArray[np.floating], fps: float) -> NDArray[np.float64]:
    """Return the pulse of the blood-volume-pulse signature of de Haan & van Leest.

    ``s = C w`` with ``w`` proportional to ``Q^-1 p``, ``Q = C' C`` the covariance of the
    relative colors and ``p`` the signature (0.33, 0.77, 0.53), scaled such that ``w . p = 1``.
    De Haan & van Leest 2014, *Improved motion robustness of remote-PPG by using the blood
    volume pulse signature*, Physiol Meas 35:1913. ``Q`` is taken in the pulse band,
    so that slow drifts do not choose the weights, and over the whole trace. Where ``Q`` is
    singular its pseudo-inverse is used.

    Parameters
    ----------
    rgb
        ``(..., n, 3)`` color over time, any scale.
    fps
        Frame rate in Hz.

    Returns
    -------
    numpy.ndarray
        ``(..., n)``.
    """
    d = _relative(rgb)
    bad = np.asarray(np.isnan(d).any(axis=(-2, -1)))
    clean = np.where(bad[..., None, None], 0.0, d)
    banded = bandpass(clean, fps, axis=-2)
    q = np.swapaxes(banded, -1, -2) @ banded
    signature = np.array(PBV_SIGNATURE)
    w = np.linalg.pinv(q, rcond=1e-10, hermitian=True) @ signature
    norm = w @ signature
    w = w / np.where(norm > 0, norm, 1.0)[..., None]
    return np.asarray(np.einsum("...nc,...c->...n", d, w))


def omit(rgb: NDArray[np.floating], fps: float) -> NDArray[np.float64]:
    """Return the orthogonal-matrix-image-transformation pulse of Casado & Bordallo Lopez.

    QR decomposition of the colors ``C (3, n) = Q R``; the first column ``q`` of ``Q`` is
    projected out, ``P = I - q q'``, and the pulse is the green component of ``P C``. Casado &
    Bordallo Lopez 2023, *Face2PPG: an unsupervised pipeline for blood volume pulse extraction
    from faces*, IEEE J Biomed Health Inform 27:5530. ``q`` is the color of the
    first frame, scaled to length 1, which is all of the decomposition that is computed here.

    Parameters
    ----------
    rgb
        ``(..., n, 3)`` color over time, any scale.
    fps
        Frame rate in Hz; not needed here.

    Returns
    -------
    numpy.ndarray
        ``(..., n)``.
    """
    del fps
    d = _relative(rgb)
    if d.shape[-2] < 2:
        return np.asarray(d[..., 0] * np.nan)
    first = d[..., 0, :] + 1.0
    with np.errstate(invalid="ignore"):
        return _green_without(d, first / np.linalg.norm(first, axis=-1, keepdims=True))


METHODS: dict[str, RppgMethod] = {
    "green": green,
    "chrom": chrom,
    "pos": pos,
    "lgi": lgi,
    "pbv": pbv,
    "omit": omit,
}
"""Methods by name."""


def _relative(rgb: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return ``c / mean(c) - 1`` for each trace; NaN for the whole trace where undefined."""
    c = np.asarray(rgb, dtype=np.float64)
    if c.ndim < 2 or c.shape[-1] != 3:
        raise ValueError(f"rgb must have shape (..., n, 3), not {c.shape}")
    if c.shape[-2] < 2:
        return np.full(c.shape, np.nan)
    mean = c.mean(axis=-2, keepdims=True)
    good = np.isfinite(c).all(axis=(-2, -1), keepdims=True) & (mean > 0).all(-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        d = np.where(good, c / mean - 1.0, np.nan)
    # The mean of equal numbers may differ from them in the last digit.
    constant = c.max(axis=-2, keepdims=True) == c.min(axis=-2, keepdims=True)
    return np.asarray(np.where(constant & good, 0.0, d))


def _moving_sum(x: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Return sums over `size` neighbors along the second last axis, valid ones only."""
    edge = [(0, 0)] * (x.ndim - 2) + [(1, 0), (0, 0)]
    total = np.pad(np.cumsum(x, axis=-2), edge)
    return np.asarray(total[..., size:, :] - total[..., :-size, :])


def _tuned(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``first + alpha second`` with alpha the ratio of their standard deviations."""
    ratio = first.std(axis=-1, keepdims=True) / second.std(axis=-1, keepdims=True)
    return np.asarray(first + np.where(np.isfinite(ratio), ratio, 0.0) * second)


def _green_without(d: NDArray[np.float64], direction: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the green component of ``1 + d`` after projection orthogonal to a unit vector."""
    with np.errstate(invalid="ignore"):
        along = np.einsum("...nc,...c->...n", d, direction)
        # The constant of the projection is left out: an offset, no pulse.
        return np.asarray(d[..., 1] - direction[..., 1, None] * along)
