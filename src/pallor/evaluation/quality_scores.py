"""How good the clips of a unit are, from what extraction measured; higher is better.

The gate asks for a pulse, so the score that stands for it is the signal-to-noise ratio of the
pulse. None of these looks at hemoglobin or at an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from pallor.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]

GATE_COLUMN: Final = "usable_pulse"
_MOTION = ("pulse.face.motion.horizontal", "pulse.face.motion.vertical")


def _column(table: pd.DataFrame, name: str) -> FloatArray:
    if name not in table.columns:
        return np.full(len(table), np.nan)
    return np.asarray(table[name].to_numpy(dtype=np.float64, na_value=np.nan))


def snr_db(table: pd.DataFrame) -> FloatArray:
    """Signal-to-noise ratio of the pulse, dB, ``(rows,)``; NaN for stills and short clips."""
    return _column(table, "snr_db")


def face_coverage(table: pd.DataFrame) -> FloatArray:
    """Share of the frames in which a face was tracked, 0..1, ``(rows,)``."""
    return _column(table, "face_coverage")


def stillness(table: pd.DataFrame) -> FloatArray:
    """Return the negative head motion in the pulse band, interocular distances, ``(rows,)``."""
    return -np.hypot(*(_column(table, name) for name in _MOTION))


QUALITY_SCORES: Mapping[str, Callable[[pd.DataFrame], FloatArray]] = MappingProxyType(
    {"snr_db": snr_db, "face_coverage": face_coverage, "stillness": stillness}
)
"""Scores of clips by name: feature table to ``(rows,)``, NaN where undefined."""

STANDARD_SCORE: Final = "snr_db"
"""The score that is reported, fixed before any is seen."""


def unit_quality(
    table: pd.DataFrame, unit: NDArray[np.intp], score: str = STANDARD_SCORE
) -> FloatArray:
    """Quality of each unit: the mean over those of its clips for which it is defined.

    Parameters
    ----------
    table
        Feature table, one row a clip.
    unit
        Unit of each row, ``(rows,)``, 0..units-1.
    score
        A name of `QUALITY_SCORES`.

    Returns
    -------
    ``(units,)``; NaN where no clip has one, which ranks below every number.

    Raises
    ------
    UsageError
        If the score is unknown.
    """
    if score not in QUALITY_SCORES:
        raise UsageError(
            f"quality score {score!r} is unknown; choose from {', '.join(QUALITY_SCORES)}"
        )
    values = QUALITY_SCORES[score](table)
    known = np.isfinite(values)
    size = int(unit.max(initial=-1)) + 1
    total = np.bincount(unit, weights=np.where(known, values, 0.0), minlength=size)
    number = np.bincount(unit, weights=known, minlength=size)
    return np.asarray(total / np.where(number > 0, number, np.nan))


def passes_gate(table: pd.DataFrame, unit: NDArray[np.intp]) -> NDArray[np.bool_] | None:
    """Tell which units the quality gate lets through: at least half of their clips are usable.

    Returns
    -------
    ``(units,)``; None where the table has no column ``usable_pulse``.
    """
    if GATE_COLUMN not in table.columns:
        return None
    usable = table[GATE_COLUMN].fillna(value=False).to_numpy(dtype=np.float64)
    share = np.bincount(unit, weights=usable) / np.bincount(unit)
    return np.asarray(share >= 0.5, dtype=np.bool_)
