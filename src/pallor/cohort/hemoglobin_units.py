"""Units of hemoglobin: conversion to g/dL, and columns that evidently hold another unit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

PLAUSIBLE_G_DL = (3.0, 25.0)
"""Range of hemoglobin in living people that is accepted, g/dL, both ends included."""

MMOL_L_PER_G_DL = 0.6206
"""mmol/L of the hemoglobin monomer in 1 g/dL (10 g/L divided by 16 114 g/mol)."""


@dataclass(frozen=True)
class HemoglobinUnit:
    """One unit in which a hemoglobin column may be given.

    Attributes
    ----------
    column
        Name of the column in a cohort table.
    text
        The unit in words.
    per_g_dl
        How many of this unit make 1 g/dL.
    """

    column: str
    text: str
    per_g_dl: float

    def to_g_dl(self, value: float) -> float:
        """Return ``value`` in g/dL."""
        # Division keeps 130 g/L at exactly 13.0, which a factor of 0.1 would not.
        return value / self.per_g_dl


UNITS: Mapping[str, HemoglobinUnit] = MappingProxyType(
    {
        unit.column: unit
        for unit in (
            HemoglobinUnit("hemoglobin_g_dl", "g/dL", 1.0),
            HemoglobinUnit("hemoglobin_g_l", "g/L", 10.0),
            HemoglobinUnit("hemoglobin_mmol_l", "mmol/L", MMOL_L_PER_G_DL),
        )
    }
)
"""Column name to unit."""

# A cohort's median lies in this range, from severely anemic patients to people who live at
# high altitude; a median outside means that the column holds something else.
_MEDIAN_G_DL = (5.0, 20.0)

# Below this median a g/dL column may as well be mmol/L (13.5 g/dL is 8.4 mmol/L).
_SUSPICIOUS_MEDIAN_G_DL = 9.3


def is_plausible(value_g_dl: float) -> bool:
    """Whether a value in g/dL lies within `PLAUSIBLE_G_DL`."""
    return PLAUSIBLE_G_DL[0] <= value_g_dl <= PLAUSIBLE_G_DL[1]


def wrong_unit(column: str, values: Sequence[float]) -> str | None:
    """Say so if a whole column is evidently in another unit than its name says.

    Parameters
    ----------
    column
        One of `UNITS`.
    values
        The column's finite values in the unit that the name states.

    Returns
    -------
    str or None
        One sentence with advice; None where the median is plausible or there are no values.
    """
    finite = sorted(value for value in values if math.isfinite(value))
    if not finite:
        return None
    median = _median(finite)
    unit = UNITS[column]
    low, high = _MEDIAN_G_DL
    if low <= unit.to_g_dl(median) <= high:
        return None
    fitting = [
        other
        for other in UNITS.values()
        if other.column != column and low <= other.to_g_dl(median) <= high
    ]
    if not fitting:
        return (
            f"{column}: the median is {median:g}, which is no hemoglobin in {unit.text}: "
            "check what the column holds"
        )
    # g/dL and mmol/L overlap; where both fit, the more central one in g/dL is the likelier.
    best = min(fitting, key=lambda other: abs(other.to_g_dl(median) - 13.5))
    return (
        f"{column}: the median is {median:g}, which looks like {best.text}: "
        f"rename the column to {best.column}"
    )


def doubtful_unit(column: str, values: Sequence[float]) -> str | None:
    """Say so if a g/dL column may be mmol/L; a cohort of anemic patients looks the same.

    Parameters
    ----------
    column
        One of `UNITS`.
    values
        The column's finite values.

    Returns
    -------
    str or None
        One sentence for the notes, or None.
    """
    finite = sorted(value for value in values if math.isfinite(value))
    if column != "hemoglobin_g_dl" or not finite:
        return None
    median = _median(finite)
    if median >= _SUSPICIOUS_MEDIAN_G_DL:
        return None
    return (
        f"{column}: the median is {median:g} g/dL, moderate anemia; "
        "if the values are mmol/L, rename the column to hemoglobin_mmol_l"
    )


def _median(ordered: Sequence[float]) -> float:
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2
