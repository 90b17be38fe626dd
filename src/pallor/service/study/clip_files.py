"""The files of a study's clips, and the journal by which none is left over and none is missing.

A file comes in and goes out in steps, between which the process may be killed. Before the first
step its token is written to ``clip_files_due``; the transaction that gives a clip its row takes it
out again. What is found there later is deleted. A file that no row and no entry knows is not: a
service that was started with another database would otherwise delete a study.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pallor.service.errors import FileTokenError, StoreError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from pallor.service.study.study import Study

DUE_AFTER_S: Final = 600.0
"""An entry as old as this belongs to nobody who still works on it."""
FOLD_WAIT_S: Final = 2.0
"""Longest wait for readers before the log of SQLite is emptied."""

_log = logging.getLogger(__name__)


def announce(study: Study, token: str) -> None:
    """Write down that a file is about to come in."""
    with study.store.transaction() as session:
        _add_entries(study, session, [token])


def take_in(study: Study, token: str) -> None:
    """Move a finished upload to the clips, so that it outlasts a loss of power.

    Raises
    ------
    FileNotFoundError
        If it is gone.
    """
    source, target = study.uploads.path(token), study.clips.path(token)
    descriptor = os.open(source, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    source.replace(target)
    _sync_folder(study.clips.folder)


def keep(session: Session, token: str) -> bool:
    """Take a file out of the journal: its row is added in the same transaction.

    Returns
    -------
    bool
        False where the entry is gone, and the file with it.
    """
    from sqlalchemy import delete

    from pallor.service.store.tables import ClipFileRow

    done: Any = session.execute(delete(ClipFileRow).where(ClipFileRow.token == token))
    return bool(done.rowcount)


def forget_rows(study: Study, session: Session, clips: Any) -> tuple[str, ...]:
    """Delete clips with their checks, and write their files into the journal.

    Parameters
    ----------
    study
        Open.
    session
        Of the transaction.
    clips
        Condition on ``ClipRow``.

    Returns
    -------
    tuple[str, ...]
        Tokens of the files, for `remove` after the transaction.
    """
    from sqlalchemy import delete, select

    from pallor.service.store.tables import ClipRow, JobRow

    found = session.execute(select(ClipRow.id, ClipRow.file_token, ClipRow.job_id).where(clips))
    rows = found.all()
    tokens = [row.file_token for row in rows]
    _add_entries(study, session, tokens)
    session.execute(delete(ClipRow).where(ClipRow.id.in_([row.id for row in rows])))
    jobs = [row.job_id for row in rows if row.job_id is not None]
    session.execute(delete(JobRow).where(JobRow.id.in_(jobs)))
    return tuple(tokens)


def remove(study: Study, tokens: Iterable[str]) -> int:
    """Delete files that are in the journal, then their entries.

    A file that cannot be deleted now stays in the journal, and a later sweep tries again.

    Returns
    -------
    int
        How many files were deleted.
    """
    gone = [(token, _unlink(study, token)) for token in tokens]
    done = [token for token, was_there in gone if was_there is not None]
    try:
        with study.store.transaction() as session:
            for token in done:
                keep(session, token)
    except StoreError as error:
        _log.warning("the journal of clips is behind its files: %s", error.text)
    return sum(bool(was_there) for _, was_there in gone)


def fold(study: Study, wait_s: float = FOLD_WAIT_S) -> None:
    """Let nothing that was deleted stay in the log of SQLite."""
    try:
        if not study.store.fold(wait_s):
            _log.info(
                "the log of the database is in use: what was deleted goes with the next round"
            )
    except StoreError as error:
        _log.warning("%s", error.text)


def sweep(study: Study) -> int:
    """Finish what was interrupted: delete the files that the journal has had for long.

    Returns
    -------
    int
        How many files were deleted.

    Raises
    ------
    StoreError
        If the database does not do what is asked of it.
    """
    from sqlalchemy import select

    from pallor.service.store.tables import ClipFileRow, ClipRow

    old = (
        select(ClipFileRow)
        .where(ClipFileRow.created_s < study.clock() - DUE_AFTER_S)
        # Whoever comes to keep a file at this moment waits, and finds its entry gone.
        .with_for_update(skip_locked=True)
    )
    count = 0
    with study.store.reading() as session:
        waiting = session.scalar(select(ClipFileRow.token).limit(1))
    if waiting is not None:
        with study.store.transaction() as session:
            for entry in session.scalars(old).all():
                known = select(ClipRow.id).where(ClipRow.file_token == entry.token)
                was_there = None
                if session.scalar(known) is None:
                    was_there = _unlink(study, entry.token)
                    if was_there is None:
                        continue
                session.delete(entry)
                count += bool(was_there)
    fold(study, 0.0)
    return count


def unknown_files(study: Study) -> int:
    """Return how many files of the folder neither a clip nor the journal knows."""
    from sqlalchemy import select

    from pallor.service.store.tables import ClipFileRow, ClipRow

    # The folder first: what comes in meanwhile is known by then.
    names = {path.name for path in study.clips.folder.iterdir()}
    with study.store.reading() as session:
        names.difference_update(session.scalars(select(ClipFileRow.token)))
        names.difference_update(session.scalars(select(ClipRow.file_token)))
    return len(names)


def report_differences(study: Study) -> None:
    """Write into the log, at the start, how many files nobody knows and how many are missing.

    Nothing is deleted.
    """
    from pallor.service.store.instance import missing_clips

    unknown = unknown_files(study)
    if unknown:
        _log.warning(
            "%d files in the folder of clips are in no row of the database: is it the right one?",
            unknown,
        )
    with study.store.reading() as session:
        missing, known = missing_clips(session, study.clips.folder)
    if missing:
        _log.warning(
            "%d of the %d clips of the database are not in the folder of clips: is it the right "
            "one, or are they lost?",
            missing,
            known,
        )


def _add_entries(study: Study, session: Session, tokens: Iterable[str]) -> None:
    from pallor.service.store.tables import ClipFileRow

    now = study.clock()
    session.add_all(ClipFileRow(token=token, created_s=now) for token in tokens)
    session.flush()


def _unlink(study: Study, token: str) -> bool | None:
    """Delete a file; None where that is not possible now, else whether it was there."""
    try:
        return study.clips.delete(token)
    except FileTokenError:
        # Of a row that was written by other hands: no file has this name.
        return False
    except OSError as error:
        _log.warning("a clip could not be deleted yet: %s", error.strerror or type(error).__name__)
        return None


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
