"""The unit of analysis: a participant in a session, or a single clip.

Several clips of one person on one day share one blood value, so they are repeated looks
at one thing: their predictions are averaged before scoring, unless clips are asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from pallor.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

OUTCOME: Final = "hemoglobin_g_dl"
UNITS: Final = ("participant_session", "clip")
_FIRST: Final = ("participant_id", "session", "clip", "sex", "pregnancy", "smoking")
_MEANS: Final = (OUTCOME, "age_years", "altitude_m", "bmi")


def unit_of_rows(table: pd.DataFrame, unit: str = "participant_session") -> NDArray[np.intp]:
    """Say which unit each row belongs to.

    Parameters
    ----------
    table
        One row a clip, with ``participant_id`` and perhaps ``session``; rows without a
        session form one session of their participant.
    unit
        ``participant_session`` or ``clip``.

    Returns
    -------
    ``(rows,)``, 0..units-1 in order of first appearance.

    Raises
    ------
    UsageError
        If the unit is neither of the two.
    """
    if unit not in UNITS:
        raise UsageError(f"unit {unit!r} is unknown; choose from {', '.join(UNITS)}")
    if unit == "clip":
        return np.arange(len(table), dtype=np.intp)
    keys = [table["participant_id"].astype(str)]
    if "session" in table.columns:
        keys.append(table["session"])
    number = table.groupby(keys, sort=False, dropna=False).ngroup()
    return np.asarray(number, dtype=np.intp)


def mean_of_units(values: NDArray[np.float64], unit: NDArray[np.intp]) -> NDArray[np.float64]:
    """Mean over the rows of each unit, ``(units,)``, from ``(rows,)``."""
    count = np.bincount(unit)
    return np.asarray(np.bincount(unit, weights=values) / count, dtype=np.float64)


def units_of_table(table: pd.DataFrame, unit: NDArray[np.intp]) -> pd.DataFrame:
    """One row a unit: who, when, the measured value, and what the baselines ask for.

    Parameters
    ----------
    table
        One row a clip.
    unit
        ``(rows,)`` of ``unit_of_rows``.

    Returns
    -------
    Columns ``participant_id``, ``hemoglobin_g_dl`` (mean over the unit's rows, as those of
    `_MEANS`) and, where the table has them, those of `_FIRST` (first that is known).
    """
    grouped = table.groupby(unit, sort=True)
    first = [name for name in _FIRST if name in table.columns]
    means = [name for name in _MEANS if name in table.columns]
    units = grouped[first].first()
    units[means] = grouped[means].mean()
    return units.reset_index(drop=True)
