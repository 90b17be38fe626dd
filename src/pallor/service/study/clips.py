"""Clips of a visit: add, check again, delete, and finish what was interrupted."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pallor.service.refusals import (
    ConflictError,
    NoConsentError,
    NotReadyError,
    RefusalError,
)
from pallor.service.store.job import CLIP_CHECK, DONE, FAILED
from pallor.service.study import clip_files
from pallor.service.study.access import (
    clip_of,
    latest_consent,
    one_at_a_time,
    participant_of,
    participant_row,
    row_of_session,
    session_row,
)
from pallor.service.study.clip_files import report_differences, sweep
from pallor.service.study.fields import ClipFields
from pallor.service.study.records import Participant, StudyClip

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from pallor.service.store.tables import ParticipantRow
    from pallor.service.study.study import Study

__all__ = [
    "SUFFIXES",
    "add",
    "check_again",
    "check_may_add",
    "delete",
    "get",
    "path",
    "report_differences",
    "sweep",
]

SUFFIXES: Final[Mapping[str, str]] = {
    "mp4": ".mp4",
    "matroska": ".webm",
    "avi": ".avi",
    "png": ".png",
    "jpeg": ".jpg",
}
"""Container (`pallor.service.content_type.kind_of`) to the suffix of an exported file."""

_log = logging.getLogger(__name__)


def check_may_add(study: Study, code: str, session_name: str) -> None:
    """Say before an upload whether a clip would be taken.

    Raises
    ------
    UnknownError
        If there is no such participant or visit.
    NoConsentError
        If the participant has not agreed that videos are kept.
    """
    with study.store.reading() as session:
        person = participant_row(session, code)
        session_row(session, person.id, session_name)
        _refuse_without_consent(session, person)


def add(
    study: Study,
    code: str,
    session_name: str,
    token: str,
    upload_size: int,
    sha256: str,
    kind: str,
    values: Mapping[str, Any],
    who: str,
) -> tuple[Participant, StudyClip]:
    """Keep a clip that has arrived, and put its check into the queue.

    Whatever happens, the upload is gone afterwards: kept, or deleted.

    Parameters
    ----------
    study
        Open.
    code, session_name
        Of the participant and the visit.
    token
        Of a finished and closed file in ``study.uploads``.
    upload_size, sha256
        Of the file: bytes, and 64 hexadecimal digits.
    kind
        Its container, one of `SUFFIXES`.
    values
        As `ClipFields` takes them.
    who
        For the audit log.

    Raises
    ------
    UnknownError
        If there is no such participant or visit, perhaps no longer.
    NoConsentError
        If the participant has not agreed that videos are kept.
    ConflictError
        If the study has this very file already.
    InvalidFieldsError
        With every problem.
    NotReadyError
        If the upload is gone.
    """
    try:
        fields = ClipFields.from_dict(values)
        check_may_add(study, code, session_name)
        row = {
            "file_token": token,
            "suffix": SUFFIXES[kind],
            "bytes": upload_size,
            "sha256": sha256,
            "camera": fields.camera,
            "simulated": fields.simulated,
        }
        return _take_in(study, code, session_name, row, who)
    finally:
        _drop_upload(study, token)


def get(study: Study, code: str, session_name: str, clip_id: int, who: str) -> StudyClip:
    """Return a clip with the state of its check.

    Whoever waits for the check asks often: the audit log tells who saw what was found, not who
    waited.

    Raises
    ------
    UnknownError
        If there is no such participant, visit or clip.
    """
    from pallor.service.store.tables import ClipRow, JobRow

    with study.store.reading() as session:
        person = participant_row(session, code)
        visit = session_row(session, person.id, session_name)
        row = row_of_session(session, ClipRow, clip_id, visit.id)
        found = clip_of(row, None if row.job_id is None else session.get(JobRow, row.job_id))
        what = f"participant {person.id} clip {row.id}"
    if found.state in (DONE, FAILED):
        study.audit.add(who, "participant.read", what)
    return found


def check_again(study: Study, code: str, session_name: str, clip_id: int, who: str) -> StudyClip:
    """Check a clip anew: its check failed, or other limits hold by now.

    What was found before is forgotten, but not that the clip is simulated. A check that waits or
    runs is left alone.

    Returns
    -------
    StudyClip
        With a check that waits or runs.

    Raises
    ------
    UnknownError
        If there is no such participant, visit or clip.
    """
    from pallor.service.store.tables import ClipRow, JobRow

    with study.store.transaction() as session:
        person = participant_row(session, code, to_change=True)
        visit = session_row(session, person.id, session_name)
        row = row_of_session(session, ClipRow, clip_id, visit.id)
        before = None if row.job_id is None else session.get(JobRow, row.job_id)
        if before is None or before.state in (DONE, FAILED):
            row.simulated = clip_of(row, before).simulated
            if before is not None:
                session.delete(before)
            row.job_id = study.jobs.create(CLIP_CHECK, row.file_token, {}, session=session).id
            what = f"participant {person.id} clip {row.id}"
            study.audit.add(who, "clip.check", what, session=session)
        return clip_of(row, session.get(JobRow, row.job_id))


def delete(study: Study, code: str, session_name: str, clip_id: int, who: str) -> Participant:
    """Delete a clip with its file and its check, in whatever state that is.

    Raises
    ------
    UnknownError
        If there is no such participant, visit or clip.
    """
    from pallor.service.store.tables import ClipRow

    with study.store.transaction() as session:
        person = participant_row(session, code, to_change=True)
        visit = session_row(session, person.id, session_name)
        row_id = row_of_session(session, ClipRow, clip_id, visit.id).id
        tokens = clip_files.forget_rows(study, session, ClipRow.id == row_id)
        person.changed_s = study.clock()
        what = f"participant {person.id} clip {row_id}"
        study.audit.add(who, "clip.delete", what, session=session)
        found = participant_of(session, person)
    clip_files.remove(study, tokens)
    clip_files.fold(study)
    return found


def path(study: Study, token: str) -> Path:
    """Return where the file of a clip is."""
    return study.clips.path(token)


def _take_in(
    study: Study, code: str, session_name: str, values: Mapping[str, Any], who: str
) -> tuple[Participant, StudyClip]:
    token = values["file_token"]
    clip_files.announce(study, token)
    try:
        clip_files.take_in(study, token)
        return _add_row(study, code, session_name, values, who)
    except RefusalError:
        clip_files.remove(study, [token])
        raise
    except FileNotFoundError:
        clip_files.remove(study, [token])
        raise NotReadyError("the uploaded clip is no longer there: upload it again") from None
    # After a failure of the database nobody knows whether the clip has its row. If it has not,
    # its file is in the journal.


def _add_row(
    study: Study, code: str, session_name: str, values: Mapping[str, Any], who: str
) -> tuple[Participant, StudyClip]:
    from pallor.service.store.tables import ClipRow, JobRow

    token = values["file_token"]
    with study.store.transaction() as session:
        one_at_a_time(study, session)
        person = participant_row(session, code, to_change=True)
        visit = session_row(session, person.id, session_name)
        _refuse_without_consent(session, person)
        _refuse_twice(session, values["sha256"])
        job = study.jobs.create(CLIP_CHECK, token, {}, session=session)
        person.changed_s = study.clock()
        row = ClipRow(**values, session_id=visit.id, job_id=job.id, created_s=person.changed_s)
        session.add(row)
        session.flush()
        if not clip_files.keep(session, token):
            # A sweep took it: this process stood still for longer than the journal waits.
            raise NotReadyError("the upload took too long to be stored: upload it again")
        what = f"participant {person.id} clip {row.id}"
        study.audit.add(who, "clip.add", what, session=session)
        return participant_of(session, person), clip_of(row, session.get(JobRow, job.id))


def _drop_upload(study: Study, token: str) -> None:
    try:
        study.uploads.delete(token)
    except OSError as error:
        # Nobody's job needs it: the next sweep of uploads takes it.
        _log.warning("an upload could not be deleted yet: %s", error.strerror)


def _refuse_without_consent(session: Session, person: ParticipantRow) -> None:
    consent = latest_consent(session, person.id)
    if consent is None or not consent.keeps_video:
        raise NoConsentError(
            "this participant has not agreed that videos are kept: ask again, enter the new "
            "consent, and then add the clip"
        )


def _refuse_twice(session: Session, sha256: str) -> None:
    from sqlalchemy import select

    from pallor.service.store.tables import ClipRow, ParticipantRow, SessionRow

    there = session.execute(
        select(ParticipantRow.code, SessionRow.name)
        .join(SessionRow, SessionRow.participant_id == ParticipantRow.id)
        .join(ClipRow, ClipRow.session_id == SessionRow.id)
        .where(ClipRow.sha256 == sha256)
        .limit(1)
    ).first()
    if there is not None:
        raise ConflictError(
            f"the study has this clip already: participant {there.code}, session {there.name}"
        )
