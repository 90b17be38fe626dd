"""How a head moves during a clip."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TURN_S = 0.4
"""How long a quick movement takes, from a tenth to nine tenths of its way."""


def head_motion(
    rng: np.random.Generator,
    time_s: NDArray[np.float64],
    amplitude: float,
    turns_per_minute: float = 0.0,
) -> NDArray[np.float64]:
    """Draw small head movements: displacement and tilt over time.

    Slow wander (periods of 2 to 10 s) with a little faster unrest, and quick movements after
    which the head stays elsewhere.

    Parameters
    ----------
    rng
        Random generator.
    time_s
        Times, ``(frames,)``.
    amplitude
        Root mean square displacement of the wander, pixels; a quick movement goes about four
        times as far.
    turns_per_minute
        How often the head quickly moves, on average.

    Returns
    -------
    numpy.ndarray
        ``(frames, 3)``: x, y in pixels and tilt in radians.
    """
    hertz = np.concatenate([rng.uniform(0.1, 0.5, (4, 3)), rng.uniform(0.5, 2.0, (4, 3))])
    phase = 2 * np.pi * rng.random((8, 3))
    weight = np.concatenate([rng.standard_normal((4, 3)), 0.15 * rng.standard_normal((4, 3))])
    waves = np.sin(2 * np.pi * hertz * time_s[:, None, None] + phase)
    path: NDArray[np.float64] = (weight * waves).sum(axis=1) / 2.0
    length_s = float(np.ptp(time_s)) if len(time_s) > 1 else 0.0
    for _ in range(rng.poisson(turns_per_minute * length_s / 60.0)):
        start = time_s[0] + length_s * rng.random()
        step = 1.0 / (1.0 + np.exp(-4.4 * (time_s - start) / TURN_S))
        path += step[:, None] * 4.0 * rng.standard_normal(3)
    path *= np.array([amplitude, amplitude, amplitude / 500.0])
    return path


def light_drift(
    rng: np.random.Generator, time_s: NDArray[np.float64], deviation: float
) -> NDArray[np.float64]:
    """Draw the light on a scene over time, relative to its usual strength.

    Slow waves with periods of 7 to 50 s, as clouds and automatic exposure make them.

    Parameters
    ----------
    rng
        Random generator.
    time_s
        Times, ``(frames,)``.
    deviation
        Standard deviation of the logarithm, in the long run.

    Returns
    -------
    numpy.ndarray
        Factors about 1, ``(frames,)``.
    """
    hertz, phase = rng.uniform(0.02, 0.15, 3), 2 * np.pi * rng.random(3)
    waves = np.sin(2 * np.pi * hertz * time_s[:, None] + phase).sum(axis=1)
    factors: NDArray[np.float64] = np.exp(deviation * waves * np.sqrt(2.0 / 3.0))
    return factors
