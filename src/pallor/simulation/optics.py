"""How blood and melanin color tissue: absorption, scattering, diffuse reflectance.

A two-layer model. Light crosses the epidermis twice (melanin), and is scattered back by a
half-space of dermis that holds a volume fraction of blood in vessels:

* absorption of blood and its two hemoglobins: Prahl (OMLC, 1999), tabulated;
* melanosome and blood-free skin absorption, reduced scattering of dermis: Jacques (OMLC,
  *Skin Optics*, 1998), closed formulas;
* vessel packaging (pigment in vessels absorbs less than the same amount spread evenly):
  Duysens (1956), in the form of van Veen et al., Opt. Lett. 27, 246 (2002);
* diffuse reflectance ``exp(-A / sqrt(3 (1 + mu_s' / mu_a)))``: Jacques' fit to Monte Carlo
  runs, with A = 7.

Everything is in centimeters: absorption and scattering in cm^-1, wavelengths in nm,
hemoglobin in g/dL of whole blood.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pallor.simulation.spectra import Spectrum, read_columns, wavelengths

GRAMS_PER_MOLE = 64_500.0
"""Molar mass that belongs to Prahl's table (a tetramer), g/mol."""

DIFFUSE_CONSTANT = 7.0
"""A in Jacques' approximation of the diffuse reflectance of a semi-infinite medium."""

SURFACE_TRANSMISSION = 0.96
"""What Fresnel reflection at the surface (about 4 %) leaves of the diffuse light."""


def blood_absorption(hemoglobin_g_dl: ArrayLike, saturation: ArrayLike) -> Spectrum:
    """Absorption coefficient of whole blood.

    ``mu_a = ln(10) [S eps_oxy + (1 - S) eps_deoxy] c / M`` (Prahl, OMLC).

    Parameters
    ----------
    hemoglobin_g_dl
        Hemoglobin concentration of the blood in g/dL, any shape.
    saturation
        Oxygen saturation 0..1, broadcast against the former.

    Returns
    -------
    numpy.ndarray
        ``(..., 161)`` in cm^-1.
    """
    table = read_columns("hemoglobin_extinction.csv")
    grams_per_liter = 10.0 * np.asarray(hemoglobin_g_dl, dtype=float)[..., None]
    s = np.asarray(saturation, dtype=float)[..., None]
    epsilon = s * table["oxyhemoglobin"] + (1.0 - s) * table["deoxyhemoglobin"]
    absorption: Spectrum = np.log(10.0) * epsilon * grams_per_liter / GRAMS_PER_MOLE
    return absorption


def melanosome_absorption() -> Spectrum:
    """Absorption inside a melanosome, ``6.6e11 l^-3.33`` cm^-1 (Jacques), ``(161,)``."""
    return 6.6e11 * wavelengths() ** -3.33


def baseline_absorption() -> Spectrum:
    """Absorption of skin without blood and melanin, ``(161,)`` in cm^-1.

    ``0.244 + 85.3 exp(-(l - 154) / 66.2)`` (Jacques, OMLC 1998). A version ten times
    smaller circulates (0.0244 and 8.53); it is in mm^-1.
    """
    return 0.244 + 85.3 * np.exp(-(wavelengths() - 154.0) / 66.2)


def dermis_scattering() -> Spectrum:
    """Reduced scattering of dermis, ``2e5 l^-1.5 + 2e12 l^-4`` cm^-1 (Jacques), ``(161,)``."""
    l = wavelengths()  # noqa: E741 - the symbol of the formula
    return 2e5 * l**-1.5 + 2e12 * l**-4.0


def packaging(absorption: Spectrum, vessel_radius_um: float) -> Spectrum:
    """Factor by which vessels absorb less than the same blood spread evenly.

    ``(1 - exp(-2 mu_a r)) / (2 mu_a r)``.

    Parameters
    ----------
    absorption
        Absorption of whole blood in cm^-1, any shape.
    vessel_radius_um
        Mean vessel radius in micrometers, 5..20 in skin.

    Returns
    -------
    numpy.ndarray
        0..1, shape of ``absorption``; 1 where nothing absorbs.
    """
    depth = 2.0 * absorption * vessel_radius_um * 1e-4
    safe = np.where(depth > 1e-12, depth, 1.0)
    return np.where(depth > 1e-12, -np.expm1(-safe) / safe, 1.0)


