"""Which data folder a database belongs to: an id in both, compared whenever they are opened.

With another folder than its own a database would forget a clip whose file stays where it is: the
video of somebody who has withdrawn would lie there for ever, and nothing would know of it.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pallor.errors import UsageError
from pallor.service.errors import StoreError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from pallor.service.settings import ServiceSettings

_LOCK: Final = 0x70616C69
"""Number of the advisory lock of PostgreSQL under which one process at a time compares."""


def compare(session: Session, settings: ServiceSettings, *, binds: bool) -> bool:
    """Refuse a database and a data folder that do not belong together.

    An empty file is the operator's word that the folder is the right one.

    Parameters
    ----------
    session
        Of a transaction on the tables of today.
    settings
        Their ``data``, ``instance_file`` and ``clips`` are used.
    binds
        Whether a database without an id gets one, and the folder the same. Until then, the
        folder must hold all clips.

    Returns
    -------
    bool
        Whether `finish` is to be called after the transaction.

    Raises
    ------
    UsageError
        If they do not belong together.
    StoreError
        If the file cannot be read or written.
    """
    from pallor.service.store.tables import InstanceRow

    _one_at_a_time(session)
    row = session.get(InstanceRow, 1)
    # In this order: another process may rename the first to the second at this moment.
    begun, told = _read(_begun(settings)), _read(settings.instance_file)
    if row is None:
        _refuse_to_bind(session, settings, told)
        if not binds:
            return False
        row = InstanceRow(number=1, id=secrets.token_hex(16))
        session.add(row)
    elif told == row.id:
        return False
    elif told or (told is None and begun != row.id):
        raise UsageError(_of_another_folder(settings, told))
    if begun != row.id:
        _write(_begun(settings), row.id)
    return True


def finish(settings: ServiceSettings) -> None:
    """Give the file its name, now that the database has its row.

    Raises
    ------
    StoreError
        If that is not possible.
    """
    file = settings.instance_file
    try:
        # Where it is gone another process has finished.
        with suppress(FileNotFoundError):
            _begun(settings).replace(file)
    except OSError as error:
        raise StoreError(f"{file}: it cannot be written: {error.strerror or error}") from error


def missing_clips(session: Session, folder: Path) -> tuple[int, int]:
    """Count the clips of a study whose files are not in a folder.

    Parameters
    ----------
    session
        Of a transaction.
    folder
        Of the clips; it need not be there.

    Returns
    -------
    missing, known
        How many are not there, and how many the database knows.
    """
    from sqlalchemy import select

    from pallor.service.store.tables import ClipRow

    # Before and after: what goes or comes meanwhile is not missing.
    there = _names(folder)
    known = set(session.scalars(select(ClipRow.file_token)))
    return len(known - there - _names(folder)), len(known)


def _refuse_to_bind(session: Session, settings: ServiceSettings, told: str | None) -> None:
    if told:
        raise UsageError(
            f"{settings.data}: this data folder belongs to another database: name that one with "
            "--database-url, or a new folder with --data"
        )
    missing, known = missing_clips(session, settings.clips)
    if missing and told is None:
        raise UsageError(
            f"{settings.data}: {missing} of the {known} clips of the database are not in this "
            "folder: name the data folder that holds them with --data; if this is the right one "
            f"and they are lost, put an empty file named {settings.instance_file.name} into it"
        )


def _of_another_folder(settings: ServiceSettings, told: str | None) -> str:
    if told:
        return (
            f"{settings.data}: the database belongs to another data folder, and this folder to "
            "another database: name what belongs together with --data and --database-url"
        )
    return (
        f"{settings.data}: the database belongs to another data folder: name that one with --data; "
        "if this is the right one and its file was lost, put an empty file named "
        f"{settings.instance_file.name} into it"
    )


def _begun(settings: ServiceSettings) -> Path:
    """Return where the id stands until its row is written: a process may be killed in between."""
    return settings.instance_file.with_name(f"{settings.instance_file.name}.new")


def _one_at_a_time(session: Session) -> None:
    """Wait until nobody else compares; on SQLite every transaction that writes is alone."""
    from sqlalchemy import func, select

    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(_LOCK)))


def _names(folder: Path) -> set[str]:
    try:
        return {path.name for path in folder.iterdir()}
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise StoreError(
            f"{folder}: the folder cannot be read: {error.strerror or error}"
        ) from error


def _read(file: Path) -> str | None:
    """Return the id in a file; None where there is no file."""
    try:
        return file.read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{file}: it cannot be read: {error.strerror or error}") from error


def _write(file: Path, text: str) -> None:
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(f"{text}\n")
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise StoreError(f"{file}: it cannot be written: {error.strerror or error}") from error
