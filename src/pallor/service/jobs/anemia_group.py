"""An estimate among the WHO groups of the person."""

from __future__ import annotations

from typing import Any, Final

from pallor.anemia.classification import adjustment_g_l, assumptions, classify, group_of
from pallor.anemia.person import Person, Unknown
from pallor.service.coverage import LEAST_TO_JUDGE, judges

_COVERAGE_TOO_LOW: Final = Unknown(
    "coverage_too_low",
    f"an interval of a coverage below {LEAST_TO_JUDGE:g} is too short to judge a person by its "
    "ends: ask for more",
)


def anemia_of(
    person: Person,
    hemoglobin_g_dl: float | None,
    interval_low_g_dl: float | None,
    interval_high_g_dl: float | None,
    coverage: float | None,
) -> dict[str, Any]:
    """Say what the estimate and its interval mean for a person.

    Parameters
    ----------
    person
        As far as known.
    hemoglobin_g_dl, interval_low_g_dl, interval_high_g_dl
        The estimate and its interval in g/dL; None where there is none.
    coverage
        Of the interval. Below `LEAST_TO_JUDGE` nothing is said of its ends.

    Returns
    -------
    dict
        ``guideline``; ``group`` (``name``, ``description``) and ``limits_g_dl``
        (``severe_below``, ``moderate_below``, ``mild_below``, altitude and smoking included; they
        are set against hemoglobin as measured) or None; ``adjustment_g_dl``; ``severity``,
        ``severity_at_low``, ``severity_at_high``: ``none``, ``mild``, ``moderate``, ``severe``
        or None; ``unknown``: why something is None although there is an estimate, or None;
        ``assumptions``: codes.
    """
    group, added = group_of(person), adjustment_g_l(person.altitude_m, person.smoking)
    answer: dict[str, Any] = {
        "guideline": "WHO 2024",
        "group": None,
        "limits_g_dl": None,
        "adjustment_g_dl": None if isinstance(added, Unknown) else added / 10.0,
        "unknown": None,
        "assumptions": list(assumptions(person)),
    }
    ends = (interval_low_g_dl, interval_high_g_dl)
    if ends != (None, None) and not judges(coverage):
        ends = (None, None)
        answer["unknown"] = _COVERAGE_TOO_LOW.as_dict()
    for unknown in (added, group):
        if isinstance(unknown, Unknown):
            answer["unknown"] = unknown.as_dict()
    if not isinstance(group, Unknown):
        answer["group"] = {"name": group.name, "description": group.description}
        if not isinstance(added, Unknown):
            answer["limits_g_dl"] = {
                "severe_below": (group.moderate_from_g_l + added) / 10.0,
                "moderate_below": (group.mild_from_g_l + added) / 10.0,
                "mild_below": (group.none_from_g_l + added) / 10.0,
            }
    for key, value in (
        ("severity", hemoglobin_g_dl),
        ("severity_at_low", ends[0]),
        ("severity_at_high", ends[1]),
    ):
        severity = None if value is None else classify(value, person)
        answer[key] = None if isinstance(severity, Unknown | None) else str(severity)
    return answer
