from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pallor.simulation.optics import (
    Tissue,
    baseline_absorption,
    blood_absorption,
    dermis_scattering,
    melanosome_absorption,
    packaging,
    reflectance,
)
from pallor.simulation.sensor import sensor_rgb
from pallor.simulation.spectra import wavelengths

PBV = np.array([0.33, 0.77, 0.53])  # de Haan & van Leest 2014


def ac_over_dc(hb: float, blue_factor: float) -> np.ndarray:
    rest, full = sensor_rgb(
        reflectance(Tissue(), hb, volume_pulse=[0.0, 0.01], blue_factor=blue_factor)
    )
    return 100 * (1 - full / rest)


def log_rg(tissue: Tissue, hb: float) -> float:
    red, green, _ = sensor_rgb(reflectance(tissue, hb))
    return float(np.log(red / green))


@pytest.mark.parametrize(
    ("nm", "per_cm"),
    [(540, 285), (560, 175), (580, 268), (600, 17), (650, 2.0), (450, 336), (420, 2573)],
)
def test_absorption_of_oxygenated_blood_is_as_published(nm: int, per_cm: float) -> None:
    spectrum = blood_absorption(15.0, 1.0)
    assert spectrum[wavelengths() == nm][0] == pytest.approx(per_cm, rel=0.02)


def test_hemoglobins_absorb_alike_at_the_isosbestic_points() -> None:
    difference = blood_absorption(15.0, 1.0) - blood_absorption(15.0, 0.0)
    i = np.flatnonzero(np.diff(np.sign(difference)))
    step = difference[i] / (difference[i] - difference[i + 1])
    crossings = wavelengths()[i] + 2 * step
    assert crossings == pytest.approx([422, 452, 500, 529, 545, 570, 584], abs=1.0)


def test_tissue_constants_have_the_right_units() -> None:
    # Independent values of the formulas in cm^-1, calculated by hand at 500 nm.
    at_500 = wavelengths() == 500
    assert baseline_absorption()[at_500][0] == pytest.approx(0.702, abs=0.001)
    assert melanosome_absorption()[at_500][0] == pytest.approx(679, rel=0.002)
    assert dermis_scattering()[at_500][0] == pytest.approx(49.9, abs=0.1)


def test_packaging_in_ten_micrometer_vessels_is_as_published() -> None:
    factor = packaging(blood_absorption(15.0, 1.0), 10.0)
    assert factor[wavelengths() == 420][0] == pytest.approx(0.19, abs=0.01)
    assert factor[wavelengths() == 540][0] == pytest.approx(0.76, abs=0.01)
    assert packaging(np.array([0.0]), 10.0) == 1.0


def test_average_skin_has_a_plausible_color() -> None:
    # Balanced raw values of a Nikon D5100 under D65, calculated with colour-science 0.4.7.
    color = sensor_rgb(reflectance(Tissue(melanin=0.05, blood=0.02), 13.0))
    assert color == pytest.approx([0.349, 0.233, 0.206], abs=0.0015)


def test_amplitude_of_a_one_percent_volume_pulse_is_plausible() -> None:
    # In percent, with a homogeneous dermis.
    assert ac_over_dc(13.0, blue_factor=1.0) == pytest.approx([0.15, 0.37, 0.36], abs=0.006)


@pytest.mark.parametrize("hb", [7.0, 13.0, 17.0])
def test_pulse_has_the_blood_volume_signature(hb: float) -> None:
    vector = ac_over_dc(hb, blue_factor=0.75)
    cosine = vector @ PBV / np.linalg.norm(vector) / np.linalg.norm(PBV)
    assert cosine > 0.99


@given(
    hb=st.floats(5, 17),
    melanin=st.floats(0.013, 0.40),
    blood=st.floats(0.01, 0.10),
    more=st.floats(0.5, 2.0),
)
def test_more_hemoglobin_is_redder_and_darker(
    hb: float, melanin: float, blood: float, more: float
) -> None:
    tissue = Tissue(melanin=melanin, blood=blood)
    assert log_rg(tissue, hb + more) > log_rg(tissue, hb)
    assert np.all(reflectance(tissue, hb + more) < reflectance(tissue, hb))


@given(hb=st.floats(5, 17), melanin=st.floats(0.013, 0.3))
def test_reflectance_is_a_reflectance(hb: float, melanin: float) -> None:
    spectrum = reflectance(Tissue(melanin=melanin, sheen=0.02), hb)
    assert spectrum.shape == (161,)
    assert np.all((spectrum > 0.02) & (spectrum < 1))


def test_without_packaging_only_the_product_of_blood_and_hemoglobin_shows() -> None:
    # The central limit of the method: halve the one, double the other, nothing changes.
    thin = {"vessel_radius_um": 1e-6}
    one = reflectance(Tissue(blood=0.02, baseline=1e-9, **thin), 8.0)
    other = reflectance(Tissue(blood=0.01, baseline=1e-9, **thin), 16.0)
    assert one == pytest.approx(other, rel=1e-6)
