"""Clips of the public-domain portrait that scikit-image ships, with a pulse of known rate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import cv2
import numpy as np

# Relative pulse of red, green and blue (de Haan and van Leest 2014).
SIGNATURE = np.array([0.33, 0.77, 0.53])


@cache
def portrait(size: int = 240) -> np.ndarray:
    """The face and its surroundings, ``(size, size, 3)`` uint8."""
    import skimage.data

    square = skimage.data.astronaut()[0:300, 80:380]
    return cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA)


def pulsing(
    times_s: Sequence[float],
    bpm: float = 72.0,
    amplitude: float = 0.012,
    size: int = 240,
    noise: float = 1.5,
    seed: int = 0,
) -> Iterator[np.ndarray]:
    """Frames of the portrait whose colors pulsate; ``amplitude`` 0 is a photograph."""
    rng = np.random.default_rng(seed)
    base = portrait(size).astype(np.float32)
    # One large field of noise, seen through a window at random: as good, and far quicker.
    field = rng.normal(0, noise, (2 * size, 2 * size, 3)).astype(np.float32)
    for time_s in times_s:
        phase = 2 * np.pi * bpm / 60 * time_s
        beat = np.sin(phase) + 0.3 * np.sin(2 * phase + 1)
        frame = base * (1 + amplitude * SIGNATURE * beat)
        x, y = rng.integers(0, size, 2)
        frame += field[y : y + size, x : x + size]
        yield np.clip(np.rint(frame), 0, 255).astype(np.uint8)
