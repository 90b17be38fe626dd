"""How hard a simulated cohort is: how much of a face's color is hemoglobin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Preset:
    """Spread of everything that hides hemoglobin, or goes along with it.

    Attributes
    ----------
    description
        One sentence.
    blood_cv
        Coefficient of variation of the blood volume fraction between people. Skin color
        shows blood volume times hemoglobin, so this bounds what can be known: R^2 of a
        perfect observer is about ``CV_hb^2 / (CV_hb^2 + blood_cv^2)``.
    white_balance_error
        Standard deviation of ln(R/G) and ln(B/G) between clips.
    coupling
        c in *blood volume ~ hemoglobin^c*: anemic skin vessels are constricted, 0..0.7.
    pulse_cv
        Coefficient of variation of the volume pulse between people.
    melanin_sigma
        Standard deviation of the logarithm of the melanosome fraction between people.
    exposure_sigma
        Standard deviation of the logarithm of the exposure between clips.
    motion_px
        Typical head displacement in pixels of a 480 pixel frame.
    pixels_know_hemoglobin
        False: the face is rendered with another hemoglobin, drawn for the same sex.
    """

    description: str
    blood_cv: float
    white_balance_error: float
    coupling: float
    pulse_cv: float
    melanin_sigma: float
    exposure_sigma: float
    motion_px: float
    pixels_know_hemoglobin: bool = True


PRESETS: Mapping[str, Preset] = {
    "easy": Preset(
        "Almost everything but hemoglobin is held still: a pipeline that fails here is broken.",
        blood_cv=0.09,
        white_balance_error=0.01,
        coupling=0.5,
        pulse_cv=0.25,
        melanin_sigma=0.25,
        exposure_sigma=0.05,
        motion_px=0.8,
    ),
    "paper": Preset(
        "In between: sex and color together explain about as much as published face models claim.",
        blood_cv=0.12,
        white_balance_error=0.015,
        coupling=0.4,
        pulse_cv=0.40,
        melanin_sigma=0.45,
        exposure_sigma=0.10,
        motion_px=1.2,
    ),
    "realistic": Preset(
        "Blood volume and white balance vary as they do in life: color adds little to sex.",
        blood_cv=0.30,
        white_balance_error=0.03,
        coupling=0.0,
        pulse_cv=0.40,
        melanin_sigma=0.60,
        exposure_sigma=0.15,
        motion_px=1.6,
    ),
    "null": Preset(
        "Pixels know sex and nothing else of hemoglobin: whatever is found beyond sex is an error.",
        blood_cv=0.09,
        white_balance_error=0.01,
        coupling=0.5,
        pulse_cv=0.25,
        melanin_sigma=0.25,
        exposure_sigma=0.05,
        motion_px=0.8,
        pixels_know_hemoglobin=False,
    ),
}
"""Presets by name."""
