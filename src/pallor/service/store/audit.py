"""Who saw, changed or deleted what."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from pallor.service.store.engine import Store

MAX_WHO, MAX_ACTION, MAX_WHAT = 200, 64, 500


@dataclass(frozen=True)
class AuditEntry:
    """One line of the log.

    Attributes
    ----------
    time_s
        Seconds since 1970.
    who
        Id of a key, or a word such as ``loopback`` or ``system``.
    action
        One word, such as ``estimate.delete``.
    what
        What it was done to: an id or a code, never the data themselves.
    """

    time_s: float
    who: str
    action: str
    what: str


class AuditLog:
    """The log; nothing in it is changed.

    Parameters
    ----------
    store
        An open database.
    clock
        Seconds since 1970.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    def add(self, who: str, action: str, what: str = "", *, session: Session | None = None) -> None:
        """Add a line; long texts are cut, control characters replaced.

        Parameters
        ----------
        who, action, what
            As in `AuditEntry`.
        session
            Of a transaction that the line is part of; one of its own by default.
        """
        from pallor.service.store.tables import AuditRow

        row = AuditRow(
            time_s=self._clock(),
            who=plain(who, MAX_WHO),
            action=plain(action, MAX_ACTION),
            what=plain(what, MAX_WHAT),
        )
        if session is not None:
            session.add(row)
            return
        with self._store.transaction() as own:
            own.add(row)

    def entries(self, limit: int = 1000) -> tuple[AuditEntry, ...]:
        """Return the latest lines, the newest first."""
        from sqlalchemy import select

        from pallor.service.store.tables import AuditRow

        latest = select(AuditRow).order_by(AuditRow.id.desc()).limit(limit)
        with self._store.reading() as session:
            return tuple(
                AuditEntry(row.time_s, row.who, row.action, row.what)
                for row in session.scalars(latest)
            )


def plain(text: str, longest: int) -> str:
    """Return a text that any database takes, and that stays one line."""
    # A line break would forge a line where the log is printed; NUL no database takes.
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)[:longest]
