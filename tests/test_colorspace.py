from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pallor.features import colorspace as cs

UNIT = st.floats(0.0, 1.0, allow_nan=False, width=64)
PIXELS = arrays(np.float64, st.tuples(st.integers(1, 30), st.just(3)), elements=UNIT)
CODES = arrays(np.uint8, st.tuples(st.integers(1, 30), st.just(3)))
GAINS = st.floats(0.25, 4.0)


def every_32nd_color() -> np.ndarray:
    axis = np.append(np.arange(0, 256, 32), 255) / 255.0
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)


@given(arrays(np.float64, 20, elements=UNIT))
def test_encoding_undoes_decoding(u):
    np.testing.assert_allclose(cs.linear_to_srgb(cs.srgb_to_linear(u)), u, atol=1e-6)


@given(arrays(np.float64, 20, elements=UNIT))
def test_decoding_rises(u):
    u = np.sort(u)
    # the standard's two branches meet with a step of 1e-8
    assert (np.diff(cs.srgb_to_linear(u)) >= -2e-8).all()


def test_decoding_matches_the_standard_at_known_points():
    # 0.5: ((0.5 + 0.055) / 1.055) ** 2.4 worked out with 30 digits
    np.testing.assert_allclose(
        cs.srgb_to_linear([0.0, 0.04045, 0.5, 1.0]),
        [0.0, 0.04045 / 12.92, 0.21404114048223255, 1.0],
        rtol=1e-14,
    )


def test_xyz_matrix_follows_from_primaries_and_white():
    xy = np.array([[0.64, 0.33], [0.30, 0.60], [0.15, 0.06]])
    primaries = np.stack([xy[:, 0] / xy[:, 1], np.ones(3), (1 - xy.sum(axis=1)) / xy[:, 1]])
    white = np.array([0.3127 / 0.3290, 1.0, (1 - 0.3127 - 0.3290) / 0.3290])
    expected = primaries * np.linalg.solve(primaries, white)
    np.testing.assert_allclose(cs.LINEAR_TO_XYZ, expected, atol=1e-12)
    np.testing.assert_allclose(cs.D65_WHITE, white, atol=1e-12)


def test_hsv_agrees_with_scikit_image():
    color = pytest.importorskip("skimage.color")
    rgb = every_32nd_color()
    ours, theirs = cs.rgb_to_hsv(rgb), color.rgb2hsv(rgb)
    gray = np.ptp(rgb, axis=1) == 0
    assert np.isnan(ours[gray, 0]).all()
    np.testing.assert_allclose(ours[~gray, 0], theirs[~gray, 0] * 360.0, atol=1e-9)
    np.testing.assert_allclose(ours[:, 1:], theirs[:, 1:], atol=1e-12)


def test_lab_agrees_with_scikit_image():
    color = pytest.importorskip("skimage.color")
    rgb = every_32nd_color()
    # scikit-image rounds its matrix to 6 and its white to 5 digits
    np.testing.assert_allclose(cs.rgb_to_lab(rgb), color.rgb2lab(rgb), atol=0.02)


def test_ycbcr_agrees_with_scikit_image():
    color = pytest.importorskip("skimage.color")
    rgb = every_32nd_color()
    # theirs is in studio range, with coefficients rounded to 3 decimals: three half steps,
    # stretched to full range
    studio = color.rgb2ycbcr(rgb) - [16.0, 128.0, 128.0]
    full = studio * 255.0 / [219.0, 224.0, 224.0] + [0.0, 128.0, 128.0]
    np.testing.assert_allclose(cs.rgb_to_ycbcr(255 * rgb), full, atol=3 * 0.0005 * 255 / 219)


@given(CODES)
def test_ycbcr_can_be_undone(codes):
    y, cb, cr = np.moveaxis(cs.rgb_to_ycbcr(codes), -1, 0)
    red, blue = y + 1.402 * (cr - 128), y + 1.772 * (cb - 128)
    green = (y - 0.299 * red - 0.114 * blue) / 0.587
    np.testing.assert_allclose(np.stack([red, green, blue], axis=-1), codes, atol=1e-9)


