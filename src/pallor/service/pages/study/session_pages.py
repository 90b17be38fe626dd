"""A session: its page with camera, clips and blood values, and its entry, change and deletion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pallor.service.pages.study.forms import Form, as_text, changed, picked
from pallor.service.pages.study.views import person_view, session_view
from pallor.service.pages.study.visit import (
    Page,
    Saved,
    Shown,
    Visit,
    participant_path,
    session_path,
    today,
)
from pallor.service.study import sessions
from pallor.service.study.records import Participant

SESSION_FIELDS: Final = ("name", "date", "site", "pregnancy")
_SCRIPT_TEXTS: Final = (
    "hint.",
    "check.",
    "error.",
    "measure.",
    "study.saved.clip",
    "study.problem.char",
)


def new_session_values(participant: Participant) -> dict[str, str]:
    """Return what the form of a new session starts with: the next number, today, the last site."""
    taken = {found.name for found in participant.sessions}
    number = next(n for n in range(len(taken) + 1, 2 * len(taken) + 2) if str(n) not in taken)
    last = participant.sessions[-1].site if participant.sessions else None
    return {"name": str(number), "date": today(), "site": last or ""}


def _new(visit: Visit, form: Form) -> Shown:  # noqa: ARG001
    return Shown("study_new_session.html.j2", {"person": person_view(visit.participant, visit.t)})


def _create(visit: Visit) -> Saved:
    values = picked(visit.posted, SESSION_FIELDS)
    sessions.create(visit.study, visit.code, values, visit.who)
    return Saved(session_path(visit.code, values["name"]), "session")


def _one(visit: Visit, form: Form) -> Shown:  # noqa: ARG001
    participant, found = visit.session()
    return Shown(
        "study_session.html.j2",
        {
            "person": person_view(participant, visit.t),
            "session": session_view(found, visit.t),
            "upload": f"/v1{participant_path(participant.code)[len('/study') :]}"
            f"/sessions/{found.name}/clips",
        },
        _SCRIPT_TEXTS,
        simulated=any(clip.simulated for clip in found.clips),
    )


def _details(visit: Visit, form: Form) -> Shown:  # noqa: ARG001
    participant, found = visit.session()
    return Shown(
        "study_session_details.html.j2",
        {
            "names": SESSION_FIELDS,
            "person": person_view(participant, visit.t),
            "session": session_view(found, visit.t),
        },
    )


def _details_now(visit: Visit) -> Mapping[str, str]:
    _, found = visit.session()
    return as_text({name: getattr(found, name) for name in SESSION_FIELDS})


def _change(visit: Visit) -> Saved:
    values = changed(visit.posted, SESSION_FIELDS)
    sessions.change(visit.study, visit.code, visit.session_name, values, visit.who)
    name = values.get("name", visit.session_name)
    return Saved(session_path(visit.code, name), "session_changed")


def _sure(visit: Visit, form: Form) -> Shown:  # noqa: ARG001
    participant, found = visit.session()
    t = visit.t
    return Shown(
        "study_sure.html.j2",
        {
            "title": t("study.session_delete_title", session=found.name),
            "text": t(
                "study.session_delete_text",
                clips=len(found.clips),
                values=len(found.hemoglobin),
                code=participant.code,
            ),
            "button": t("study.session_delete"),
            "action": session_path(participant.code, found.name, "delete"),
            "back": session_path(participant.code, found.name),
        },
    )


def _delete(visit: Visit) -> Saved:
    sessions.delete(visit.study, visit.code, visit.session_name, visit.who)
    return Saved(participant_path(visit.code), "session_deleted")


NEW: Final = Page(_new, _create, lambda visit: new_session_values(visit.participant))
ONE: Final = Page(_one)
DETAILS: Final = Page(_details, _change, _details_now)
DELETE: Final = Page(_sure, _delete)
