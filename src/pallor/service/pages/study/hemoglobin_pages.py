"""Blood values: entry, also long after the session, change and deletion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pallor.service.pages.study.forms import Form, as_text, changed, picked
from pallor.service.pages.study.views import person_view, session_view, value_view
from pallor.service.pages.study.visit import (
    Page,
    Saved,
    Shown,
    Visit,
    participant_path,
    session_path,
    today,
)
from pallor.service.refusals import UnknownError
from pallor.service.study import hemoglobin
from pallor.service.study.records import HemoglobinValue, Participant, StudySession

VALUE_FIELDS: Final = ("value", "unit", "method", "measured_on")
_TOGETHER: Final = ("value", "unit")
"""Neither says anything without the other."""
PART: Final = "blood"
"""Of a session's page."""


def _next(visit: Visit, form: Form) -> Shown:  # noqa: ARG001
    """Lead to where a value is entered: the first session that has clips and no value."""
    participant = visit.participant
    without = [found for found in participant.sessions if not found.hemoglobin]
    with_clips = [found for found in without if found.clips]
    for found in (*with_clips, *without, *reversed(participant.sessions)):
        return Shown(moved=session_path(participant.code, found.name, "blood"))
    return Shown(moved=participant_path(participant.code))


def _new(visit: Visit, form: Form) -> Shown:  # noqa: ARG001
    participant, found = visit.session()
    action = session_path(participant.code, found.name, "blood")
    return _form(visit, participant, found, action, visit.t("study.blood_new"))


def _form(
    visit: Visit, participant: Participant, found: StudySession, action: str, title: str
) -> Shown:
    return Shown(
        "study_blood.html.j2",
        {
            "person": person_view(participant, visit.t),
            "session": session_view(found, visit.t),
            "action": action,
            "title": title,
            "names": VALUE_FIELDS,
            # Who changes a value must find it as it is.
            "new": "value" not in visit.request.path_params,
        },
    )


def _empty(visit: Visit) -> Mapping[str, str]:
    _, found = visit.session()
    # Most values are of the day of the session, whenever they are entered.
    return {"unit": "g/dL", "method": "venous_cbc", "measured_on": found.date or today()}


def _add(visit: Visit) -> Saved:
    values = picked(visit.posted, VALUE_FIELDS)
    hemoglobin.add(visit.study, visit.code, visit.session_name, values, visit.who)
    return Saved(session_path(visit.code, visit.session_name), "blood", PART)


def _value(visit: Visit) -> tuple[Participant, StudySession, HemoglobinValue]:
    participant, found = visit.session()
    number = visit.id("value")
    for value in found.hemoglobin:
        if value.id == number:
            return participant, found, value
    raise UnknownError("there is no such value")


def _changed(visit: Visit, form: Form) -> Shown:  # noqa: ARG001
    participant, found, value = _value(visit)
    action = session_path(participant.code, found.name, "blood", str(value.id))
    return _form(visit, participant, found, action, visit.t("study.blood_change"))


def _now(visit: Visit) -> Mapping[str, str]:
    _, _, value = _value(visit)
    return as_text({name: getattr(value, name) for name in VALUE_FIELDS})


def _change(visit: Visit) -> Saved:
    values = changed(visit.posted, VALUE_FIELDS)
    if not values.keys().isdisjoint(_TOGETHER):
        values |= picked(visit.posted, _TOGETHER)
    number = visit.id("value")
    hemoglobin.change(visit.study, visit.code, visit.session_name, number, values, visit.who)
    return Saved(session_path(visit.code, visit.session_name), "blood_changed", PART)


def _sure(visit: Visit, form: Form) -> Shown:  # noqa: ARG001
    participant, found, value = _value(visit)
    t = visit.t
    return Shown(
        "study_sure.html.j2",
        {
            "title": t("study.blood_delete_title"),
            "text": t(
                "study.blood_delete_text",
                value=value_view(value, t)["value"],
                session=found.name,
                code=participant.code,
            ),
            "button": t("study.blood_delete"),
            "action": session_path(participant.code, found.name, "blood", str(value.id), "delete"),
            "back": session_path(participant.code, found.name),
        },
    )


def _delete(visit: Visit) -> Saved:
    number = visit.id("value")
    hemoglobin.delete(visit.study, visit.code, visit.session_name, number, visit.who)
    return Saved(session_path(visit.code, visit.session_name), "blood_deleted", PART)


NEXT: Final = Page(_next)
NEW: Final = Page(_new, _add, _empty)
CHANGE: Final = Page(_changed, _change, _now)
DELETE: Final = Page(_sure, _delete)
