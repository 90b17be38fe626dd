"""Amplitude of the pulse in a noisy channel: regression on a reference, near the heart rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pallor.features.filters import detrend, detrend_gain

COMB_HZ = (0.2, 0.4)
"""Half width of the bands around the heart rate and its double; the double varies twice as much."""

MIN_RELIABILITY = 0.1
"""Below this correlation between regions there is no reference to lock on."""


@dataclass(frozen=True)
class Reference:
    """A pulse waveform to lock on, known by its Fourier coefficients near the heart rate.

    Attributes
    ----------
    coefficients
        ``(k,)`` complex, mean of the regions' coefficients, each region at unit power.
    reliability
        Share of the reference's power that is pulse, 0..1 (Spearman-Brown).
    reliability_se
        Its standard error.
    """

    coefficients: NDArray[np.complex128]
    reliability: float
    reliability_se: float


class LockIn:
    """Amplitudes and delays of channels relative to the pulse, in two narrow bands.

    Band-spectrum regression (Engle 1974, *Band spectrum regression*, Int Econ Rev 15:1):
    ordinary least squares on the Fourier coefficients within 0.2 Hz of the heart rate and
    0.4 Hz of its double. Noise there counts with the density that it has there, so
    autocorrelated noise needs no further correction.

    Parameters
    ----------
    n
        Samples.
    fps
        Rate in Hz.
    f0_hz
        Heart rate in Hz.
    """

    def __init__(self, n: int, fps: float, f0_hz: float) -> None:
        # Whole periods only: of a broken one, power would leak out of the bands.
        self.n = min(n, round(int(n * f0_hz / fps + 1e-6) * fps / f0_hz))
        self.fps, self.f0_hz = fps, f0_hz
        freq = np.fft.rfftfreq(self.n, 1 / fps)
        top = min(0.45 * fps, 2 * f0_hz + COMB_HZ[1])
        first = np.abs(freq - f0_hz) <= COMB_HZ[0]
        second = (np.abs(freq - 2 * f0_hz) <= COMB_HZ[1]) & (freq <= top) & ~first
        self.bins = np.flatnonzero(first | second)
        self.harmonic = np.where(second[self.bins], 1, 0)
        self.gain = detrend_gain(np.asarray(freq[self.bins], dtype=np.float64), fps)

    def coefficients(self, x: NDArray[np.float64]) -> NDArray[np.complex128]:
        """Return the Fourier coefficients in the bands, free of drift and its removal's gain.

        Parameters
        ----------
        x
            ``(n, ...)`` uniform samples.

        Returns
        -------
        numpy.ndarray
            ``(k, ...)`` complex.
        """
        gain = self.gain.reshape((-1,) + (1,) * (x.ndim - 1))
        return np.asarray(np.fft.rfft(detrend(x, self.fps)[: self.n], axis=0)[self.bins] / gain)

    def reference(self, pulses: NDArray[np.float64], use: tuple[int, ...]) -> Reference | None:
        """Build a reference from the pulse signals of some regions.

        Regions see the same pulse with noise of their own, so the correlation `r` between
        their signals is the share of a signal's power that is pulse, and that of a mean of
        `k` is ``k r / (1 + (k - 1) r)`` (Spearman-Brown prophecy formula; Spearman 1910, Br J
        Psychol 3:271). Without it the noise of the reference would shrink every amplitude.

        Parameters
        ----------
        pulses
            ``(regions, n)``; the correlation is the mean over all pairs.
        use
            Which of them make up the reference: those whose noise is not in the channel that
            is to be measured.

        Returns
        -------
        Reference or None
            None if there are fewer than two regions, none to use, or no correlation.
        """
        if len(pulses) < 2 or not use:
            return None
        p = self.coefficients(pulses.T).T
        power = np.sqrt((np.abs(p) ** 2).sum(axis=1, keepdims=True))
        if not (power > 0).all():
            return None
        p = p / power
        gram = (p @ p.conj().T).real
        r = float(gram[np.triu_indices(len(p), 1)].mean())
        if not r > MIN_RELIABILITY:
            return None
        k = len(use)
        slope = k / (1 + (k - 1) * r) ** 2
        # Error of a correlation over 2k real numbers; the pairs share signals, so of n regions
        # n - 1 pairs count as independent.
        r_se = (1 - r * r) / np.sqrt(2 * p.shape[1] * (len(p) - 1))
        return Reference(
            np.asarray(p[list(use)].mean(axis=0)), k * r / (1 + (k - 1) * r), slope * r_se
        )

    def amplitude(
        self, x: NDArray[np.float64], reference: Reference
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the signed pulse amplitude of channels and its standard error.

        The amplitude is ``2 sqrt(2)`` times the root mean square of the channel's pulse
        component: peak to trough of the sine of equal power. It is linear in the channel,
        hence without bias at any noise, where the standard deviation of the band-passed
        channel rises with the noise. Positive means in phase with the reference.

        In simulation with 1/f noise the errors agree with the stated ones within 20 % from 15 s
        on; at 10 s, with a dozen coefficients, they are 1.3 to 1.5 times as large.

        Parameters
        ----------
        x
            ``(n, c)`` uniform samples of the channels.
        reference
            From `reference`.

        Returns
        -------
        tuple
            Amplitudes and standard errors, ``(c,)`` each, in the unit of `x`.
        """
        c = self.coefficients(x)
        p = reference.coefficients
        p2 = np.abs(p) ** 2
        power = float(p2.sum())
        projected = (c * p.conj()[:, None]).real.sum(axis=0)
        residual = np.abs(c - projected / power * p[:, None]) ** 2
        # The residual also holds noise of the reference. That noise moves numerator and square
        # root of the power alike and cancels to first order, so it is taken out, spread evenly.
        rel = reference.reliability
        foreign = (projected / power) ** 2 * power * (1 - rel) / rel / len(p)
        # Noise density of each harmonic by itself: it falls with frequency. Of the 2k degrees of
        # freedom (real and imaginary part of k coefficients) the slope took one, in the main
        # where the power is.
        density = np.zeros_like(residual)
        for h in (0, 1):
            at = self.harmonic == h
            if at.any():
                freedom = 2 * int(at.sum())
                lost = float(p2[at].sum()) / power
                found = residual[at].mean(axis=0)
                own = np.maximum(found - foreign, 0.1 * found)
                density[at] = own * freedom / (freedom - lost)
        projected_se = np.sqrt((p2[:, None] * density).sum(axis=0) / 2)
        scale = 4 / (self.n * np.sqrt(reference.reliability * power))
        amplitude = scale * projected
        relative = 0.5 * reference.reliability_se / reference.reliability
        return amplitude, np.hypot(scale * projected_se, amplitude * relative)

    def lag_s(self, x: NDArray[np.float64], reference: NDArray[np.complex128]) -> float:
        """Return by how much a signal lags behind a reference, seconds.

        Phase of the cross-spectrum summed over the band of the fundamental, over
        ``2 pi f0``.

        Parameters
        ----------
        x
            ``(n,)`` uniform samples.
        reference
            ``(k,)`` Fourier coefficients in the bands.

        Returns
        -------
        float
            Positive if `x` comes later, within half a period; NaN where the coherence is not
            significant: ``|coherence|^2 <= 1 - 0.01^(1 / (k - 1))``, the 1 % level of `k`
            independent coefficients (Carter 1987, Proc IEEE 75:236).
        """
        at = self.harmonic == 0
        c, p = self.coefficients(x)[at], reference[at]
        cross = complex((c * p.conj()).sum())
        power = float((np.abs(c) ** 2).sum() * (np.abs(p) ** 2).sum())
        k = int(at.sum())
        if k < 2 or not power > 0 or abs(cross) ** 2 / power <= 1 - 0.01 ** (1 / (k - 1)):
            return float("nan")
        return float(-np.angle(cross) / (2 * np.pi * self.f0_hz))
