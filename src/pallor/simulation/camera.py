"""From a reflectance spectrum to the numbers in a picture: light, sensor, encoding.

The sensor is a Gaussian stand-in for a measured camera (peaks and widths of typical
consumer sensors); the light is CIE D65. White balance, exposure, photon and read noise and
the sRGB transfer function (IEC 61966-2-1) follow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pallor.simulation.optics import Spectrum, read_table, wavelengths

SENSITIVITY_NM: Mapping[str, tuple[float, float]] = {
    "red": (600.0, 30.0),
    "green": (540.0, 35.0),
    "blue": (455.0, 25.0),
}
"""Peak and standard deviation of the Gaussian sensitivity of each channel, nm."""

COLOR_MATRIX = ((1.35, -0.30, -0.05), (-0.14, 1.28, -0.14), (0.00, -0.16, 1.16))
"""Sensor color to linear sRGB; rows sum to 1, so white stays white. Of the usual size for
consumer cameras, whose sensitivities overlap."""

CODE_STEPS = 65_536
"""Number of linear levels that the 8-bit encoding table resolves."""


def daylight() -> Spectrum:
    """Relative power of CIE D65 at `optics.wavelengths`, ``(161,)``, linear interpolation."""
    table = read_table("illuminant_d65.csv")
    return np.interp(wavelengths(), table[:, 0], table[:, 1])


@lru_cache(maxsize=1)
def _weights() -> Spectrum:
    l = wavelengths()  # noqa: E741 - the symbol of the formula
    curves = np.stack([np.exp(-0.5 * ((l - m) / s) ** 2) for m, s in SENSITIVITY_NM.values()])
    weights = curves * daylight()
    normalized: Spectrum = weights / weights.sum(axis=1, keepdims=True)
    return normalized


def white_balanced_rgb(reflectance: Spectrum) -> NDArray[np.float64]:
    """Linear R, G, B of a surface, perfectly white-balanced: a white surface gives 1, 1, 1.

    ``v_c = sum_l E(l) R(l) Q_c(l) / sum_l E(l) Q_c(l)``.

    Parameters
    ----------
    reflectance
        ``(..., 161)``, 0..1.

    Returns
    -------
    numpy.ndarray
        ``(..., 3)``, 0..1.
    """
    rgb: NDArray[np.float64] = np.asarray(reflectance) @ _weights().T
    return rgb


def srgb_color(reflectance: Spectrum) -> NDArray[np.float64]:
    """Linear sRGB of a surface through a well-balanced camera: `COLOR_MATRIX` applied.

    Parameters
    ----------
    reflectance
        ``(..., 161)``, 0..1.

    Returns
    -------
    numpy.ndarray
        ``(..., 3)``; a white surface gives 1, 1, 1.
    """
    color: NDArray[np.float64] = white_balanced_rgb(reflectance) @ np.array(COLOR_MATRIX).T
    return color


@dataclass(frozen=True)
class Camera:
    """One recording's camera settings.

    Attributes
    ----------
    white_balance_error
        Natural logarithm of the gain error of R, G, B; 0 is a perfect white balance.
    exposure
        Linear value that a white surface in full light would reach, 1 is clipping.
    shot_noise
        Variance of the linear value per unit of linear value (photon noise).
    read_noise
        Standard deviation of the linear value in the dark.
    """

    white_balance_error: tuple[float, float, float] = (0.0, 0.0, 0.0)
    exposure: float = 1.0
    shot_noise: float = 1.5e-5
    read_noise: float = 5e-4

    def transform(self) -> NDArray[np.float64]:
        """Matrix from well-balanced linear sRGB to what this camera makes of it, ``(3, 3)``.

        The white balance acts on the sensor's channels, before the color matrix M:
        ``exposure * M diag(exp(error)) M^-1``.
        """
        matrix = np.array(COLOR_MATRIX)
        gains = np.diag(np.exp(self.white_balance_error))
        result: NDArray[np.float64] = self.exposure * matrix @ gains @ np.linalg.inv(matrix)
        return result

    def noise_sigma(self, linear: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the standard deviation of the noise at linear values, same shape."""
        variance = self.shot_noise * np.maximum(linear, 0.0) + self.read_noise**2
        sigma: NDArray[np.float32] = np.sqrt(variance).astype(np.float32)
        return sigma


def encode_srgb(linear: NDArray[np.floating]) -> NDArray[np.float64]:
    """Linear 0..1 to gamma-encoded 0..1 (IEC 61966-2-1), clipped to that range."""
    u = np.clip(np.asarray(linear, dtype=float), 0.0, 1.0)
    code: NDArray[np.float64] = np.where(u <= 0.0031308, 12.92 * u, 1.055 * u ** (1 / 2.4) - 0.055)
    return code


def decode_srgb(encoded: NDArray[np.floating]) -> NDArray[np.float64]:
    """Gamma-encoded 0..1 to linear 0..1 (IEC 61966-2-1)."""
    v = np.asarray(encoded, dtype=float)
    linear: NDArray[np.float64] = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    return linear


@lru_cache(maxsize=1)
def code_table() -> NDArray[np.uint8]:
    """8-bit sRGB code of each of `CODE_STEPS` equal linear steps from 0 to 1."""
    table = np.rint(255.0 * encode_srgb(np.linspace(0.0, 1.0, CODE_STEPS))).astype(np.uint8)
    table.setflags(write=False)
    return table


def log_balance_error(
    rng: np.random.Generator, relative_error: float
) -> tuple[float, float, float]:
    """Draw the logarithmic white balance error of R and B against G.

    Parameters
    ----------
    rng
        Random generator.
    relative_error
        Standard deviation of ln(R/G) and of ln(B/G), such as 0.03.

    Returns
    -------
    tuple
        Errors of R, G, B; that of G is 0, brightness belongs to the exposure.
    """
    red, blue = relative_error * rng.standard_normal(2)
    return float(red), 0.0, float(blue)
