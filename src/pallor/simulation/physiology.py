"""People: what is drawn for each simulated participant, for good and for one session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pallor.simulation.optics import Tissue
from pallor.simulation.presets import Preset

HEMOGLOBIN_G_DL: Mapping[str, tuple[float, float]] = {"male": (15.0, 1.2), "female": (13.4, 1.2)}
"""Mean and standard deviation of healthy adults of each sex, up to `AGE_OF_DECLINE_YEARS`."""
AGE_OF_DECLINE_YEARS, DECLINE_G_DL_PER_YEAR = 50.0, 0.025
"""Men lose hemoglobin with age, women do not: the lower limit of normal of men above 60 lies
half a gram below that of younger men, in women it is the same (Beutler and Waalen, Blood
2006;107:1747-1750)."""
ANEMIC_SHARE, ANEMIC_MEAN_DROP_G_DL = 0.15, 1.6
"""Share with anemia, and the mean of the exponential that is subtracted from theirs."""
HEMOGLOBIN_RANGE_G_DL = (5.0, 19.0)
SESSION_CHANGE_G_DL, SESSION_MEMORY = 1.0, 0.6
"""Standard deviation of later sessions about the first one's hemoglobin, in the long run, and
correlation of that change from one session to the next."""
SKIN_SHEEN, LIP_SHEEN = 0.02, 0.015
"""White surface reflection of dry skin and of lips that reaches the camera."""
REFERENCE_HEMOGLOBIN_G_DL = 13.5
"""Hemoglobin at which the coupling of blood volume to hemoglobin is 1."""
SKIN_BLOOD, LIP_BLOOD, SCLERA_BLOOD = 0.02, 0.09, 0.0015
"""Median blood volume fractions."""
SHARED_BLOOD_VARIANCE = 0.6
"""Share of the variance of log blood volume that all tissues of one person have in common."""
LASTING_VARIANCE = 0.7
"""Share of the variance of blood volume, pulse volume and heart rate that a person keeps from
session to session."""
SEX_CUE = 1.15
"""Factor on melanin and on blood volume in men, where sex may be seen."""
TISSUE_NAMES = ("skin", "lips", "lower_lids", "sclera")
"""The tissues of a face, in the order of their draws."""


@dataclass(frozen=True)
class Constitution:
    """What a person keeps from session to session.

    Attributes
    ----------
    sex
        ``female`` or ``male``.
    age_years
        Age; of influence on the hemoglobin of men alone.
    hemoglobin_g_dl
        Hemoglobin in the first session.
    other_hemoglobin_g_dl
        Another draw for the same sex, of no age; what the preset ``null`` renders.
    melanin
        Volume fraction of melanosomes in the epidermis of the face.
    blood_z
        Lasting deviation of the log blood volume, common and of each tissue, in units of its
        standard deviation: ``(5,)``.
    pulse_z, heart_rate_z
        Likewise of the volume pulse and the heart rate.
    vessel_radius_um, epidermis_cm, scattering
        See `optics.Tissue`.
    heart_rate_sd
        Relative standard deviation of the heart rate over time.
    respiration_hz
        Breathing rate.
    notch
        Height of the diastolic against the systolic wave, 0..1.
    sensor
        The camera before which this person sits.
    cue
        Factor on blood volume by which sex may be seen.
    """

    sex: str
    age_years: float
    hemoglobin_g_dl: float
    other_hemoglobin_g_dl: float
    melanin: float
    blood_z: tuple[float, ...]
    pulse_z: float
    heart_rate_z: float
    vessel_radius_um: float
    epidermis_cm: float
    scattering: float
    heart_rate_sd: float
    respiration_hz: float
    notch: float
    sensor: str
    cue: float


@dataclass(frozen=True)
class Person:
    """One simulated participant in one session.

    Attributes
    ----------
    sex, age_years, heart_rate_sd, respiration_hz, notch
        As in `Constitution`.
    hemoglobin_g_dl
        The label.
    rendered_hemoglobin_g_dl
        The hemoglobin that the pixels and the heart rate follow; the label, save in the
        preset ``null``.
    tissues
        Composition of each tissue.
    heart_rate_bpm
        Mean resting heart rate that was drawn.
    volume_pulse
        Peak-to-trough arterial volume pulse as a fraction of the resting blood volume.
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


