"""Spectrum of a pulse signal, heart rate, signal-to-noise ratio, and whether there is a pulse."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pallor.features.filters import PULSE_BAND_HZ, bandpass, detrend

SEARCH_BAND_HZ = (0.7, 3.0)
"""Where the heart rate is looked for: 42 to 180 a minute."""

MIN_DURATION_S = 5.0
"""Below this a heart rate is not defined: fewer than four beats at 45 a minute."""

MIN_FPS = 8.0
"""Below this rate the band up to 4 Hz cannot be seen."""

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


@dataclass(frozen=True)
class HeartRate:
    """Heart rate and how far it stands out. NaN throughout where undefined.

    Attributes
    ----------
    bpm
        Frequency of the highest spectral peak, beats a minute.
    snr_db
        Power around the peak and its double over the rest of the band, dB; see
        `signal_to_noise_db`.
    peak_ratio
        Height of the peak over that of the highest other peak of the search band that lies
        neither within 0.2 Hz of it nor at its double; infinite if there is none.
    duration_s
        Length of the signal, seconds.
    """

    bpm: float
    snr_db: float
    peak_ratio: float
    duration_s: float

    @property
    def hz(self) -> float:
        """Heart rate in Hz."""
        return self.bpm / 60.0


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
    return Spectrum(np.fft.rfftfreq(length, 1 / fps), density.mean(axis=0), len(starts))


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
    band = (f >= PULSE_BAND_HZ[0]) & (f <= PULSE_BAND_HZ[1])
    near = (np.abs(f - f0_hz) <= 0.1) | (np.abs(f - 2 * f0_hz) <= 0.2)
    signal = float(spectrum.power[band & near].sum())
    rest = float(spectrum.power[band & ~near].sum())
    if not (signal > 0 and rest > 0):
        return float("nan")
    return float(10 * np.log10(signal / rest))


def estimate_heart_rate(
    pulse: NDArray[np.float64], fps: float, search_hz: tuple[float, float] = SEARCH_BAND_HZ
) -> HeartRate:
    """Return the heart rate of a pulse signal.

    The signal is detrended and band-passed (0.5-4.5 Hz, wider than the band that is judged, so
    that the filter's edges do not shape the spectrum inside); the highest local maximum of
    its spectrum in the search band is refined by a parabola through the logarithms of three
    bins. A maximum at the very edge of the search band is the flank of something outside and
    does not count.

    There is no guard against half or double rates: in the light reflected by skin the
    fundamental outweighs the second harmonic, while a rule that prefers half the rate would
    turn every signal with respiration or drift below it into an error.

    Parameters
    ----------
    pulse
        ``(n,)`` uniform samples in any unit.
    fps
        Rate in Hz.
    search_hz
        Where to look; up to 4 Hz makes sense (infants, exercise).

    Returns
    -------
    HeartRate
        NaN for signals that are shorter than 5 s, slower than 8 Hz, not finite or constant.
    """
    x = np.asarray(pulse, dtype=np.float64)
    duration = len(x) / fps if fps > 0 else float("nan")
    nothing = HeartRate(float("nan"), float("nan"), float("nan"), duration)
    if not (fps >= MIN_FPS and duration >= MIN_DURATION_S and np.isfinite(x).all()):
        return nothing
    # Rounding leaves a residue of about 1e-16 of the signal's size: no pulse is that small.
    if np.ptp(x) <= 1e-9 * np.abs(x).max() or np.ptp(x) < 1e-12:
        return nothing
    spectrum = power_spectrum(prepare(x, fps), fps)
    f, p = spectrum.freq_hz, spectrum.power
    inside = np.flatnonzero((f > search_hz[0]) & (f < search_hz[1]))
    peaks = inside[(p[inside] > p[inside - 1]) & (p[inside] >= p[inside + 1])]
    if peaks.size == 0:
        return nothing
    best = int(peaks[np.argmax(p[peaks])])
    left, middle, right = np.log(np.maximum(p[best - 1 : best + 2], np.finfo(float).tiny))
    curvature = left - 2 * middle + right
    shift = 0.5 * (left - right) / curvature if curvature < 0 else 0.0
    f0 = float(f[best] + shift * (f[1] - f[0]))
    others = peaks[(np.abs(f[peaks] - f0) > 0.2) & (np.abs(f[peaks] - 2 * f0) > 0.2)]
    ratio = float(p[best] / p[others].max()) if others.size else float("inf")
    return HeartRate(60 * f0, signal_to_noise_db(spectrum, f0), ratio, duration)


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
