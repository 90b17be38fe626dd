from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pallor.simulation.camera import Camera, log_balance_error
from pallor.simulation.optics import Tissue, reflectance
from pallor.simulation.sensor import (
    LIGHTS,
    SENSORS,
    color_matrix,
    light_power,
    sensor_rgb,
    standard_srgb,
)
from pallor.simulation.spectra import on_grid, read_columns, wavelengths
from pallor.simulation.transfer import code_table, decode_srgb, encode_srgb

every_camera = pytest.mark.parametrize(
    ("sensor", "light"), [(sensor, light) for sensor in SENSORS for light in LIGHTS]
)


def peak_nm(curve: np.ndarray) -> int:
    return int(wavelengths()[curve.argmax()])


def test_tables_are_sampled_every_ten_nanometers() -> None:
    for name in ("lights.csv", "sensors.csv", "observer_1931.csv"):
        columns = read_columns(name)
        assert set(np.diff(columns["wavelength_nm"])) == {10.0}
        assert all(values.min() >= 0 for values in columns.values())


def test_lights_are_what_their_names_say() -> None:
    # Ratios of published tables (CIE 15): D65 is bluish, A follows Planck's law at 2856 K.
    d65, a = light_power("d65"), light_power("a")
    at = {nm: wavelengths() == nm for nm in (400, 460, 560, 600, 700)}
    assert d65[at[460]] / d65[at[560]] == pytest.approx(1.178, rel=0.03)
    assert d65[at[600]] / d65[at[560]] == pytest.approx(0.900, rel=0.03)
    planck = {nm: nm**-5.0 / np.expm1(1.4388e7 / (nm * 2856.0)) for nm in (400, 700)}
    assert a[at[700]] / a[at[400]] == pytest.approx(planck[700] / planck[400], rel=0.03)
    bands = np.interp([435, 545, 610], wavelengths(), light_power("fl11"))
    between = np.interp([460, 520, 565, 680], wavelengths(), light_power("fl11"))
    assert bands.min() > between.max()
    for led in ("led_b1", "led_b5"):
        blue = light_power(led)[wavelengths() < 490]
        assert peak_nm(blue) in range(435, 471)


@pytest.mark.parametrize("sensor", SENSORS)
def test_sensors_see_red_green_and_blue(sensor: str) -> None:
    curves = [on_grid("sensors.csv", f"{sensor}_{c}") for c in ("red", "green", "blue")]
    # Layered sensors (Foveon) overlap far more than those with filters.
    red, green, blue = (float(c @ wavelengths() / c.sum()) for c in curves)
    assert red > green + 25 > blue + 50
    assert 570 <= peak_nm(curves[0]) <= 640
    assert 420 <= peak_nm(curves[2]) <= 480


@every_camera
def test_white_stays_white(sensor: str, light: str) -> None:
    assert sensor_rgb(np.ones(161), sensor, light) == pytest.approx([1, 1, 1])
    assert color_matrix(sensor, light).sum(axis=1) == pytest.approx([1, 1, 1])
    assert Camera(sensor, light).balanced_color(np.ones(161)) == pytest.approx([1, 1, 1])


def test_a_perfect_white_is_white_to_the_standard_observer() -> None:
    assert standard_srgb(np.ones(161)) == pytest.approx([1, 1, 1], abs=0.01)


@every_camera
@pytest.mark.parametrize("melanin", [0.02, 0.05, 0.12])
def test_skin_has_the_color_of_skin_under_every_light(
    sensor: str, light: str, melanin: float
) -> None:
    from skimage.color import deltaE_ciede2000, rgb2lab

    skin = reflectance(Tissue(melanin=melanin, sheen=0.02), 13.0)
    seen = Camera(sensor, light).balanced_color(skin)
    labs = [rgb2lab(encode_srgb(np.clip(c, 0, 1))) for c in (seen, standard_srgb(skin))]
    assert deltaE_ciede2000(*labs) < 8  # another skin's tone is as far


def test_white_balance_error_scales_the_channels_of_the_sensor() -> None:
    camera = Camera(white_balance_error=(0.03, 0.0, -0.02), exposure=1.1)
    sensor = np.array([0.3, 0.2, 0.1])
    matrix = color_matrix("nikon_d5100", "d65")
    expected = matrix @ (1.1 * sensor * np.exp([0.03, 0.0, -0.02]))
    assert camera.transform() @ (matrix @ sensor) == pytest.approx(expected)


def test_white_balance_error_has_the_spread_asked_for() -> None:
    rng = np.random.default_rng(0)
    errors = np.array([log_balance_error(rng, 0.03) for _ in range(4000)])
    assert errors.std(axis=0) == pytest.approx([0.03, 0, 0.03], rel=0.05)


def test_noise_is_that_of_photons_and_of_reading() -> None:
    camera = Camera(shot_noise=2e-5, read_noise=1e-3)
    linear = np.array([0.0, 0.25], np.float32)
    assert camera.noise_sigma(linear) == pytest.approx([1e-3, np.sqrt(0.25 * 2e-5 + 1e-6)])


@given(st.floats(0, 1))
def test_transfer_function_is_inverted(value: float) -> None:
    assert decode_srgb(encode_srgb(np.array(value))) == pytest.approx(value, abs=1e-5)


def test_code_table_agrees_with_the_transfer_function() -> None:
    codes = code_table()
    assert codes[0] == 0
    assert codes[-1] == 255
    assert np.all(np.diff(codes.astype(int)) >= 0)
    middle = decode_srgb(np.array(128 / 255)) * (len(codes) - 1)
    assert codes[round(float(middle))] == 128
