"""Clips of a session: checking one again, deleting one, and where their addresses lead."""

from __future__ import annotations

from typing import Final

from pallor.service.pages.study import session_pages
from pallor.service.pages.study.forms import Form
from pallor.service.pages.study.visit import Page, Saved, Shown, Visit, session_path
from pallor.service.refusals import UnknownError
from pallor.service.study import clips

PART: Final = "clips"
"""Of a session's page."""


def _sure(visit: Visit, form: Form) -> Shown:  # noqa: ARG001
    participant, found = visit.session()
    number = visit.id("clip")
    if all(clip.id != number for clip in found.clips):
        raise UnknownError("there is no such clip")
    t = visit.t
    return Shown(
        "study_sure.html.j2",
        {
            "title": t("study.clip_delete_title"),
            "text": t("study.clip_delete_text", session=found.name, code=participant.code),
            "button": t("study.clip_delete"),
            "action": session_path(participant.code, found.name, "clips", str(number), "delete"),
            "back": session_path(participant.code, found.name),
        },
    )


def _delete(visit: Visit) -> Saved:
    clips.delete(visit.study, visit.code, visit.session_name, visit.id("clip"), visit.who)
    return Saved(session_path(visit.code, visit.session_name), "clip_deleted", PART)


def _check(visit: Visit) -> Saved:
    clips.check_again(visit.study, visit.code, visit.session_name, visit.id("clip"), visit.who)
    return Saved(session_path(visit.code, visit.session_name), "clip_check", PART)


def _check_refused(visit: Visit, form: Form) -> Shown:
    return session_pages.ONE.show(visit, form) if form.problems else _session(visit, form)


def _session(visit: Visit, form: Form) -> Shown:  # noqa: ARG001
    return Shown(moved=session_path(visit.code, visit.session_name))


ALL: Final = Page(_session)
"""Clips are sent to this address; who asks for it is looking for the session."""
CHECK: Final = Page(_check_refused, _check)
"""Only a button of the session leads here."""
DELETE: Final = Page(_sure, _delete)
