"""Measured spectra that come with the package, on one grid of wavelengths."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

Spectrum = NDArray[np.float64]


@lru_cache(maxsize=8)
def read_columns(name: str) -> Mapping[str, Spectrum]:
    """Read a numeric table of this package.

    Parameters
    ----------
    name
        File name inside ``pallor/simulation/data``; lines starting with ``#`` say where the
        numbers come from and are skipped.

    Returns
    -------
    mapping of str to numpy.ndarray
        Columns by the names in the header, ``(rows,)`` each, read-only.
    """
    text = files("pallor.simulation").joinpath("data", name).read_text(encoding="utf-8")
    header, *lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    table = np.array([[float(cell) for cell in line.split(",")] for line in lines])
    table.setflags(write=False)
    return dict(zip(header.split(","), table.T, strict=True))


def wavelengths() -> Spectrum:
    """Wavelengths of all spectra here: 400 to 720 nm in steps of 2 nm, ``(161,)``."""
    return read_columns("hemoglobin_extinction.csv")["wavelength_nm"]


def on_grid(name: str, column: str) -> Spectrum:
    """Return a column of a table at `wavelengths`, interpolated linearly, ``(161,)``."""
    table = read_columns(name)
    return np.interp(wavelengths(), table["wavelength_nm"], table[column])
