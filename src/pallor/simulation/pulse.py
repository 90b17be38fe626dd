"""The pulse of a person over a clip: beats, heart rate variability, breathing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pallor.simulation.physiology import Person


def pulse_shape(phase: NDArray[np.float64], notch: float = 0.4) -> NDArray[np.float64]:
    """Volume pulse over one beat: a systolic and a diastolic wave, two wrapped Gaussians.

    Parameters
    ----------
    phase
        Phase in beats; only its fractional part counts.
    notch
        Height of the diastolic (at .45) against the systolic wave (at .2).

    Returns
    -------
    numpy.ndarray
        Zero mean over a beat, peak-to-trough 1, shape of ``phase``.
    """

    def raw(x: NDArray[np.float64]) -> NDArray[np.float64]:
        total = np.zeros_like(x)
        for center, width, height in ((0.20, 0.09, 1.0), (0.45, 0.13, notch)):
            distance = (x - center + 0.5) % 1.0 - 0.5
            total += height * np.exp(-0.5 * (distance / width) ** 2)
        return total

    beat = raw(np.arange(2000) / 2000.0)
    shape: NDArray[np.float64] = (raw(np.asarray(phase, dtype=float)) - beat.mean()) / np.ptp(beat)
    return shape


@dataclass(frozen=True)
class PulseTrain:
    """A person's pulse over a clip.

    Attributes
    ----------
    time_s
        Presentation times, ``(frames,)``.
    phase
        Beats since the start, ``(frames,)``, increasing.
    volume
        Volume pulse as a fraction of the resting blood volume, ``(frames,)``: pulse times
        breathing modulation plus the slow breathing wave, zero mean over a beat.
    heart_rate_bpm
        Mean heart rate over the clip, which is what a clip can show.
    """

    time_s: NDArray[np.float64]
    phase: NDArray[np.float64]
    volume: NDArray[np.float64]
    heart_rate_bpm: float


def draw_pulse(rng: np.random.Generator, person: Person, time_s: NDArray[np.float64]) -> PulseTrain:
    """Draw a pulse train: heart rate variability, breathing, beats.

    The heart rate varies with blood pressure waves near 0.1 Hz and with breathing (half of
    the variance each); breathing also modulates the pulse's amplitude by a tenth and the
    blood volume by a tenth of the pulse.

    Parameters
    ----------
    rng
        Random generator.
    person
        Whose pulse.
    time_s
        Increasing times in seconds, ``(frames,)``.
    """
    start, low, breath = 2.0 * np.pi * rng.random(3)
    low_hz = rng.uniform(0.08, 0.12)
    rate = person.heart_rate_bpm / 60.0
    fine = np.linspace(time_s[0], max(time_s[-1], time_s[0] + 1e-3), 20 * len(time_s) + 1)
    waves = np.sin(2 * np.pi * low_hz * fine + low)
    waves = waves + np.sin(2 * np.pi * person.respiration_hz * fine + breath)
    instant = rate * (1.0 + person.heart_rate_sd * waves)
    steps = 0.5 * (instant[1:] + instant[:-1]) * np.diff(fine)
    phase_fine = start / (2 * np.pi) + np.concatenate([[0.0], np.cumsum(steps)])
    phase = np.interp(time_s, fine, phase_fine)
    breathing = np.sin(2 * np.pi * person.respiration_hz * time_s + breath)
    beat = pulse_shape(phase, person.notch)
    volume = person.volume_pulse * (beat * (1.0 + 0.1 * breathing) + 0.1 * breathing)
    beats_per_second = (phase_fine[-1] - phase_fine[0]) / (fine[-1] - fine[0])
    return PulseTrain(time_s, phase, volume, float(60.0 * beats_per_second))
