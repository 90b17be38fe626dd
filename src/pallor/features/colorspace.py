"""Color spaces and skin color indices: pure, vectorized, float64.

Unless said otherwise ``rgb`` is ``(..., 3)``. *Encoded* sRGB is what a camera's file holds,
here scaled to 0..1; *linear* RGB is proportional to light. Everything multiplicative
(logarithms, ratios, optical density, erythema and melanin index) is computed on linear RGB:
only there does the color of the light divide out.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

LINEAR_TO_XYZ: Final[Floats] = np.array(
    [
        [0.4123907992659595, 0.3575843393838780, 0.1804807884018343],
        [0.2126390058715104, 0.7151686787677559, 0.0721923153607337],
        [0.0193308187155918, 0.1191947797946259, 0.9505321522496608],
    ]
)
"""Linear sRGB to CIE XYZ, from the primaries of ITU-R BT.709 and the white (0.3127, 0.3290)."""

D65_WHITE: Final[Floats] = LINEAR_TO_XYZ.sum(axis=1)
"""XYZ of the white R = G = B = 1, so that a neutral pixel has exactly no chroma."""

SATURATION_FLOOR: Final = 0.25
HUE_LIMIT_DEG: Final = 15.0
LINEAR_FLOOR: Final = 0.0015
"""Darkest linear channel value of which a logarithm is taken.

About code 5 of 255: below, rounding to 8 bits alone moves the logarithm by more than 10 %,
and sensor noise and compression by more than that.
"""

_LAB_EPSILON: Final = (6.0 / 29.0) ** 3
_LAB_SLOPE: Final = (29.0 / 6.0) ** 2 / 3.0

ITA_CLASSES: Final[tuple[tuple[float, str], ...]] = (
    (55.0, "very_light"),
    (41.0, "light"),
    (28.0, "intermediate"),
    (10.0, "tan"),
    (-30.0, "brown"),
)
"""Lower bound (exclusive) in degrees and name; what lies below the last is ``dark``."""

UNMIXING: Final[Floats] = np.array(
    [
        [-0.0308090, -0.1841514, 0.2149604],
        [-5.4121210, 8.1013605, -2.6892395],
        [2.4507088, -1.1824321, -0.2682768],
    ]
)
"""Optical density (R, G, B) to (melanin, hemoglobin, shading): inverse of a 3 x 3 mixing matrix.

The idea is Tsumura's (Tsumura, Haneishi, Miyake 1999, J Opt Soc Am A 16:2169): in optical
density melanin, hemoglobin and shading add up. The columns of the mixing matrix are here not
the bare absorption spectra but the change of the camera's optical density with each
chromophore, so that each wavelength counts with the path that light really takes in the skin
(bare spectra weigh the Soret band, where little light comes back, so heavily that the melanin
and the hemoglobin column nearly coincide).

