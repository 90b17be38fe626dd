"""Finding the rows of a study, alone where they are to be changed, and reading them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from pallor.service.refusals import UnknownError
from pallor.service.store.job import FAILED
from pallor.service.study.field_readers import is_code
from pallor.service.study.records import (
    Consent,
    HemoglobinValue,
    Participant,
    StudyClip,
    StudySession,
)

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from pallor.service.store.tables import (
        ClipRow,
        ConsentRow,
        HemoglobinRow,
        JobRow,
        ParticipantRow,
        SessionRow,
    )
    from pallor.service.study.study import Study

UNKNOWN: Final = "there is no such participant, session, value or clip in this study"
"""The same for everything, so that it tells nothing."""

MAX_ID: Final = 2**31 - 1
_LOCK: Final = 0x70616C6D
"""Number of the advisory lock of PostgreSQL for what must be unique in the study."""


def one_at_a_time(study: Study, session: Session) -> None:
    """Wait until nobody else makes a code or a clip, and keep others from it until the end.

    A constraint would tell too, but only by failing the transaction. On SQLite every transaction
    that writes is alone. Comes before any row is locked, so that no two wait for each other.
    """
    from sqlalchemy import func, select

    if not study.store.is_sqlite:
        session.execute(select(func.pg_advisory_xact_lock(_LOCK)))


def participant_row(session: Session, code: str, *, to_change: bool = False) -> ParticipantRow:
    """Return the row of a code.

    Parameters
    ----------
    session
        Of a transaction.
    code
        As it came from the client.
    to_change
        Whether others wait until the transaction ends: what belongs to one person is changed by
        one at a time.

    Raises
    ------
    UnknownError
        If there is none.
    """
    from sqlalchemy import select

    from pallor.service.store.tables import ParticipantRow

    row = None
    if is_code(code):
        wanted = select(ParticipantRow).where(ParticipantRow.code == code)
        row = session.scalars(wanted.with_for_update() if to_change else wanted).one_or_none()
    if row is None:
        raise UnknownError(UNKNOWN)
    return row


def session_row(session: Session, participant_id: int, name: str) -> SessionRow:
    """Return the row of a visit.

    Raises
    ------
    UnknownError
        If the participant has none of this name.
    """
    from sqlalchemy import select

    from pallor.service.store.tables import SessionRow

    row = None
    if is_code(name):
        row = session.scalars(
            select(SessionRow).where(
                SessionRow.participant_id == participant_id, SessionRow.name == name
            )
        ).one_or_none()
    if row is None:
        raise UnknownError(UNKNOWN)
    return row


def row_of_session(session: Session, kind: Any, row_id: object, session_id: int) -> Any:
    """Return the row of a blood value or clip.

    Parameters
    ----------
    session
        Of a transaction.
    kind
        ``HemoglobinRow`` or ``ClipRow``.
    row_id
        As it came from the client.
    session_id
        Of the visit that it belongs to.

    Raises
    ------
    UnknownError
        If the visit has none of this id.
    """
    if isinstance(row_id, int) and not isinstance(row_id, bool) and 1 <= row_id <= MAX_ID:
        row = session.get(kind, row_id)
        if row is not None and row.session_id == session_id:
            return row
    raise UnknownError(UNKNOWN)


def latest_consent(session: Session, participant_id: int) -> ConsentRow | None:
    """Return the consent that holds."""
    from sqlalchemy import select

    from pallor.service.store.tables import ConsentRow

    return session.scalars(
        select(ConsentRow)
        .where(ConsentRow.participant_id == participant_id)
        .order_by(ConsentRow.id.desc())
        .limit(1)
    ).first()


def participant_of(session: Session, row: ParticipantRow) -> Participant:
    """Return a participant with everything that belongs to it, as the transaction sees it."""
    from sqlalchemy import select

    from pallor.service.store import tables as t

    session.flush()
    visits = session.scalars(
        select(t.SessionRow)
        .where(t.SessionRow.participant_id == row.id)
        .order_by(t.SessionRow.date.is_(None), t.SessionRow.date, t.SessionRow.id)
    ).all()
    ids = [visit.id for visit in visits]
    values = session.scalars(
        select(t.HemoglobinRow)
        .where(t.HemoglobinRow.session_id.in_(ids))
        .order_by(t.HemoglobinRow.id)
    ).all()
    clips = session.execute(
        select(t.ClipRow, t.JobRow)
        .outerjoin(t.JobRow, t.JobRow.id == t.ClipRow.job_id)
        .where(t.ClipRow.session_id.in_(ids))
        .order_by(t.ClipRow.id)
    ).all()
    consent = latest_consent(session, row.id)
    return Participant(
        id=row.id,
        code=row.code,
        sex=row.sex,
        age_years=row.age_years,
        pregnancy=row.pregnancy,
        altitude_m=row.altitude_m,
        smoking=row.smoking,
        note=row.note,
        created_s=row.created_s,
        changed_s=row.changed_s,
        consent=None if consent is None else _consent(consent),
        sessions=tuple(
            _session(
                visit,
                (value for value in values if value.session_id == visit.id),
                (clip_of(clip, job) for clip, job in clips if clip.session_id == visit.id),
            )
            for visit in visits
        ),
    )


def clip_of(clip: ClipRow, job: JobRow | None) -> StudyClip:
    """Return a clip with what its check found."""
    if job is None:
        return StudyClip(
            id=clip.id,
            camera=clip.camera,
            bytes=clip.bytes,
            sha256=clip.sha256,
            simulated=clip.simulated,
            created_s=clip.created_s,
            state=FAILED,
            code="check_missing",
            text="the check of this clip was deleted: check it again",
        )
    return StudyClip(
        id=clip.id,
        camera=clip.camera,
        bytes=clip.bytes,
        sha256=clip.sha256,
        simulated=clip.simulated or bool((job.result or {}).get("simulated")),
        created_s=clip.created_s,
        state=job.state,
        share=job.share,
        check=job.result,
        code=job.code,
        text=job.text,
    )


def _session(
    row: SessionRow, values: Iterable[HemoglobinRow], clips: Iterable[StudyClip]
) -> StudySession:
    return StudySession(
        name=row.name,
        date=row.date,
        site=row.site,
        pregnancy=row.pregnancy,
        hemoglobin=tuple(
            HemoglobinValue(
                value.id,
                value.value,
                value.unit,
                value.hemoglobin_g_dl,
                value.method,
                value.measured_on,
            )
            for value in values
        ),
        clips=tuple(clips),
    )


def _consent(row: ConsentRow) -> Consent:
    return Consent(row.version, row.language, row.keeps_video, row.given_s, row.recorded_by)
