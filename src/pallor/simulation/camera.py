"""One recording's camera: which sensor, under which light, set how."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pallor.simulation.sensor import color_matrix, sensor_rgb
from pallor.simulation.spectra import Spectrum


@dataclass(frozen=True)
class Camera:
    """One recording's camera and light.

    Attributes
    ----------
    sensor, light
        One of `sensor.SENSORS` and one of `sensor.LIGHTS`.
    white_balance_error
        Natural logarithm of the gain error of R, G, B; 0 is a perfect white balance.
    exposure
        Linear value that a white surface in full light would reach, 1 is clipping.
    shot_noise
        Variance of the linear value per unit of linear value (photon noise).
    read_noise
        Standard deviation of the linear value in the dark.
    """

    sensor: str = "nikon_d5100"
    light: str = "d65"
    white_balance_error: tuple[float, float, float] = (0.0, 0.0, 0.0)
    exposure: float = 1.0
    shot_noise: float = 1.5e-5
    read_noise: float = 5e-4

    def balanced_color(self, reflectance: Spectrum) -> NDArray[np.float64]:
        """Linear sRGB of a surface, well white-balanced and exposed to 1 for white.

        Parameters
        ----------
        reflectance
            ``(..., 161)``, 0..1.

        Returns
        -------
        numpy.ndarray
            ``(..., 3)``; a white surface gives 1, 1, 1.
        """
        matrix = color_matrix(self.sensor, self.light)
        color: NDArray[np.float64] = sensor_rgb(reflectance, self.sensor, self.light) @ matrix.T
        return color

    def transform(self) -> NDArray[np.float64]:
        """Matrix from `balanced_color` to what this camera makes of it, ``(3, 3)``.

        The white balance acts on the sensor's channels, before the color matrix M:
        ``exposure * M diag(exp(error)) M^-1``.
        """
        matrix = color_matrix(self.sensor, self.light)
        gains = np.diag(np.exp(self.white_balance_error))
        result: NDArray[np.float64] = self.exposure * matrix @ gains @ np.linalg.inv(matrix)
        return result

    def noise_sigma(self, linear: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the standard deviation of the noise at linear values, same shape."""
        variance = self.shot_noise * np.maximum(linear, 0.0) + self.read_noise**2
        sigma: NDArray[np.float32] = np.sqrt(variance).astype(np.float32)
        return sigma


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
