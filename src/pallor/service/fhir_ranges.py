"""WHO's groups of anemia as reference ranges of a person, and on which side an interval lies."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from pallor.anemia import Person, Severity, Unknown, adjustment_g_l, assumptions, group_of
from pallor.service.fhir_codes import (
    INTERPRETATION,
    LOCAL_CODES,
    RANGE_MEANING,
    Element,
    coding,
    concept,
    g_dl,
)
from pallor.service.shown_value import HUNDREDTH

_SOURCE: Final = "WHO 2024"

_ASSUMED: Final = {
    "older_than_65_years": "the guideline ends at 65 years",
    "taken_as_not_pregnant": "taken as not pregnant",
    "taken_as_below_500_m": "taken as living below 500 m",
    "taken_as_non_smoker": "taken as no smoker",
}


def reference_ranges(person: Person) -> list[Element] | Unknown:
    """Return the range without anemia, then mild, moderate and severe anemia.

    Both ends of a FHIR range are inclusive, those of the guideline's groups half-open: the upper
    end is the last hundredth below the next group, the last value that is shown there.

    Parameters
    ----------
    person
        Whom the estimate is of; altitude and smoking move every limit.

    Returns
    -------
    Elements ``Observation.referenceRange``, or why the person has no group.
    """
    group = group_of(person)
    if isinstance(group, Unknown):
        return group
    added = adjustment_g_l(person.altitude_m, person.smoking)
    if isinstance(added, Unknown):
        return added
    starts = (
        (Severity.NONE, group.none_from_g_l),
        (Severity.MILD, group.mild_from_g_l),
        (Severity.MODERATE, group.moderate_from_g_l),
        (Severity.SEVERE, None),
    )
    assumed = [_ASSUMED[code] for code in assumptions(person)]
    to_whom = "; ".join([group.description, *assumed])
    ranges, next_start_g_l = [], None
    for severity, start in starts:
        words = "no anemia" if severity is Severity.NONE else f"{severity} anemia"
        limits: Element = {}
        if start is not None:
            limits["low"] = g_dl((start + added) / 10)
        if next_start_g_l is not None:
            next_start_g_dl = Decimal(repr((next_start_g_l + added) / 10))
            limits["high"] = g_dl(float(next_start_g_dl - HUNDREDTH))
        meaning = coding(LOCAL_CODES, f"who-2024-{severity}", words)
        codings = [meaning]
        if severity is Severity.NONE:
            codings = [coding(RANGE_MEANING, "normal", "Normal Range"), meaning]
        ranges.append(
            {
                **limits,
                "type": concept(words, *codings),
                "appliesTo": [
                    concept(
                        group.description,
                        coding(LOCAL_CODES, group.name.replace("_", "-"), group.description),
                    )
                ],
                "text": f"{_SOURCE}: {words} ({to_whom})",
            }
        )
        next_start_g_l = start
    return ranges


def interpretation(low_g_dl: float, high_g_dl: float, ranges: list[Element]) -> Element | None:
    """Say on which side of anemia a whole interval lies.

    Parameters
    ----------
    low_g_dl, high_g_dl
        The interval as it is shown, g/dL.
    ranges
        Of `reference_ranges`.

    Returns
    -------
    An element of ``Observation.interpretation``; None where the interval holds the limit: the
    estimate then does not tell on which side the person is.
    """
    limit = float(ranges[0]["low"]["value"])
    if high_g_dl < limit:
        return concept(
            "the whole interval lies below the limit of anemia",
            coding(INTERPRETATION, "L", "Low"),
        )
    if low_g_dl >= limit:
        return concept(
            "the whole interval lies at or above the limit of anemia",
            coding(INTERPRETATION, "N", "Normal"),
        )
    return None
