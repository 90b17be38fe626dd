"""How hard a simulated cohort is: how much of a face's color is hemoglobin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pallor.simulation.sensor import LIGHTS, SENSORS


@dataclass(frozen=True)
class Preset:
    """Spread of everything that hides hemoglobin, or goes along with it.

    Attributes
    ----------
    description
        One sentence.
    participants
        How many people a cohort has unless told otherwise.
    blood_cv
        Coefficient of variation of the blood volume fraction between clips. Skin color
        shows blood volume times hemoglobin, so this bounds what can be known: see
        `oracle.closed_form_r2`.
    white_balance_error
        Standard deviation of ln(R/G) and ln(B/G) between clips.
    coupling
        c in *blood volume ~ hemoglobin^c*: anemic skin vessels are constricted, 0..0.7.
    pulse_cv
        Coefficient of variation of the volume pulse between clips.
    melanin_sigma
        Standard deviation of the logarithm of the melanosome fraction between people.
    exposure_sigma
        Standard deviation of the logarithm of the exposure between clips.
    motion_px
        Typical head displacement in pixels of a 480 pixel frame.
    turns_per_minute
        How often a head quickly settles elsewhere, about four times `motion_px` away.
    light_drift
        Standard deviation of the slow change of the light during a clip, relative.
    timing_jitter
        Standard deviation of the times of the frames, in frame intervals.
    sensors, lights
        Each person has one of these cameras, each session one of these lights.
    pixels_know_hemoglobin
        False: the face is rendered with another hemoglobin, drawn for the same sex.
    """

    description: str
    participants: int
    blood_cv: float
    white_balance_error: float
    coupling: float
    pulse_cv: float
    melanin_sigma: float
    exposure_sigma: float
    motion_px: float
    turns_per_minute: float = 0.0
    light_drift: float = 0.0
    timing_jitter: float = 0.0
    sensors: tuple[str, ...] = ("nikon_d5100",)
    lights: tuple[str, ...] = ("d65",)
    pixels_know_hemoglobin: bool = True


PRESETS: Mapping[str, Preset] = {
    "easy": Preset(
        "Almost everything but hemoglobin is held still: a pipeline that fails here is broken.",
        participants=96,
        blood_cv=0.09,
        white_balance_error=0.01,
        coupling=0.5,
        pulse_cv=0.25,
        melanin_sigma=0.25,
        exposure_sigma=0.05,
        motion_px=0.8,
    ),
    "paper": Preset(
        "In between: color and sex together explain about as much as published face models claim.",
        participants=260,
        blood_cv=0.16,
        white_balance_error=0.015,
        coupling=0.38,
        pulse_cv=0.40,
        melanin_sigma=0.45,
        exposure_sigma=0.10,
        motion_px=1.2,
        light_drift=0.003,
        timing_jitter=0.03,
    ),
    "realistic": Preset(
        "Blood volume, light and cameras vary as they do in life: color adds little to sex.",
        participants=260,
        blood_cv=0.30,
        white_balance_error=0.03,
        coupling=0.0,
        pulse_cv=0.40,
        melanin_sigma=0.60,
        exposure_sigma=0.15,
        motion_px=1.6,
        turns_per_minute=3.0,
        light_drift=0.01,
        timing_jitter=0.10,
        sensors=SENSORS,
        lights=LIGHTS,
    ),
    "null": Preset(
        "Pixels know sex and nothing else of hemoglobin: whatever is found beyond sex is an error.",
        participants=200,
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
