"""Opening the database, and transactions on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pallor.service.errors import StoreError
from pallor.service.store.database import READS, fold_log, make_engine

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session, sessionmaker

    from pallor.service.settings import ServiceSettings


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
        """Give a session that only reads, all of it from one moment.

        On SQLite it waits for no writer, and stops none.

        Raises
        ------
        StoreError
            If the database does not do what is asked of it.
        """
        with self.transaction() as session:
            options: dict[str, Any] = {READS: True}
            if not self.is_sqlite:
                # By default every statement of PostgreSQL would see a moment of its own: half of
                # a participant, where somebody deletes one.
                options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
            session.connection(execution_options=options)
            yield session

    def fold(self, wait_s: float = 0.0) -> bool:
        """Fold the log of SQLite into its file and empty it, so that what was deleted is gone.

        Parameters
        ----------
        wait_s
            How long to wait for those that read or write.

        Returns
        -------
        bool
            False where others kept it from being done; it may be tried again. Always True on
            PostgreSQL, where there is nothing to do.

        Raises
        ------
        StoreError
            If the database does not do what is asked of it.
        """
        if not self.is_sqlite:
            return True
        return fold_log(self.engine, wait_s)

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def open_store(settings: ServiceSettings, *, binds: bool = False) -> Store:
    """Open the database of the settings, its tables brought up to date.

    Parameters
    ----------
    settings
        Their ``url`` and ``data`` are used; the folder is made.
    binds
        Whether a new database is bound to the folder. That is for the service to do: a command
        may be given a wrong folder, and that would keep the service from its own.

    Raises
    ------
    StoreError
        If the URL is of another kind, the server is not reached, or the tables are those of a
        later version.
    UsageError
        If the database belongs to another folder, or others may enter this one.
    """
    from pallor.service.files import make_data_folder
    from pallor.service.store.instance import compare, finish
    from pallor.service.store.upgrade import upgrade

    make_data_folder(settings)
    upgrade(settings.url)
    store = connect(settings.url)
    try:
        with store.transaction() as session:
            named_later = compare(session, settings, binds=binds)
        if named_later:
            finish(settings)
    except BaseException:
        store.close()
        raise
    return store


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


def _reason(error: Exception) -> str:
    """Return the driver's own words, without the statement and its values."""
    words = str(getattr(error, "orig", None) or error).strip().splitlines()
    return words[0][:200] if words else type(error).__name__
