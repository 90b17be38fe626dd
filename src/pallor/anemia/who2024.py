"""The tables of the guideline: cutoffs, severity, and adjustments for altitude and smoking.

WHO, Guideline on haemoglobin cutoffs to define anaemia in individuals and populations, Geneva
2024, ISBN 9789240088542: tables 2 and 3 (cutoffs and severity, venous blood, sea level), 4
(altitude) and 5 (smoking). ``docs/anemia.md`` says how each number was verified.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Severity(StrEnum):
    """How severe an anemia is, in order; ``none`` is no anemia."""

    NONE = "none"
    MILD = "mild"
    MODERATE = "moderate"
    SEVERE = "severe"


@dataclass(frozen=True)
class Group:
    """People who share cutoffs, g/L of adjusted hemoglobin.

    The intervals are half-open and meet: no anemia from ``none_from_g_l`` up, mild in
    ``[mild_from_g_l, none_from_g_l)``, moderate in ``[moderate_from_g_l, mild_from_g_l)``, severe
    below ``moderate_from_g_l``. The guideline prints whole numbers ("110-119"); what lies
    between 119 and 120 is below 120, so mild.

    Attributes
    ----------
    name
        Key in ``GROUPS``.
    description
        For tables and reports.
    none_from_g_l
        The cutoff: below it is anemia.
    mild_from_g_l, moderate_from_g_l
        Lower ends of mild and of moderate anemia.
    """

    name: str
    description: str
    none_from_g_l: int
    mild_from_g_l: int
    moderate_from_g_l: int


GROUPS: Mapping[str, Group] = MappingProxyType(
    {
        group.name: group
        for group in (
            Group("children_6_23_months", "children of 6 to 23 months", 105, 95, 70),
            Group("children_24_59_months", "children of 24 to 59 months", 110, 100, 70),
            Group("children_5_11_years", "children of 5 to 11 years", 115, 110, 80),
            Group("children_12_14_years", "children of 12 to 14 years", 120, 110, 80),
            Group("women", "women from 15 years, not pregnant", 120, 110, 80),
            Group("men", "men from 15 years", 130, 110, 80),
            Group("pregnancy_first_trimester", "pregnancy, first trimester", 110, 100, 70),
            Group("pregnancy_second_trimester", "pregnancy, second trimester", 105, 95, 70),
            Group("pregnancy_third_trimester", "pregnancy, third trimester", 110, 100, 70),
        )
    }
)
"""Groups by name (tables 2 and 3)."""

CHILDREN: Final = (
    (2.0, "children_6_23_months"),
    (5.0, "children_24_59_months"),
    (12.0, "children_5_11_years"),
    (15.0, "children_12_14_years"),
)
"""Age in years that is not reached any more, and the group of those below it."""
YOUNGEST_YEARS: Final = 0.5
"""Younger children have no cutoff."""
ADULT_YEARS: Final = 15.0
"""From here on the cutoff depends on sex."""
OLDEST_YEARS: Final = 66.0
"""The guideline's adults are 15 to 65 years old; it calls older people a gap in research."""

ALTITUDE_BAND_M: Final = 500.0
ALTITUDE_ADJUSTMENTS_G_L: Final = (0, 4, 8, 11, 14, 18, 21, 25, 29, 33)
"""What residence at altitude adds, g/L, in bands of 500 m from 0 m up (table 4).

The guideline prints "500-999 m"; the bands are read half-open, [500, 1000). In the middle of a
band its formula ``0.0056384 h + 0.0000003 h^2`` (h in m) differs by less than 0.6 g/L; only in the
lowest band, where nothing is added, by 1.4."""

SMOKER_G_L: Final = 3
"""What smoking adds where its amount is not known, g/L (table 5)."""
SMOKING_ADJUSTMENTS_G_L: Final = ((10.0, 3), (20.0, 5), (float("inf"), 6))
"""Cigarettes a day that are not reached any more, and what fewer of them add, g/L (table 5)."""
