"""Connections to SQLite and PostgreSQL, set up as the jobs need them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pallor.service.errors import StoreError

if TYPE_CHECKING:
    from sqlalchemy import Engine

BUSY_TIMEOUT_S = 30.0
"""How long a writer of SQLite waits for another."""

_POSTGRESQL = {
    "connect_timeout": 10,
    # A server that is gone without a word is noticed within half a minute.
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}

READS = "pallor_reads"
"""Execution option of a connection that will not write."""


def make_engine(url: str) -> Engine:
    """Return an engine with the settings that jobs depend on.

    Its errors do not repeat the values of a statement: those are of people, and errors are logged.

    Raises
    ------
    StoreError
        If the URL is not one of SQLite or PostgreSQL.
    """
    from sqlalchemy import create_engine, event
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        address = make_url(url)
    except (ArgumentError, ValueError):  # the latter for a port that is no number
        # The URL may hold a password: it is not repeated.
        raise StoreError(f"not the URL of a database: {_ALLOWED}") from None
    if "@" in (address.host or ""):
        # What was taken for the host begins with the end of the password, and would be repeated.
        raise StoreError(
            "not the URL of a database: write an @ in the password or user as %40, "
            "a / as %2F and a : as %3A"
        )
    if address.get_backend_name() == "postgresql":
        return create_engine(
            address.set(drivername="postgresql+psycopg"),
            pool_pre_ping=True,
            pool_size=5,
            max_overflow=15,
            hide_parameters=True,
            connect_args=_POSTGRESQL,
        )
    if address.get_backend_name() != "sqlite" or not address.database:
        raise StoreError(f"not a database that is supported: {_ALLOWED}")
    _own(Path(address.database))
    engine = create_engine(
        address,
        pool_size=20,
        max_overflow=20,
        hide_parameters=True,
        connect_args={"timeout": BUSY_TIMEOUT_S},
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        # The driver's own idea of transactions begins them too late for BEGIN IMMEDIATE.
        connection.isolation_level = None
        _write_ahead(connection)
        for pragma in ("synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        # Taking the write lock at once: a transaction that reads and then writes could
        # otherwise find the database changed in between, and no waiting would help it.
        reads = connection.get_execution_options().get(READS, False)
        # Who said that nothing will be written is held to it, as on PostgreSQL.
        connection.exec_driver_sql(f"PRAGMA query_only={int(reads)}")
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


_ALLOWED = "give sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"


def _write_ahead(connection: Any) -> None:
    """Switch a database to write-ahead logging, where it is not there yet.

    SQLite does not wait for its lock here, as it does elsewhere: processes that open a new
    database at the same time have to try again.
    """
    import sqlite3
    import time

    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def fold_log(engine: Engine, wait_s: float) -> bool:
    """Fold the write-ahead log of SQLite into the database and cut it to nothing.

    Raises
    ------
    StoreError
        If the file cannot be read or written.
    """
    import sqlite3

    from sqlalchemy.exc import DBAPIError, TimeoutError

    try:
        connection = engine.raw_connection()
    except (DBAPIError, TimeoutError) as error:
        raise StoreError("the database does not answer: no connection is free") from error
    try:
        # No transaction: within one there is no folding.
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={round(1000 * wait_s)}")
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        answer = cursor.fetchone()
        cursor.execute(f"PRAGMA busy_timeout={round(1000 * BUSY_TIMEOUT_S)}")
        cursor.close()
    except sqlite3.Error as error:
        connection.invalidate()
        raise StoreError(f"the log of the database cannot be folded: {error}") from error
    finally:
        connection.close()
    return answer is not None and not answer[0]


def _own(path: Path) -> None:
    """Make the file of the database, readable by its owner alone, where it is not there."""
    try:
        path.touch(mode=0o600, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"{path}: the database cannot be written: {error.strerror or error}"
        ) from error