@given(PIXELS)
def test_hsv_can_be_undone(rgb):
    hue, saturation, value = np.moveaxis(cs.rgb_to_hsv(rgb), -1, 0)
    assert ((hue >= 0) & (hue < 360) | np.isnan(hue)).all()
    hue = np.nan_to_num(hue)
    k = (np.array([5.0, 3.0, 1.0]) + hue[:, None] / 60.0) % 6.0
    chroma = (value * saturation)[:, None]
    back = value[:, None] - chroma * np.clip(np.minimum(k, 4.0 - k), 0.0, 1.0)
    np.testing.assert_allclose(back, rgb, atol=1e-9)


@given(PIXELS)
def test_lab_can_be_undone(linear):
    lightness, a, b = np.moveaxis(cs.linear_to_lab(linear), -1, 0)
    fy = (lightness + 16) / 116
    f = np.stack([fy + a / 500, fy, fy - b / 200], axis=-1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * cs.D65_WHITE
    np.testing.assert_allclose(xyz @ np.linalg.inv(cs.LINEAR_TO_XYZ).T, linear, atol=1e-9)


@given(UNIT)
def test_a_neutral_pixel_has_no_chroma(v):
    lab = cs.linear_to_lab([v, v, v])
    np.testing.assert_allclose(lab[1:], 0.0, atol=1e-9)
    assert cs.rgb_to_hsv([v, v, v])[1] == 0.0
    np.testing.assert_allclose(cs.rgb_to_ycbcr([v, v, v])[1:], 128.0, atol=1e-9)


def test_lightness_at_known_points():
    # L* = 50 at Y = ((50 + 16) / 116)^3
    y = (66 / 116) ** 3
    np.testing.assert_allclose(cs.linear_to_lab([[y] * 3, [1.0] * 3])[:, 0], [50.0, 100.0])


def test_erythema_and_melanin_index_closed_form():
    linear = [0.1, 0.01, 0.5]
    assert cs.erythema_index(linear) == pytest.approx(100.0)
    assert cs.melanin_index(linear) == pytest.approx(100.0)
    assert np.isnan(cs.erythema_index([0.1, 0.0, 0.1]))
    assert np.isnan(cs.melanin_index([0.0, 0.1, 0.1]))


@given(arrays(np.float64, (5, 3), elements=st.floats(0.01, 1.0)), GAINS)
def test_exposure_leaves_erythema_and_unmixed_chromophores_but_moves_melanin_index(linear, gain):
    np.testing.assert_allclose(
        cs.erythema_index(linear * gain), cs.erythema_index(linear), atol=1e-9
    )
    np.testing.assert_allclose(
        cs.melanin_index(linear * gain),
        cs.melanin_index(linear) - 100 * math.log10(gain),
        atol=1e-9,
    )
    before, after = (cs.unmix(cs.optical_density(x)) for x in (linear, linear * gain))
    np.testing.assert_allclose(after[:, :2], before[:, :2], atol=1e-9)


def test_optical_density_counts_from_white_and_has_no_value_for_darkness():
    density = cs.optical_density([0.4, 0.2, 0.0], white=[0.8, 0.2, 1.0])
    np.testing.assert_allclose(density, [math.log(2), 0.0, np.nan])


@pytest.mark.parametrize(
    ("lightness", "b", "angle"),
    [(60.0, 10.0, 45.0), (50.0, 7.0, 0.0), (40.0, 10.0, -45.0), (50 + 3**0.5, 1.0, 60.0)],
)
def test_typology_angle_closed_form(lightness, b, angle):
    assert cs.individual_typology_angle(lightness, b) == pytest.approx(angle)


@given(st.floats(0, 100), st.floats(-50, 0))
def test_typology_angle_of_bluish_color_is_undefined(lightness, b):
    assert np.isnan(cs.individual_typology_angle(lightness, b))


@pytest.mark.parametrize(
    ("angle", "name"),
    [
        (80.0, "very_light"),
        (55.0, "light"),
        (41.0, "intermediate"),
        (28.0, "tan"),
        (10.0, "brown"),
        (-30.0, "dark"),
        (-80.0, "dark"),
        (math.nan, None),
    ],
)
def test_typology_classes_and_their_bounds(angle, name):
    assert cs.ita_category(angle) == name


def test_high_hue_takes_both_sides_of_red_and_needs_saturation():
    hue = [0.0, 15.0, 15.1, 345.0, 344.9, 180.0, 0.0, np.nan]
    saturation = [0.5] * 6 + [0.25, 0.5]
    expected = [True, True, False, True, False, False, False, False]
    assert cs.high_hue(hue, saturation).tolist() == expected
    assert cs.high_hue(hue, saturation, hue_limit=15.5, saturation_floor=0.2).sum() == 6


def test_red_green_index_is_the_hyperbolic_tangent_of_half_the_log_ratio():
    red, green = np.array([0.3, 0.5, 0.9]), np.array([0.3, 0.1, 0.01])
    np.testing.assert_allclose(
        cs.red_green_index(red, green), np.tanh(np.log(red / green) / 2), rtol=1e-12
    )
    assert np.isnan(cs.red_green_index(0.0, 0.0))


# Molar extinction of HbO2 and Hb (1/(cm M)) at 400, 410, ..., 720 nm: S. Prahl's tabulation.
HBO2 = """266232 466840 480360 246072 102580 62816 44480 33209.2 26629.2 23684.4 20932.8 20035.2
24202.4 39956.8 53236 43016 32613.2 44496 50104 14400.8 3200 1506 942 610 442 368 319.6 294
277.6 276 290 314 348"""
HB = """223296 303956 407560 528600 413280 103292 23388.8 16156.4 14550 16684 20862 25773.6
31589.6 39036.4 46592 53412 53788 45072 37020 28324.4 14677.2 9443.6 6509.6 5148.8 4345.2
3750.12 3226.56 2795.12 2407.92 2051.96 1794.28 1540.48 1325.88"""


def camera_density(melanin: float, blood: float) -> np.ndarray:
    nm = np.arange(400.0, 721.0, 10.0)
    hbo2, hb = (np.array(table.split(), dtype=float) for table in (HBO2, HB))
    mu_base = 0.244 + 85.3 * np.exp(-(nm - 154) / 66.2)
    mu_blood = 2.303 * (0.7 * hbo2 + 0.3 * hb) * 150 / 64500
    packing = -np.expm1(-2 * mu_blood * 1e-3) / (2 * mu_blood * 1e-3)
    absorption = blood * packing * mu_blood + (1 - blood) * mu_base
    scattering = 2e5 * nm**-1.5 + 2e12 * nm**-4.0
    epidermis = melanin * 6.6e11 * nm**-3.33 + (1 - melanin) * mu_base
    reflectance = np.exp(-2 * 0.006 * epidermis - 7 / np.sqrt(3 * (1 + scattering / absorption)))
    camera = np.stack(
        [np.exp(-0.5 * ((nm - c) / s) ** 2) for c, s in ((600, 30), (540, 35), (455, 25))]
    )
    return -np.log(camera @ reflectance / camera.sum(axis=1))


def test_unmixing_constants_follow_from_the_reflectance_model():
    h = 1e-4
    by_melanin = (camera_density(0.05 + h, 0.02) - camera_density(0.05 - h, 0.02)) / (2 * h)
    by_blood = camera_density(0.05, 0.02 * math.exp(h)) - camera_density(0.05, 0.02 * math.exp(-h))
    mixing = np.stack([by_melanin, by_blood / (2 * h), np.ones(3)], axis=-1)
    np.testing.assert_allclose(np.linalg.inv(mixing), cs.UNMIXING, rtol=2e-5)
    np.testing.assert_allclose(cs.UNMIXING[:2].sum(axis=1), 0.0, atol=1e-12)


def test_unmixing_separates_blood_from_melanin_in_the_model():
    base = cs.unmix(camera_density(0.05, 0.02))
    more_blood = cs.unmix(camera_density(0.05, 0.022)) - base
    more_melanin = cs.unmix(camera_density(0.06, 0.02)) - base
    assert more_blood[1] == pytest.approx(math.log(1.1), rel=0.05)
    assert abs(more_blood[0]) < 0.1 * 0.01
    assert more_melanin[0] == pytest.approx(0.01, rel=0.05)
    assert abs(more_melanin[1]) < 0.1 * math.log(1.1)