@dataclass(frozen=True)
class Tissue:
    """What a patch of tissue is made of.

    Attributes
    ----------
    melanin
        Volume fraction of melanosomes in the epidermis; skin .013 (lightest) to .43.
    blood
        Volume fraction of blood in the dermis; skin about .02, lips .05 to .10.
    saturation
        Oxygen saturation of the resting blood, 0..1; tissue .60 to .75.
    arterial_saturation
        Saturation of the blood that a pulse adds, 0..1.
    vessel_radius_um
        Mean vessel radius in micrometers.
    epidermis_cm
        Thickness of the epidermis in centimeters.
    scattering
        Factor on the reduced scattering of dermis.
    baseline
        Factor on the blood-free absorption; 1 is skin, less is clear tissue.
    sheen
        Reflectance of the surface itself, white, that reaches the camera: the part of the
        Fresnel reflection (about .04) that a rough surface sends there.
    """

    melanin: float = 0.05
    blood: float = 0.02
    saturation: float = 0.70
    arterial_saturation: float = 0.97
    vessel_radius_um: float = 10.0
    epidermis_cm: float = 0.006
    scattering: float = 1.0
    baseline: float = 1.0
    sheen: float = 0.0


def pulse_depth(blue_factor: float) -> Spectrum:
    """Weight with which light of each wavelength meets the pulsating vessels, ``(161,)``.

    A homogeneous dermis lets blue light see as much of the pulse as green light does. In
    skin the pulsating plexus lies deep and blue light hardly gets there. The weight is
    ``blue_factor`` below about 480 nm and 1 above 520 nm.
    """
    step = 1.0 / (1.0 + np.exp(-(wavelengths() - 500.0) / 6.0))
    return blue_factor + (1.0 - blue_factor) * step


def reflectance(
    tissue: Tissue,
    hemoglobin_g_dl: ArrayLike,
    *,
    volume_pulse: ArrayLike = 0.0,
    blue_factor: float = 0.75,
) -> Spectrum:
    """Diffuse reflectance spectrum of tissue, sheen included.

    Parameters
    ----------
    tissue
        Composition.
    hemoglobin_g_dl
        Hemoglobin concentration of the blood, g/dL.
    volume_pulse
        Arterial blood added by the pulse as a fraction of the resting blood volume
        (0.01 is a volume pulse of 1 %); broadcast against the former.
    blue_factor
        See `pulse_depth`.

    Returns
    -------
    numpy.ndarray
        ``(..., 161)``, 0..1.
    """
    hb, pulse = np.broadcast_arrays(
        np.asarray(hemoglobin_g_dl, dtype=float), np.asarray(volume_pulse, dtype=float)
    )
    resting = blood_absorption(hb, tissue.saturation)
    arterial = blood_absorption(hb, tissue.arterial_saturation)
    radius = tissue.vessel_radius_um
    added = pulse[..., None] * pulse_depth(blue_factor) * arterial * packaging(arterial, radius)
    base = tissue.baseline * baseline_absorption()
    fraction = tissue.blood
    mu_a = (
        fraction * resting * packaging(resting, radius)
        + fraction * added
        + (1.0 - fraction * (1.0 + pulse[..., None])) * base
    )
    mu_s = tissue.scattering * dermis_scattering()
    dermis = np.exp(-DIFFUSE_CONSTANT / np.sqrt(3.0 * (1.0 + mu_s / mu_a)))
    melanin = tissue.melanin
    epidermis = melanin * melanosome_absorption() + (1.0 - melanin) * base
    result: Spectrum = (
        SURFACE_TRANSMISSION * np.exp(-2.0 * tissue.epidermis_cm * epidermis) * dermis
        + tissue.sheen
    )
    return result
