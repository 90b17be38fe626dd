"""Participants: enter, read, list, change, consent, withdraw."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pallor.service.refusals import ConflictError, FieldProblem, InvalidFieldsError
from pallor.service.store.audit import MAX_WHO, plain
from pallor.service.study import clip_files
from pallor.service.study.access import one_at_a_time, participant_of, participant_row
from pallor.service.study.agreed_texts import languages_of
from pallor.service.study.fields import ConsentFields, ParticipantFields, contradiction_of
from pallor.service.study.lines import Missing, find_lines
from pallor.service.study.records import Participant, ParticipantLine

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from pallor.service.store.tables import ConsentRow, ParticipantRow
    from pallor.service.study.study import Study


@dataclass(frozen=True)
class Withdrawn:
    """What was deleted with a participant.

    Attributes
    ----------
    sessions, hemoglobin_values, clips
        How many.
    files
        Files that are gone by now. Where it is less than ``clips``, the rest are deleted as soon
        as the file system allows it.
    """

    sessions: int
    hemoglobin_values: int
    clips: int
    files: int


def create(
    study: Study,
    values: Mapping[str, Any],
    consent_values: Mapping[str, Any],
    who: str,
    *,
    earlier_texts: bool = True,
) -> Participant:
    """Enter a participant who agreed to take part.

    Parameters
    ----------
    study
        Open.
    values, consent_values
        As `ParticipantFields` and `ConsentFields` take them.
    who
        For the audit log.
    earlier_texts
        Whether a consent text counts that is shown no more, but that participants of the study
        agreed to: paper forms are entered late.

    Raises
    ------
    InvalidFieldsError
        With the problems of both; ``taken`` where there is such a code, whatever its case.
    """
    from pallor.service.store.tables import ParticipantRow

    fields, agreed = _both(values, consent_values, languages_of(study, earlier_texts))
    now = study.clock()
    with study.store.transaction() as session:
        one_at_a_time(study, session)
        _refuse_taken(session, fields.code)
        row = ParticipantRow(**fields.changes(), created_s=now, changed_s=now)
        session.add(row)
        session.flush()
        session.add(_consent_row(study, row.id, agreed, who))
        study.audit.add(who, "participant.create", f"participant {row.id}", session=session)
        study.audit.add(who, "consent.add", f"participant {row.id}", session=session)
        return participant_of(session, row)


def get(study: Study, code: str, who: str) -> Participant:
    """Return a participant with all that belongs to it.

    Raises
    ------
    UnknownError
        If there is none of this code.
    """
    with study.store.reading() as session:
        found = participant_of(session, participant_row(session, code))
    study.audit.add(who, "participant.read", f"participant {found.id}")
    return found


def listing(
    study: Study,
    who: str,
    *,
    search: str = "",
    missing: Missing | None = None,
    limit: int = 100,
    offset: int = 0,
) -> tuple[tuple[ParticipantLine, ...], int]:
    """Return participants in the order of their codes, and how many there are in all.

    Parameters
    ----------
    study
        Open.
    who
        For the audit log.
    search
        Part of a code; case does not matter.
    missing
        Only those with a clip whose blood value is still to come (``hemoglobin``), without a clip
        (``clip``), or who have not agreed that videos are kept (``consent``).
    limit, offset
        How many lines, and how many before them are left out.

    Raises
    ------
    InvalidFieldsError
        If ``missing`` is another word.
    """
    found = find_lines(study, search=search, missing=missing, limit=limit, offset=offset)
    study.audit.add(who, "participant.list")
    return found


def change(study: Study, code: str, values: Mapping[str, Any], who: str) -> Participant:
    """Change what is known of a participant.

    Parameters
    ----------
    study
        Open.
    code
        As it is.
    values
        As `ParticipantFields` takes them; what is absent stays, None clears. A new code is given
        as ``code``.
    who
        For the audit log.

    Raises
    ------
    UnknownError
        If there is none of this code.
    InvalidFieldsError
        With every problem.
    """
    fields = ParticipantFields.from_dict(values, partial=True)
    with study.store.transaction() as session:
        one_at_a_time(study, session)
        row = participant_row(session, code, to_change=True)
        if fields.code and fields.code != row.code:
            _refuse_taken(session, fields.code, but=row.id)
        for name, value in fields.changes().items():
            setattr(row, name, value)
        session.flush()
        _refuse_contradiction(session, row)
        row.changed_s = study.clock()
        study.audit.add(who, "participant.change", f"participant {row.id}", session=session)
        return participant_of(session, row)


def consent(
    study: Study, code: str, values: Mapping[str, Any], who: str, *, earlier_texts: bool = True
) -> Participant:
    """Write down that a participant agreed again, perhaps to less.

    Parameters
    ----------
    study
        Open.
    code
        Of the participant.
    values
        As `ConsentFields` takes them.
    who
        For the audit log.
    earlier_texts
        As in `create`.

    Raises
    ------
    UnknownError
        If there is none of this code.
    InvalidFieldsError
        With every problem.
    ConflictError
        If videos may no longer be kept, and there are some.
    """
    from sqlalchemy import select

    from pallor.service.store.tables import ClipRow, SessionRow

    fields = ConsentFields.from_dict(values, languages_of(study, earlier_texts))
    with study.store.transaction() as session:
        row = participant_row(session, code, to_change=True)
        kept = (
            select(ClipRow.id)
            .join(SessionRow, SessionRow.id == ClipRow.session_id)
            .where(SessionRow.participant_id == row.id)
            .limit(1)
        )
        if not fields.keeps_video and session.scalar(kept) is not None:
            raise ConflictError(
                "this participant has clips: delete them before you enter a consent that does not "
                "allow keeping videos"
            )
        session.add(_consent_row(study, row.id, fields, who))
        row.changed_s = study.clock()
        study.audit.add(who, "consent.add", f"participant {row.id}", session=session)
        return participant_of(session, row)


def withdraw(study: Study, code: str, who: str) -> Withdrawn:
    """Delete everything of a participant, for good.

    Parameters
    ----------
    study
        Open.
    code
        Of the participant.
    who
        For the audit log, in which the number of the participant is all that stays.

    Raises
    ------
    UnknownError
        If there is none of this code.
    """
    from sqlalchemy import delete, func, select

    from pallor.service.store.tables import ClipRow, HemoglobinRow, ParticipantRow, SessionRow

    with study.store.transaction() as session:
        row = participant_row(session, code, to_change=True)
        visits = session.scalars(
            select(SessionRow.id).where(SessionRow.participant_id == row.id)
        ).all()
        values = session.scalar(
            select(func.count())
            .select_from(HemoglobinRow)
            .where(HemoglobinRow.session_id.in_(visits))
        )
        tokens = clip_files.forget_rows(study, session, ClipRow.session_id.in_(visits))
        # Sessions, values and consents go with it: ON DELETE CASCADE.
        session.execute(delete(ParticipantRow).where(ParticipantRow.id == row.id))
        study.audit.add(who, "participant.withdraw", f"participant {row.id}", session=session)
    files = clip_files.remove(study, tokens)
    clip_files.fold(study)
    return Withdrawn(len(visits), values or 0, len(tokens), files)


def _both(
    values: Mapping[str, Any],
    consent_values: Mapping[str, Any],
    languages: Callable[[str], tuple[str, ...]],
) -> tuple[ParticipantFields, ConsentFields]:
    problems: dict[str, FieldProblem] = {}
    fields = agreed = None
    try:
        fields = ParticipantFields.from_dict(values)
    except InvalidFieldsError as error:
        problems |= error.problems
    try:
        agreed = ConsentFields.from_dict(consent_values, languages)
    except InvalidFieldsError as error:
        problems |= error.problems
    if fields is None or agreed is None:
        raise InvalidFieldsError(problems)
    return fields, agreed


def _refuse_taken(session: Session, code: str, but: int | None = None) -> None:
    from sqlalchemy import func, select

    from pallor.service.store.tables import ParticipantRow

    # Where case does not matter in names of files, the clips of A and a would share a folder.
    same = select(ParticipantRow.id).where(
        func.lower(ParticipantRow.code) == code.lower(), ParticipantRow.id != (but or 0)
    )
    if session.scalar(same.limit(1)) is not None:
        text = "code: there is a participant with this code already, perhaps in another case"
        raise InvalidFieldsError({"code": FieldProblem("taken", text)})


def _refuse_contradiction(session: Session, row: ParticipantRow) -> None:
    from sqlalchemy import select

    from pallor.service.store.tables import SessionRow

    visits = select(SessionRow.pregnancy).where(
        SessionRow.participant_id == row.id, SessionRow.pregnancy.is_not(None)
    )
    for pregnancy in (row.pregnancy, *session.scalars(visits)):
        contradiction = contradiction_of(row.sex, row.age_years, pregnancy)
        if contradiction is not None:
            raise InvalidFieldsError({"pregnancy": contradiction.problem})


def _consent_row(study: Study, participant_id: int, agreed: ConsentFields, who: str) -> ConsentRow:
    from pallor.service.store.tables import ConsentRow

    return ConsentRow(
        participant_id=participant_id,
        version=agreed.version,
        language=agreed.language,
        keeps_video=agreed.keeps_video,
        given_s=study.clock(),
        recorded_by=plain(who, MAX_WHO),
    )
