"""The WHO groups of anemia for one person, as bands of raw hemoglobin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pallor.anemia import Person, Severity, Unknown, adjustment_g_l, group_of


@dataclass(frozen=True)
class Bands:
    """Where the degrees of anemia meet for a person.

    Attributes
    ----------
    group
        Name of the guideline's group, a key of ``pallor.anemia.GROUPS``.
    severe_below_g_dl, moderate_below_g_dl, mild_below_g_dl
        Raw hemoglobin below which anemia is severe, moderate, mild; the adjustments for
        altitude and smoking are in them.
    adjustment_g_dl
        Those adjustments.
    """

    group: str
    severe_below_g_dl: float
    moderate_below_g_dl: float
    mild_below_g_dl: float
    adjustment_g_dl: float

    @property
    def bounds_g_dl(self) -> tuple[float, float, float]:
        """The three bounds, ascending."""
        return (self.severe_below_g_dl, self.moderate_below_g_dl, self.mild_below_g_dl)


SEVERITIES = (Severity.SEVERE, Severity.MODERATE, Severity.MILD, Severity.NONE)
"""In the order of hemoglobin; between them lie the bounds of ``Bands``."""


def bands_of(person: Person) -> Bands | Unknown:
    """Return the bands of a person, or why they are not known (as ``pallor.anemia`` says it)."""
    group = group_of(person)
    if isinstance(group, Unknown):
        return group
    added = adjustment_g_l(person.altitude_m, person.smoking)
    if isinstance(added, Unknown):
        return added
    return Bands(
        group=group.name,
        severe_below_g_dl=(group.moderate_from_g_l + added) / 10.0,
        moderate_below_g_dl=(group.mild_from_g_l + added) / 10.0,
        mild_below_g_dl=(group.none_from_g_l + added) / 10.0,
        adjustment_g_dl=added / 10.0,
    )


def person_of(options: Mapping[str, Any]) -> Person:
    """Read the person from the options of a job; what is absent or empty is not known."""
    sex, pregnancy, smoking = (options.get(name) for name in ("sex", "pregnancy", "smoking"))
    return Person(
        sex=sex if sex in {"female", "male"} else None,
        age_years=_number(options.get("age_years")),
        pregnancy=str(pregnancy) if pregnancy else None,
        altitude_m=_number(options.get("altitude_m")),
        smoking=str(smoking) if smoking else None,
    )


def _number(value: object) -> float | None:
    try:
        return None if value in (None, "") else float(str(value))
    except ValueError:
        return None