Model of the reflectance, 400-720 nm in steps of 10 nm, lengths in cm:
``R = T * exp(-7 / sqrt(3 (1 + musp / mua)))`` (Jacques' approximation of diffuse reflectance),
``T = exp(-2 * 0.006 * (m * mu_melanosome + (1 - m) * mu_base))``,
``mua = f * p * mu_blood + (1 - f) * mu_base``,
``mu_blood = 2.303 * 150 g/L / 64500 g/mol * (0.7 eps_HbO2 + 0.3 eps_Hb)`` (eps: Prahl's table),
``p = (1 - exp(-2 mu_blood r)) / (2 mu_blood r)``, r = 10 um (packing of blood in vessels),
``mu_melanosome = 6.6e11 l^-3.33``, ``mu_base = 0.244 + 85.3 exp(-(l - 154) / 66.2)``,
``musp = 2e5 l^-1.5 + 2e12 l^-4``, l in nm. Camera: Gaussian sensitivities of center / standard
deviation 600/30 (R), 540/35 (G), 455/25 nm (B) under light of equal energy.
Around m = 0.05 and f = 0.02 the columns are d OD / d m, d OD / d ln f and (1, 1, 1).

Each row but the last sums to zero, so melanin and hemoglobin do not depend on exposure.
They are linear in the logarithms, so differences between regions do not depend on the color
of the light. Units: melanosome volume fraction of the epidermis, and natural logarithm of the
blood content, both relative (their zero depends on camera and light).
"""


def srgb_to_linear(encoded: ArrayLike) -> Floats:
    """Decode sRGB (IEC 61966-2-1).

    Parameters
    ----------
    encoded
        Encoded values, 0..1, any shape.

    Returns
    -------
    ndarray
        Linear values, 0..1, same shape.
    """
    u = np.asarray(encoded, dtype=np.float64)
    curve = ((np.maximum(u, 0.0) + 0.055) / 1.055) ** 2.4
    result: Floats = np.where(u <= 0.04045, u / 12.92, curve)
    return result


def linear_to_srgb(linear: ArrayLike) -> Floats:
    """Encode linear values, 0..1, as sRGB (IEC 61966-2-1); the inverse of `srgb_to_linear`."""
    v = np.asarray(linear, dtype=np.float64)
    curve = 1.055 * np.maximum(v, 0.0) ** (1.0 / 2.4) - 0.055
    result: Floats = np.where(v <= 0.04045 / 12.92, 12.92 * v, curve)
    return result


def rgb_to_hsv(rgb: ArrayLike) -> Floats:
    """Hue, saturation and value (Smith 1978).

    Parameters
    ----------
    rgb
        ``(..., 3)`` encoded, 0..1.

    Returns
    -------
    ndarray
        ``(..., 3)``: hue in degrees [0, 360), NaN where the pixel is gray; saturation 0..1,
        0 for black; value 0..1.
    """
    x = np.asarray(rgb, dtype=np.float64)
    r, g, b = x[..., 0], x[..., 1], x[..., 2]
    value = np.maximum(np.maximum(r, g), b)
    chroma = value - np.minimum(np.minimum(r, g), b)
    # the sextant's own difference of channels and its hue, chosen before the one division
    is_red, is_green = value == r, value == g
    difference = np.where(is_red, g - b, np.where(is_green, b - r, r - g))
    corner = np.where(is_red, 360.0 * (g < b), np.where(is_green, 120.0, 240.0))
    degrees = corner + 60.0 * difference / np.where(chroma > 0, chroma, np.nan)
    # a tiny negative hue rounds up to 360 itself, which is 0
    degrees = np.where(degrees >= 360.0, 0.0, degrees)
    saturation = chroma / np.where(value > 0, value, 1.0)
    return np.stack([degrees, saturation, value], axis=-1)


def linear_to_lab(linear: ArrayLike) -> Floats:
    """CIE 1976 L*a*b* for white D65 and the 2 degree observer (CIE 15).

    Parameters
    ----------
    linear
        ``(..., 3)`` linear sRGB, 0..1.

    Returns
    -------
    ndarray
        ``(..., 3)``: L* 0..100, a*, b*.
    """
    xyz = np.asarray(linear, dtype=np.float64) @ (LINEAR_TO_XYZ / D65_WHITE[:, None]).T
    f = np.where(xyz > _LAB_EPSILON, np.cbrt(xyz), _LAB_SLOPE * xyz + 4.0 / 29.0)
    fx, fy, fz = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116.0 * fy - 16.0, 500.0 * (fx - fy), 200.0 * (fy - fz)], axis=-1)


def rgb_to_lab(rgb: ArrayLike) -> Floats:
    """CIE L*a*b* of encoded sRGB ``(..., 3)`` in 0..1; see `linear_to_lab`."""
    return linear_to_lab(srgb_to_linear(rgb))


def rgb_to_ycbcr(rgb: ArrayLike) -> Floats:
    """Y, Cb, Cr of ITU-R BT.601 in full range, as in JPEG (ITU-T T.871).

    Parameters
    ----------
    rgb
        ``(..., 3)`` encoded, 0..255.

    Returns
    -------
    ndarray
        ``(..., 3)``: Y 0..255, Cb and Cr 0..255 around 128; not rounded.
    """
    x = np.asarray(rgb, dtype=np.float64)
    y = x @ np.array([0.299, 0.587, 0.114])
    return np.stack([y, 128 + (x[..., 2] - y) / 1.772, 128 + (x[..., 0] - y) / 1.402], axis=-1)


def optical_density(linear: ArrayLike, white: ArrayLike = 1.0) -> Floats:
    """Natural optical density ``-ln(linear / white)``.

    Parameters
    ----------
    linear
        Linear values, 0..1.
    white
        Linear value of a white reflector in the same light, broadcast.

    Returns
    -------
    ndarray
        Same shape; NaN where ``linear`` or ``white`` is not positive.
    """
    ratio = np.asarray(linear, dtype=np.float64) / np.asarray(white, dtype=np.float64)
    result: Floats = -np.log(np.where((ratio > 0) & np.isfinite(ratio), ratio, np.nan))
    return result


def unmix(density: ArrayLike) -> Floats:
    """Melanin, hemoglobin and shading from optical density ``(..., 3)``; see `UNMIXING`."""
    result: Floats = np.asarray(density, dtype=np.float64) @ UNMIXING.T
    return result


def erythema_index(linear: ArrayLike) -> Floats:
    """Erythema index ``100 (log10 R - log10 G)`` of ``(..., 3)`` linear RGB.

    After Dawson et al. 1980 (Phys Med Biol 25:695); for cameras Yamamoto et al. 2008
    (Skin Res Technol 14:26). NaN where R or G is not positive.
    """
    density = optical_density(linear)
    result: Floats = (density[..., 1] - density[..., 0]) * (100.0 / np.log(10.0))
    return result


def melanin_index(linear: ArrayLike) -> Floats:
    """Melanin index ``100 log10(1 / R)`` of ``(..., 3)`` linear RGB (Yamamoto et al. 2008).

    Depends on exposure as well as on melanin. NaN where R is not positive.
    """
    result: Floats = optical_density(np.asarray(linear)[..., 0]) * (100.0 / np.log(10.0))
    return result


def individual_typology_angle(lightness: ArrayLike, b: ArrayLike) -> Floats:
    """Individual typology angle of skin (Chardon et al. 1991, Int J Cosmet Sci 13:191).

    Parameters
    ----------
    lightness
        L*, 0..100.
    b
        b* of the same shape.

    Returns
    -------
    ndarray
        ``atan2(L* - 50, b*)`` in degrees, (-90, 90). NaN for b* <= 0: no skin in white light is
        bluish, and there arctan((L* - 50) / b*) would call the palest skin the darkest.
    """
    l_, b_ = np.asarray(lightness, dtype=np.float64), np.asarray(b, dtype=np.float64)
    result: Floats = np.where(b_ > 0, np.degrees(np.arctan2(l_ - 50.0, b_)), np.nan)
    return result


def ita_category(degrees: float) -> str | None:
    """Name of the skin color class of an individual typology angle.

    Classes of Chardon et al. 1991 and Del Bino and Bernerd 2013 (Br J Dermatol 169 s3:33):
    above 55 very light, 41 to 55 light, 28 to 41 intermediate, 10 to 28 tan, -30 to 10 brown,
    below dark; a bound belongs to the darker class. None for NaN.
    """
    if np.isnan(degrees):
        return None
    return next((name for bound, name in ITA_CLASSES if degrees > bound), "dark")


def high_hue(
    hue: ArrayLike,
    saturation: ArrayLike,
    hue_limit: float = HUE_LIMIT_DEG,
    saturation_floor: float = SATURATION_FLOOR,
) -> NDArray[np.bool_]:
    """Say which pixels are strongly red; their share is the high hue ratio.

    The measure is that of Chen, Miaou and Bian 2016 (Comput Methods Programs Biomed 137:125)
    for the conjunctiva. They publish it for the HSI space and their own images; the thresholds
    here are ours, hence parameters.

    Parameters
    ----------
    hue
        Degrees, [0, 360); NaN (gray) is not red.
    saturation
        HSV saturation, 0..1.
    hue_limit
        Largest distance from pure red in degrees, inclusive.
    saturation_floor
        Saturation that must be exceeded.

    Returns
    -------
    ndarray of bool
        Same shape.
    """
    h = np.asarray(hue, dtype=np.float64)
    result: NDArray[np.bool_] = ((h <= hue_limit) | (h >= 360.0 - hue_limit)) & (
        np.asarray(saturation, dtype=np.float64) > saturation_floor
    )
    return result


def red_green_index(red: ArrayLike, green: ArrayLike) -> Floats:
    """``(R - G) / (R + G)`` of linear values, -1..1; NaN where both are zero."""
    r, g = np.asarray(red, dtype=np.float64), np.asarray(green, dtype=np.float64)
    total = r + g
    result: Floats = (r - g) / np.where(total > 0, total, np.nan)
    return result
