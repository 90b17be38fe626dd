"""Spectrum of a pulse signal and its signal-to-noise ratio."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pallor.features.filters import PULSE_BAND_HZ, bandpass, detrend

SEGMENT_S = 30.0
"""Longest segment whose periodogram is taken whole; longer signals are averaged (Welch)."""

GRID_HZ = 0.005
"""Largest step of the zero-padded spectrum, 0.3 a minute, before peak interpolation."""


@dataclass(frozen=True)
class Spectrum:
    """Power spectral density of a pulse signal.

    Attributes
    ----------
    freq_hz
        ``(k,)`` from 0 to half the rate, zero-padded grid.
    power
        ``(k,)`` density, square of the signal's unit per Hz.
    segments
        How many segments were averaged.
    """

    freq_hz: NDArray[np.float64]
    power: NDArray[np.float64]
    segments: int

    def between(self, low_hz: float, high_hz: float) -> float:
        """Return the power between two frequencies (sum over the grid times its step)."""
        inside = (self.freq_hz >= low_hz) & (self.freq_hz <= high_hz)
        return float(self.power[inside].sum() * (self.freq_hz[1] - self.freq_hz[0]))


def power_spectrum(pulse: NDArray[np.float64], fps: float) -> Spectrum:
    """Return the power spectral density by Welch's method with a Hann window.

    Segments are as long as the signal, 30 s at most, overlap by half and are zero-padded to
    steps of at most 0.005 Hz (Welch 1967, IEEE Trans Audio Electroacoust 15:70).

    Parameters
    ----------
    pulse
        ``(n,)`` uniform samples, ``n >= 2``.
    fps
        Rate in Hz.

    Returns
    -------
    Spectrum
        One-sided density.
    """
    n = len(pulse)
    size = min(n, round(SEGMENT_S * fps))
    step = max(size // 2, 1)
    starts = np.arange(0, n - size + 1, step)
    if starts[-1] + size < n:
        starts = np.append(starts, n - size)
    pieces = np.stack([pulse[s : s + size] for s in starts])
    window = np.hanning(size + 2)[1:-1]
    length = 1 << int(np.ceil(np.log2(max(fps / GRID_HZ, size))))
    pieces = (pieces - pieces.mean(axis=1, keepdims=True)) * window
    density = 2 * np.abs(np.fft.rfft(pieces, length, axis=1)) ** 2 / (fps * (window @ window))
    freq = np.arange(length // 2 + 1, dtype=np.float64) * (fps / length)
    return Spectrum(freq, np.asarray(density.mean(axis=0), dtype=np.float64), len(starts))


def signal_to_noise_db(spectrum: Spectrum, f0_hz: float) -> float:
    """Return the signal-to-noise ratio of de Haan & Jeanne.

    Power within 0.1 Hz of `f0_hz` and within 0.2 Hz of its double, over the remaining power
    between 0.7 and 4 Hz, in dB (de Haan & Jeanne 2013, IEEE Trans Biomed Eng 60:2878: their
    template is five and ten bins of a spectrum in beats a minute; the widths in Hz are those
    in common use since). Everything is counted inside the band only: of a peak near 0.7 Hz the
    part below is lost, and of the double of more than 120 a minute the part above 4 Hz, so
    that signal and rest always add up to the band.

    Parameters
    ----------
    spectrum
        Of the pulse signal.
    f0_hz
        Heart rate in Hz.

    Returns
    -------
    float
        dB; NaN where the band is empty.
    """
    f = spectrum.freq_hz
    near = near_harmonics(f, f0_hz)
    rest_of_band = (f >= PULSE_BAND_HZ[0]) & (f <= PULSE_BAND_HZ[1]) & ~near
    signal = float(spectrum.power[near].sum())
    rest = float(spectrum.power[rest_of_band].sum())
    if not (signal > 0 and rest > 0):
        return float("nan")
    return float(10 * np.log10(signal / rest))


def near_harmonics(freq_hz: NDArray[np.float64], f0_hz: float) -> NDArray[np.bool_]:
    """Tell which frequencies lie within 0.1 Hz of `f0_hz` or 0.2 Hz of its double.

    Parameters
    ----------
    freq_hz
        ``(k,)`` frequencies in Hz; those outside 0.7-4 Hz never count.
    f0_hz
        Heart rate in Hz.

    Returns
    -------
    numpy.ndarray
        ``(k,)``.
    """
    band = (freq_hz >= PULSE_BAND_HZ[0]) & (freq_hz <= PULSE_BAND_HZ[1])
    near = (np.abs(freq_hz - f0_hz) <= 0.1) | (np.abs(freq_hz - 2 * f0_hz) <= 0.2)
    return np.asarray(band & near)


def agreement_at(pulses: NDArray[np.float64], fps: float, f0_hz: float) -> float:
    """Return how well several pulse signals agree around a heart rate.

    Real part of the cross-spectra of all pairs, summed over `near_harmonics`, over the same
    sum of the geometric means of their powers: a correlation that looks at these
    frequencies alone.

    Parameters
    ----------
    pulses
        ``(k, n)`` uniform samples of `k` signals.
    fps
        Rate in Hz.
    f0_hz
        Heart rate in Hz.

    Returns
    -------
    float
        -1..1; NaN for fewer than two signals or without power.
    """
    k, n = pulses.shape
    if k < 2 or not np.isfinite(pulses).all() or not np.isfinite(f0_hz):
        return float("nan")
    length = 1 << int(np.ceil(np.log2(max(fps / GRID_HZ, n))))
    window = np.hanning(n + 2)[1:-1]
    spectra = np.fft.rfft(prepare(pulses.T, fps).T * window, length, axis=1)
    freq = np.arange(length // 2 + 1, dtype=np.float64) * (fps / length)
    at = spectra.compress(near_harmonics(freq, f0_hz), axis=1)
    cross = (at @ at.conj().T).real
    scale = np.sqrt(np.outer(np.diag(cross), np.diag(cross)))
    pairs = np.triu_indices(k, 1)
    total = float(scale[pairs].sum())
    return float(cross[pairs].sum() / total) if total > 0 else float("nan")


def prepare(pulse: NDArray[np.float64], fps: float) -> NDArray[np.float64]:
    """Detrend and band-pass (0.5-4.5 Hz) a pulse signal for its spectrum.

    Parameters
    ----------
    pulse
        ``(n,)`` or ``(n, k)`` uniform samples.
    fps
        Rate in Hz.

    Returns
    -------
    numpy.ndarray
        Same shape.
    """
    return bandpass(detrend(pulse, fps), fps, 0.5, 4.5)


HARMONIC_NAMES = (
    "power_1", "power_2", "power_3", "ratio_2_1", "ratio_3_1", "nha",
    "entropy", "centroid", "band_low", "band_middle", "band_high",
)  # fmt: skip
"""Names of the quantities that `harmonic_features` returns, always all of them."""

SHAPE_BAND_HZ = (0.7, 4.0)
"""Band in which the shape of the spectrum is described."""


def harmonic_features(spectrum: Spectrum | None, f0_hz: float) -> dict[str, float]:
    """Describe the shape of a pulse spectrum.

    Parameters
    ----------
    spectrum
        Of the pulse; None where there is no pulse.
    f0_hz
        Heart rate in Hz.

    Returns
    -------
    dict
        The keys of `HARMONIC_NAMES`. ``power_n``: share of the power between 0.5 and 4.5 Hz
        within 0.1 Hz of the n-th harmonic, NaN where the harmonic lies above 4 Hz;
        ``ratio_n_1`` between these; ``nha`` the share of the harmonics above the first in
        the power of all known ones; ``entropy`` of the normalized spectrum 0.7-4 Hz over its
        maximum, 0..1; ``centroid`` in Hz; bands 0.7-1, 1-2 and 2-4 Hz over 0.7-4 Hz.
    """
    features = dict.fromkeys(HARMONIC_NAMES, float("nan"))
    if spectrum is None:
        return features
    total = spectrum.between(0.5, 4.5)
    if not total > 0:
        return features
    power = {
        n: spectrum.between(n * f0_hz - 0.1, n * f0_hz + 0.1) / total
        for n in (1, 2, 3)
        if n * f0_hz + 0.1 <= SHAPE_BAND_HZ[1]
    }
    features |= {f"power_{n}": value for n, value in power.items()}
    features |= {f"ratio_{n}_1": power[n] / power[1] for n in (2, 3) if n in power}
    if 2 in power:
        features["nha"] = 1 - power[1] / sum(power.values())
    f = spectrum.freq_hz
    inside = (f >= SHAPE_BAND_HZ[0]) & (f <= SHAPE_BAND_HZ[1])
    share = spectrum.power[inside] / spectrum.power[inside].sum()
    logs = np.log(np.where(share > 0, share, 1.0))
    features["entropy"] = float(-(share @ logs) / np.log(len(share)))
    features["centroid"] = float(share @ f[inside])
    for name, low, high in (("low", 0.7, 1.0), ("middle", 1.0, 2.0), ("high", 2.0, 4.0)):
        features[f"band_{name}"] = float(share[(f[inside] >= low) & (f[inside] < high)].sum())
    return features
