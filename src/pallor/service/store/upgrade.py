"""Bringing the tables up to date."""

from __future__ import annotations

from pathlib import Path

from pallor.service.errors import StoreError
from pallor.service.store.database import make_engine

_LOCK = 0x70616C6C  # "pall"
"""Number of the advisory lock of PostgreSQL under which one process at a time migrates."""


def upgrade(url: str) -> None:
    """Run the migrations that the database does not have yet.

    Several processes may call this at once.

    Parameters
    ----------
    url
        Of SQLite or PostgreSQL.

    Raises
    ------
    StoreError
        If the database is not reached, or was migrated by a later version of pallor.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.util.exc import CommandError
    from sqlalchemy import text
    from sqlalchemy.exc import SQLAlchemyError

    engine = make_engine(url)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    try:
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _LOCK})
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except CommandError as error:
        raise StoreError(
            "the database was written by a later version of pallor: install that one"
        ) from error
    except SQLAlchemyError as error:
        words = str(getattr(error, "orig", None) or error).strip().splitlines()
        raise StoreError(
            f"the database cannot be opened: {words[0][:200] if words else 'no reason given'}"
        ) from error
    finally:
        engine.dispose()
