"""Opening the database, and transactions on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pallor.service.errors import StoreError

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session, sessionmaker

    from pallor.service.settings import ServiceSettings

BUSY_TIMEOUT_S = 30.0
"""How long a writer of SQLite waits for another."""

_READS = "pallor_reads"
"""Execution option of a connection that will not write."""


@dataclass(frozen=True)
class Store:
    """An open database.

    Attributes
    ----------
    engine
        Pool of connections; safe between threads, not across a fork.
    sessions
        Maker of sessions.
    """

    engine: Engine
    sessions: sessionmaker[Session]

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a file of SQLite."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Give a session whose work is committed at the end, or rolled back on an error.

        Raises
        ------
        StoreError
            If the database does not do what is asked of it.
        """
        from sqlalchemy.exc import DBAPIError, TimeoutError

        try:
            with self.sessions.begin() as session:
                yield session
        except (DBAPIError, TimeoutError) as error:
            raise StoreError(f"the database does not answer: {_reason(error)}") from error

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Give a session that only reads: on SQLite it waits for no writer, and stops none.

        Raises
        ------
        StoreError
            If the database does not do what is asked of it.
        """
        with self.transaction() as session:
            session.connection(execution_options={_READS: True})
            yield session

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def open_store(settings: ServiceSettings, *, migrate: bool = True) -> Store:
    """Open the database of the settings, its tables brought up to date.

    Parameters
    ----------
    settings
        Their ``url`` and ``data`` are used; the folder is made.
    migrate
        Whether to bring the tables up to date; workers leave it to whoever started them.

    Raises
    ------
    StoreError
        If the URL is of another kind, the server is not reached, or the tables are those of a
        later version.
    """
    from pallor.service.files import make_private
    from pallor.service.store.upgrade import upgrade

    make_private(settings.data)
    if migrate:
        upgrade(settings.url)
    return connect(settings.url)


def connect(url: str) -> Store:
    """Open a database as it is.

    Raises
    ------
    StoreError
        If the URL is not one of SQLite or PostgreSQL.
    """
    from sqlalchemy.orm import sessionmaker

    engine = make_engine(url)
    return Store(engine, sessionmaker(engine, expire_on_commit=False))


def make_engine(url: str) -> Engine:
    """Return an engine with the settings that jobs depend on.

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
    except ArgumentError:
        # The URL may hold a password: it is not repeated.
        raise StoreError(f"not the URL of a database: {_ALLOWED}") from None
    if address.get_backend_name() == "postgresql":
        return create_engine(
            address.set(drivername="postgresql+psycopg"),
            pool_pre_ping=True,
            pool_size=5,
            max_overflow=15,
            connect_args={"connect_timeout": 10},
        )
    if address.get_backend_name() != "sqlite" or not address.database:
        raise StoreError(f"not a database that is supported: {_ALLOWED}")
    _own(Path(address.database))
    engine = create_engine(
        address, pool_size=20, max_overflow=20, connect_args={"timeout": BUSY_TIMEOUT_S}
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
        reads = connection.get_execution_options().get(_READS, False)
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


def _own(path: Path) -> None:
    """Make the file of the database, readable by its owner alone, where it is not there."""
    try:
        path.touch(mode=0o600, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"{path}: the database cannot be written: {error.strerror or error}"
        ) from error


def _reason(error: Exception) -> str:
    """Return the driver's own words, without the statement and its values."""
    words = str(getattr(error, "orig", None) or error).strip().splitlines()
    return words[0][:200] if words else type(error).__name__
