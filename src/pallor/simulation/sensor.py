"""What a camera's sensor makes of a reflectance under a light, and the matrix to sRGB.

Lights and sensors are measured tables; a column more in ``data/lights.csv``, or three in
``data/sensors.csv``, is a light or a sensor more.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pallor.simulation.optics import Tissue, reflectance
from pallor.simulation.spectra import Spectrum, on_grid, read_columns, wavelengths

LIGHTS: tuple[str, ...] = tuple(c for c in read_columns("lights.csv") if c != "wavelength_nm")
"""Names of the lights: daylight, incandescent, fluorescent lamps, white LEDs."""

SENSORS: tuple[str, ...] = tuple(
    c.removesuffix("_red") for c in read_columns("sensors.csv") if c.endswith("_red")
)
"""Names of the sensors."""

XYZ_TO_SRGB = np.array(
    [[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]]
)
"""CIE XYZ (white is Y = 1 under D65) to linear sRGB, IEC 61966-2-1."""


def light_power(light: str) -> Spectrum:
    """Relative spectral power of one of `LIGHTS`, ``(161,)``."""
    return on_grid("lights.csv", light)


@lru_cache(maxsize=64)
def _weights(sensor: str, light: str) -> Spectrum:
    curves = [on_grid("sensors.csv", f"{sensor}_{channel}") for channel in ("red", "green", "blue")]
    weights = np.stack(curves) * light_power(light)
    normalized: Spectrum = weights / weights.sum(axis=1, keepdims=True)
    return normalized


def sensor_rgb(
    reflectance: Spectrum, sensor: str = "nikon_d5100", light: str = "d65"
) -> NDArray[np.float64]:
    """Linear R, G, B of the sensor, perfectly white-balanced: a white surface gives 1, 1, 1.

    ``v_c = sum_l E(l) R(l) Q_c(l) / sum_l E(l) Q_c(l)`` with light E and sensitivity Q.

    Parameters
    ----------
    reflectance
        ``(..., 161)``, 0..1.
    sensor, light
        One of `SENSORS` and one of `LIGHTS`.

    Returns
    -------
    numpy.ndarray
        ``(..., 3)``, 0..1.
    """
    rgb: NDArray[np.float64] = np.asarray(reflectance) @ _weights(sensor, light).T
    return rgb


def standard_srgb(reflectance: Spectrum) -> NDArray[np.float64]:
    """Linear sRGB that the CIE 1931 observer assigns to a surface under D65.

    Parameters
    ----------
    reflectance
        ``(..., 161)``, 0..1.

    Returns
    -------
    numpy.ndarray
        ``(..., 3)``; a white surface gives 1, 1, 1 to three digits.
    """
    observer = np.stack([on_grid("observer_1931.csv", axis) for axis in "xyz"])
    weights = observer * light_power("d65")
    xyz = np.asarray(reflectance) @ (weights / weights[1].sum()).T
    rgb: NDArray[np.float64] = xyz @ XYZ_TO_SRGB.T
    return rgb


def _surfaces() -> Spectrum:
    """Reflectances that a color matrix is tuned to: all hues, and skin, ``(72, 161)``."""
    x = (wavelengths() - 400.0) / 320.0
    hues = [
        0.4 * (1.0 + 0.8 * np.cos(2.0 * np.pi * (cycles * x + phase)))
        for cycles in (0.5, 1.0, 1.5)
        for phase in np.arange(8) / 8.0
    ]
    skin = [
        reflectance(Tissue(melanin=melanin, blood=blood, sheen=0.02), [8.0, 12.0, 16.0])
        for melanin in (0.02, 0.05, 0.12, 0.25)
        for blood in (0.01, 0.02, 0.04, 0.09)
    ]
    return np.concatenate([np.stack(hues), *skin])


@lru_cache(maxsize=64)
def color_matrix(sensor: str = "nikon_d5100", light: str = "d65") -> NDArray[np.float64]:
    """Sensor R, G, B under a light to linear sRGB under D65, as a camera's maker sets it.

    Least squares of the relative error on surfaces of all hues and on skin, whose color makers
    mind most, under the constraint that white stays white (rows sum to 1). Each light and
    sensor leaves an error of hue of its own, which no white balance takes away (metamerism).

    Parameters
    ----------
    sensor, light
        One of `SENSORS` and one of `LIGHTS`.

    Returns
    -------
    numpy.ndarray
        ``(3, 3)``, to be multiplied from the left, read-only.
    """
    surfaces = _surfaces()
    seen, wanted = sensor_rgb(surfaces, sensor, light), standard_srgb(surfaces)
    scale = wanted[:, [1]]  # an error counts against how bright the surface is
    seen, wanted = seen / scale, wanted / scale
    # Rows that sum to 1: fit red and blue against green, and give green the rest.
    against_green = seen[:, [0, 2]] - seen[:, [1]]
    left = wanted - seen[:, [1]]
    solution, *_ = np.linalg.lstsq(against_green, left, rcond=None)
    red, blue = solution
    matrix = np.stack([red, 1.0 - red - blue, blue], axis=1)
    matrix.setflags(write=False)
    return matrix
