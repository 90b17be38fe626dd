"""Visits of a participant: enter, change, delete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pallor.service.refusals import FieldProblem, InvalidFieldsError
from pallor.service.study import clip_files
from pallor.service.study.access import participant_of, participant_row, session_row
from pallor.service.study.fields import SessionFields, contradiction_of
from pallor.service.study.records import Participant

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from pallor.service.store.tables import ParticipantRow
    from pallor.service.study.study import Study


def create(study: Study, code: str, values: Mapping[str, Any], who: str) -> Participant:
    """Enter a visit.

    Parameters
    ----------
    study
        Open.
    code
        Of the participant.
    values
        As `SessionFields` takes them.
    who
        For the audit log.

    Raises
    ------
    UnknownError
        If there is no such participant.
    InvalidFieldsError
        With every problem; ``taken`` where the participant has a visit of this name, whatever
        its case.
    """
    from pallor.service.store.tables import SessionRow

    fields = SessionFields.from_dict(values)
    with study.store.transaction() as session:
        person = participant_row(session, code, to_change=True)
        _refuse_taken(session, person.id, fields.name)
        _refuse_contradiction(person, fields.pregnancy)
        person.changed_s = study.clock()
        row = SessionRow(participant_id=person.id, **fields.changes(), created_s=person.changed_s)
        session.add(row)
        session.flush()
        what = f"participant {person.id} session {row.id}"
        study.audit.add(who, "session.create", what, session=session)
        return participant_of(session, person)


def change(study: Study, code: str, name: str, values: Mapping[str, Any], who: str) -> Participant:
    """Change what is known of a visit; what is absent stays, None clears.

    Raises
    ------
    UnknownError
        If there is no such participant or visit.
    InvalidFieldsError
        With every problem.
    """
    fields = SessionFields.from_dict(values, partial=True)
    with study.store.transaction() as session:
        person = participant_row(session, code, to_change=True)
        row = session_row(session, person.id, name)
        if fields.name and fields.name != row.name:
            _refuse_taken(session, person.id, fields.name, but=row.id)
        for column, value in fields.changes().items():
            setattr(row, column, value)
        _refuse_contradiction(person, row.pregnancy)
        person.changed_s = study.clock()
        what = f"participant {person.id} session {row.id}"
        study.audit.add(who, "session.change", what, session=session)
        return participant_of(session, person)


def delete(study: Study, code: str, name: str, who: str) -> Participant:
    """Delete a visit with its values and clips.

    Raises
    ------
    UnknownError
        If there is no such participant or visit.
    """
    from sqlalchemy import delete as deleting

    from pallor.service.store.tables import ClipRow, SessionRow

    with study.store.transaction() as session:
        person = participant_row(session, code, to_change=True)
        row = session_row(session, person.id, name)
        tokens = clip_files.forget_rows(study, session, ClipRow.session_id == row.id)
        session.execute(deleting(SessionRow).where(SessionRow.id == row.id))
        person.changed_s = study.clock()
        what = f"participant {person.id} session {row.id}"
        study.audit.add(who, "session.delete", what, session=session)
        found = participant_of(session, person)
    clip_files.remove(study, tokens)
    clip_files.fold(study)
    return found


def _refuse_taken(session: Session, participant_id: int, name: str, but: int | None = None) -> None:
    from sqlalchemy import func, select

    from pallor.service.store.tables import SessionRow

    # Where case does not matter in names of files, the clips of A and a would share a folder.
    same = select(SessionRow.id).where(
        SessionRow.participant_id == participant_id,
        func.lower(SessionRow.name) == name.lower(),
        SessionRow.id != (but or 0),
    )
    if session.scalar(same.limit(1)) is not None:
        text = "name: the participant has a session of this name already, perhaps in another case"
        raise InvalidFieldsError({"name": FieldProblem("taken", text)})


def _refuse_contradiction(person: ParticipantRow, pregnancy: str | None) -> None:
    contradiction = contradiction_of(person.sex, person.age_years, pregnancy)
    if contradiction is not None:
        raise InvalidFieldsError({"pregnancy": contradiction.problem})
