"""Anemia by hemoglobin as the World Health Organization defines it (guideline of 2024).

``classify`` says how severe a hemoglobin is for a person, ``anemia_threshold_g_dl`` below which
raw hemoglobin the person counts as anemic, ``thresholds_of_table`` the same for a cohort. What
cannot be decided is an ``Unknown`` with its reason, never a guess. Sources, and what was
left out: ``docs/anemia.md``.
"""

from pallor.anemia.classification import (
    adjustment_g_l,
    anemia_threshold_g_dl,
    assumptions,
    below,
    classify,
    group_of,
)
from pallor.anemia.person import Person, Unknown
from pallor.anemia.table import Thresholds, adjustment_strata, thresholds_of_table
from pallor.anemia.who2024 import ALTITUDE_ADJUSTMENTS_G_L, GROUPS, Group, Severity

__all__ = [
    "ALTITUDE_ADJUSTMENTS_G_L",
    "GROUPS",
    "Group",
    "Person",
    "Severity",
    "Thresholds",
    "Unknown",
    "adjustment_g_l",
    "adjustment_strata",
    "anemia_threshold_g_dl",
    "assumptions",
    "below",
    "classify",
    "group_of",
    "thresholds_of_table",
]
