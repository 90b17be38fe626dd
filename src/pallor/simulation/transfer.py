"""The transfer function of sRGB (IEC 61966-2-1): linear light to codes and back."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

CODE_STEPS = 65_536
"""Number of linear levels that the 8-bit encoding table resolves."""


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
