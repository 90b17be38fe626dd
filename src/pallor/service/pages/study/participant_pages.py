"""A participant: entry with consent, the page of what is known, changes, withdrawal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pallor.service.pages.study.forms import Form, as_text, changed, picked
from pallor.service.pages.study.session_pages import new_session_values
from pallor.service.pages.study.views import consent_text, person_rows, person_view, session_view
from pallor.service.pages.study.visit import (
    Page,
    Saved,
    Shown,
    Visit,
    participant_path,
    session_path,
    today,
)
from pallor.service.refusals import FieldProblem, InvalidFieldsError
from pallor.service.study import participants, sessions
from pallor.service.study.records import Participant

PERSON_FIELDS: Final = (
    *("code", "sex", "age_years", "pregnancy", "altitude_m", "smoking", "note"),
)  # fmt: skip
FIRST_SESSION: Final = "1"


def _new(visit: Visit, form: Form) -> Shown:  # noqa: ARG001
    return Shown("study_new.html.j2", {"consent": consent_text(visit.study.consent, visit.t)})


def _create(visit: Visit) -> Saved:
    created = participants.create(
        visit.study,
        picked(visit.posted, PERSON_FIELDS),
        consent_values(visit.posted),
        visit.who,
        # Who ticks the form has read what it shows, not what it showed before a restart.
        earlier_texts=False,
    )
    if visit.posted.get("then") != "session":
        return Saved(participant_path(created.code), "participant")
    first = {"name": FIRST_SESSION, "date": today()}
    sessions.create(visit.study, created.code, first, visit.who)
    return Saved(session_path(created.code, FIRST_SESSION), "participant")


def consent_values(posted: Mapping[str, str]) -> dict[str, str]:
    """Return what a form says about consent: a box that is not ticked says no."""
    boxes = {name: posted.get(name, "no") for name in ("takes_part", "keeps_video")}
    return {**picked(posted, ("version", "language")), **boxes}


def _one(visit: Visit, form: Form) -> Shown:  # noqa: ARG001
    participant = visit.participant
    return Shown(
        "study_participant.html.j2",
        {
            "person": person_view(participant, visit.t),
            "rows": person_rows(participant, visit.t),
            "sessions": [session_view(found, visit.t) for found in participant.sessions],
            "new_session": Form(new_session_values(participant)),
        },
        simulated=_simulated(participant),
    )


def _simulated(participant: Participant) -> bool:
    return any(clip.simulated for found in participant.sessions for clip in found.clips)


def _details(visit: Visit, form: Form) -> Shown:  # noqa: ARG001
    return Shown(
        "study_details.html.j2",
        {"person": person_view(visit.participant, visit.t), "names": PERSON_FIELDS},
    )


def _details_now(visit: Visit) -> Mapping[str, str]:
    participant = visit.participant
    return as_text({name: getattr(participant, name) for name in PERSON_FIELDS})


def _change(visit: Visit) -> Saved:
    values = changed(visit.posted, PERSON_FIELDS)
    now = participants.change(visit.study, visit.code, values, visit.who)
    return Saved(participant_path(now.code), "changed")


def _consent(visit: Visit, form: Form) -> Shown:  # noqa: ARG001
    return Shown(
        "study_consent.html.j2",
        {
            "person": person_view(visit.participant, visit.t),
            "consent": consent_text(visit.study.consent, visit.t),
        },
    )


def _renew(visit: Visit) -> Saved:
    values = consent_values(visit.posted)
    participants.consent(visit.study, visit.code, values, visit.who, earlier_texts=False)
    return Saved(participant_path(visit.code), "consent")


def _leave(visit: Visit, form: Form) -> Shown:  # noqa: ARG001
    participant = visit.participant
    visits = participant.sessions
    return Shown(
        "study_withdraw.html.j2",
        {
            "person": person_view(participant, visit.t),
            "sessions": len(visits),
            "values": sum(len(found.hemoglobin) for found in visits),
            "clips": sum(len(found.clips) for found in visits),
        },
    )


def _withdraw(visit: Visit) -> Saved:
    participant = visit.participant
    if visit.posted.get("confirm", "").strip() != participant.code:
        text = "confirm is not the code: type the code of the participant"
        raise InvalidFieldsError({"confirm": FieldProblem("not_the_code", text)})
    participants.withdraw(visit.study, participant.code, visit.who)
    return Saved("/study", "withdrawn")


NEW: Final = Page(_new, _create)
ONE: Final = Page(_one)
DETAILS: Final = Page(_details, _change, _details_now)
CONSENT: Final = Page(_consent, _renew)
WITHDRAW: Final = Page(_leave, _withdraw)
