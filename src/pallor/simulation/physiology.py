"""People and their pulse: what is drawn for each simulated participant, and over time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pallor.simulation.optics import Tissue
from pallor.simulation.presets import Preset

HEMOGLOBIN_G_DL: Mapping[str, tuple[float, float]] = {"male": (15.0, 1.2), "female": (13.4, 1.2)}
"""Mean and standard deviation of healthy adults of each sex."""
ANEMIC_SHARE, ANEMIC_MEAN_DROP_G_DL = 0.15, 1.6
"""Share with anemia, and the mean of the exponential that is subtracted from theirs."""
HEMOGLOBIN_RANGE_G_DL = (5.0, 19.0)
SKIN_SHEEN, LIP_SHEEN = 0.02, 0.015
"""White surface reflection of dry skin and of lips that reaches the camera."""
REFERENCE_HEMOGLOBIN_G_DL = 13.5
"""Hemoglobin at which the coupling of blood volume to hemoglobin is 1."""
SKIN_BLOOD, LIP_BLOOD, SCLERA_BLOOD = 0.02, 0.09, 0.0015
"""Median blood volume fractions."""
SHARED_BLOOD_VARIANCE = 0.6
"""Share of the variance of log blood volume that all tissues of one person have in common."""
SEX_CUE = 1.15
"""Factor on melanin and on blood volume in men, where sex may be seen."""


@dataclass(frozen=True)
class Person:
    """One simulated participant.

    Attributes
    ----------
    sex
        ``female`` or ``male``.
    age_years
        Age; of no influence on anything yet.
    hemoglobin_g_dl
        The label.
    rendered_hemoglobin_g_dl
        The hemoglobin that the pixels and the heart rate follow; the label, save in the
        preset ``null``.
    tissues
        Composition of each tissue.
    heart_rate_bpm
        Mean resting heart rate that was drawn.
    heart_rate_sd
        Relative standard deviation of the heart rate over time.
    respiration_hz
        Breathing rate.
    volume_pulse
        Peak-to-trough arterial volume pulse as a fraction of the resting blood volume.
    notch
        Height of the diastolic against the systolic wave, 0..1.
    """

    sex: str
    age_years: float
    hemoglobin_g_dl: float
    rendered_hemoglobin_g_dl: float
    tissues: Mapping[str, Tissue]
    heart_rate_bpm: float
    heart_rate_sd: float
    respiration_hz: float
    volume_pulse: float
    notch: float


def _lognormal_sigma(cv: float) -> float:
    return float(np.sqrt(np.log1p(cv**2)))


def draw_hemoglobin(rng: np.random.Generator, sex: str) -> float:
    """Draw a hemoglobin in g/dL: normal in each sex, with an anemic tail."""
    mean, deviation = HEMOGLOBIN_G_DL[sex]
    normal, is_anemic, drop = rng.standard_normal(), rng.random(), rng.exponential()
    value = mean + deviation * normal
    if is_anemic < ANEMIC_SHARE:
        value -= ANEMIC_MEAN_DROP_G_DL * drop
    return float(np.clip(value, *HEMOGLOBIN_RANGE_G_DL))


def draw_person(
    rng: np.random.Generator, preset: Preset, sex: str, *, sex_cue: bool = True
) -> Person:
    """Draw one participant.

    Every draw is made for every preset, in one order, so that presets differ in spread only.

    Parameters
    ----------
    rng
        Random generator of this participant.
    preset
        Spreads.
    sex
        ``female`` or ``male``.
    sex_cue
        Whether men get more melanin and more blood in their skin.
    """
    label, other = draw_hemoglobin(rng, sex), draw_hemoglobin(rng, sex)
    rendered = label if preset.pixels_know_hemoglobin else other
    cue = SEX_CUE if sex_cue and sex == "male" else 1.0
    z = rng.standard_normal(14)

    melanin = float(np.clip(0.05 * cue * np.exp(preset.melanin_sigma * z[0]), 0.013, 0.30))
    # Anemia constricts the vessels of the skin: blood volume goes with hemoglobin^c.
    constriction = (rendered / REFERENCE_HEMOGLOBIN_G_DL) ** preset.coupling
    sigma = _lognormal_sigma(preset.blood_cv)
    common, own = np.sqrt(SHARED_BLOOD_VARIANCE), np.sqrt(1.0 - SHARED_BLOOD_VARIANCE)

    def blood(median: float, draw: float) -> float:
        spread = np.exp(sigma * (common * z[1] + own * draw))
        return float(median * cue * constriction * spread)

    saturation = float(np.clip(0.70 + 0.03 * z[5], 0.60, 0.78))
    arterial = float(np.clip(0.97 + 0.01 * z[6], 0.93, 0.995))
    radius = float(10.0 * np.exp(_lognormal_sigma(min(0.25, 2 * preset.blood_cv)) * z[7]))
    scattering = float(np.exp(_lognormal_sigma(min(0.10, preset.blood_cv)) * z[8]))
    epidermis = float(np.clip(0.006 * np.exp(0.08 * z[9]), 0.004, 0.010))
    skin = Tissue(
        melanin,
        blood(SKIN_BLOOD, z[2]),
        saturation,
        arterial,
        radius,
        epidermis,
        scattering,
        sheen=SKIN_SHEEN,
    )
    lips = Tissue(
        0.013 + 0.4 * (melanin - 0.013),
        blood(LIP_BLOOD, z[3]),
        saturation,
        arterial,
        radius,
        0.7 * epidermis,
        scattering,
        sheen=LIP_SHEEN,
    )
    lids = Tissue(
        melanin,
        blood(1.2 * SKIN_BLOOD, z[4]),
        saturation - 0.03,
        arterial,
        radius,
        0.7 * epidermis,
        scattering,
        sheen=SKIN_SHEEN,
    )
    # Clear, strongly scattering collagen with a few conjunctival vessels, no pigment.
    sclera = Tissue(
        0.0, blood(SCLERA_BLOOD, z[4]), 0.9, arterial, 15.0, 0.0, 2.0 * scattering, 0.15
    )

    tachycardia = 3.0 * max(0.0, 11.0 - rendered)
    return Person(
        sex=sex,
        age_years=float(np.round(rng.uniform(18.0, 80.0), 1)),
        hemoglobin_g_dl=round(label, 2),
        rendered_hemoglobin_g_dl=round(rendered, 2),
        tissues={"skin": skin, "lips": lips, "lower_lids": lids, "sclera": sclera},
        heart_rate_bpm=float(np.clip(72.0 + 10.0 * z[10] + tachycardia, 48.0, 130.0)),
        heart_rate_sd=float(np.clip(0.015 * np.exp(0.4 * z[11]), 0.006, 0.025)),
        respiration_hz=float(rng.uniform(0.20, 0.35)),
        volume_pulse=float(0.022 * np.exp(_lognormal_sigma(preset.pulse_cv) * z[12])),
        notch=float(np.clip(0.40 + 0.10 * z[13], 0.1, 0.7)),
    )


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