def lognormal_sigma(cv: float) -> float:
    """Return the standard deviation of the logarithm of what varies log-normally by ``cv``."""
    return float(np.sqrt(np.log1p(cv**2)))


def mean_hemoglobin_g_dl(sex: str, age_years: float) -> float:
    """Mean of healthy people of a sex and age, g/dL."""
    late = max(0.0, age_years - AGE_OF_DECLINE_YEARS) if sex == "male" else 0.0
    return HEMOGLOBIN_G_DL[sex][0] - DECLINE_G_DL_PER_YEAR * late


def draw_hemoglobin(rng: np.random.Generator, sex: str, age_years: float = 40.0) -> float:
    """Draw a hemoglobin in g/dL: normal in each sex, with an anemic tail."""
    deviation = HEMOGLOBIN_G_DL[sex][1]
    normal, is_anemic, drop = rng.standard_normal(), rng.random(), rng.exponential()
    value = mean_hemoglobin_g_dl(sex, age_years) + deviation * normal
    if is_anemic < ANEMIC_SHARE:
        value -= ANEMIC_MEAN_DROP_G_DL * drop
    return float(np.clip(value, *HEMOGLOBIN_RANGE_G_DL))


def draw_constitution(
    rng: np.random.Generator, preset: Preset, sex: str, *, sex_cue: bool = True
) -> Constitution:
    """Draw what stays with a participant.

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
    age_years = float(np.round(rng.uniform(18.0, 80.0), 1))
    label, other = draw_hemoglobin(rng, sex, age_years), draw_hemoglobin(rng, sex)
    cue = SEX_CUE if sex_cue and sex == "male" else 1.0
    z = rng.standard_normal(6)
    blood_z, (pulse_z, heart_rate_z) = rng.standard_normal(5), rng.standard_normal(2)
    radius_sigma = lognormal_sigma(min(0.25, 2 * preset.blood_cv))
    scattering_sigma = lognormal_sigma(min(0.10, preset.blood_cv))
    respiration_hz, sensor = float(rng.uniform(0.20, 0.35)), rng.random()
    return Constitution(
        sex=sex,
        age_years=age_years,
        hemoglobin_g_dl=label,
        other_hemoglobin_g_dl=other,
        melanin=float(np.clip(0.05 * cue * np.exp(preset.melanin_sigma * z[0]), 0.013, 0.30)),
        blood_z=tuple(float(value) for value in blood_z),
        pulse_z=float(pulse_z),
        heart_rate_z=float(heart_rate_z),
        vessel_radius_um=float(10.0 * np.exp(radius_sigma * z[1])),
        epidermis_cm=float(np.clip(0.006 * np.exp(0.08 * z[2]), 0.004, 0.010)),
        scattering=float(np.exp(scattering_sigma * z[3])),
        heart_rate_sd=float(np.clip(0.015 * np.exp(0.4 * z[4]), 0.006, 0.025)),
        respiration_hz=respiration_hz,
        notch=float(np.clip(0.40 + 0.10 * z[5], 0.1, 0.7)),
        sensor=preset.sensors[int(sensor * len(preset.sensors))],
        cue=cue,
    )


def _change_g_dl(normal: np.ndarray) -> float:
    """Hemoglobin of a session less that of the first, from one draw a later session."""
    change = 0.0
    for z in normal:
        fresh = np.sqrt(1.0 - SESSION_MEMORY**2) * z
        change = SESSION_MEMORY * change + SESSION_CHANGE_G_DL * float(fresh)
    return change


def person_in_session(
    constitution: Constitution,
    preset: Preset,
    course: np.random.Generator,
    rng: np.random.Generator,
    session: int,
) -> Person:
    """Draw a participant's state in a session; pure but for the generators.

    Parameters
    ----------
    constitution
        What the person keeps.
    preset
        Spreads.
    course
        Random generator of the course of hemoglobin over the sessions, the same for all
        sessions of a person and at its start.
    rng
        Random generator of this session.
    session
        0, 1, ...; the hemoglobin of session 0 is that of the constitution, later ones drift
        away from it and back.
    """
    changes = course.standard_normal((session, 2))
    label, other = (
        float(np.clip(start + _change_g_dl(changes[:, i]), *HEMOGLOBIN_RANGE_G_DL))
        for i, start in enumerate(
            (constitution.hemoglobin_g_dl, constitution.other_hemoglobin_g_dl)
        )
    )
    rendered = label if preset.pixels_know_hemoglobin else other
    lasting, passing = np.sqrt(LASTING_VARIANCE), np.sqrt(1.0 - LASTING_VARIANCE)
    blood_z = lasting * np.array(constitution.blood_z) + passing * rng.standard_normal(5)
    pulse_z = lasting * constitution.pulse_z + passing * rng.standard_normal()
    rate_z = lasting * constitution.heart_rate_z + passing * rng.standard_normal()
    saturation = float(np.clip(0.70 + 0.03 * rng.standard_normal(), 0.60, 0.78))
    arterial = float(np.clip(0.97 + 0.01 * rng.standard_normal(), 0.93, 0.995))
    tachycardia = 3.0 * max(0.0, 11.0 - rendered)
    return Person(
        sex=constitution.sex,
        age_years=constitution.age_years,
        hemoglobin_g_dl=round(label, 2),
        rendered_hemoglobin_g_dl=round(rendered, 2),
        tissues=_tissues(constitution, preset, rendered, blood_z, saturation, arterial),
        heart_rate_bpm=float(np.clip(72.0 + 10.0 * rate_z + tachycardia, 48.0, 130.0)),
        heart_rate_sd=constitution.heart_rate_sd,
        respiration_hz=constitution.respiration_hz,
        volume_pulse=float(0.022 * np.exp(lognormal_sigma(preset.pulse_cv) * pulse_z)),
        notch=constitution.notch,
    )


def _tissues(
    constitution: Constitution,
    preset: Preset,
    hemoglobin_g_dl: float,
    blood_z: np.ndarray,
    saturation: float,
    arterial: float,
) -> dict[str, Tissue]:
    # Anemia constricts the vessels of the skin: blood volume goes with hemoglobin^c.
    constriction = (hemoglobin_g_dl / REFERENCE_HEMOGLOBIN_G_DL) ** preset.coupling
    sigma = lognormal_sigma(preset.blood_cv)
    common, own = np.sqrt(SHARED_BLOOD_VARIANCE), np.sqrt(1.0 - SHARED_BLOOD_VARIANCE)
    medians = (SKIN_BLOOD, LIP_BLOOD, 1.2 * SKIN_BLOOD, SCLERA_BLOOD)
    blood = {
        name: float(
            median
            * constitution.cue
            * constriction
            * np.exp(sigma * (common * blood_z[0] + own * blood_z[1 + i]))
        )
        for i, (name, median) in enumerate(zip(TISSUE_NAMES, medians, strict=True))
    }
    melanin, radius = constitution.melanin, constitution.vessel_radius_um
    epidermis, scattering = constitution.epidermis_cm, constitution.scattering
    return {
        "skin": Tissue(
            melanin, blood["skin"], saturation, arterial, radius, epidermis, scattering,
            sheen=SKIN_SHEEN,
        ),
        "lips": Tissue(
            lip_melanin(melanin), blood["lips"], saturation, arterial, radius, 0.7 * epidermis,
            scattering, sheen=LIP_SHEEN,
        ),
        "lower_lids": Tissue(
            melanin, blood["lower_lids"], saturation - 0.03, arterial, radius, 0.7 * epidermis,
            scattering, sheen=SKIN_SHEEN,
        ),
        # Clear, strongly scattering collagen with a few conjunctival vessels, no pigment.
        "sclera": Tissue(
            0.0, blood["sclera"], 0.9, arterial, 15.0, 0.0, 2.0 * scattering, 0.15
        ),
    }  # fmt: skip


def lip_melanin(melanin: float) -> float:
    """Melanosome fraction of the lips of someone with ``melanin`` in the face."""
    return 0.013 + 0.4 * (melanin - 0.013)
