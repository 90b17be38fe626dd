"""Keys of access."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from pallor.errors import UsageError

if TYPE_CHECKING:
    from pallor.service.store.engine import Store
    from pallor.service.store.tables import KeyRow

MAX_NAME = 100


class Role(StrEnum):
    """What a key allows.

    Each includes those before it: who collects a cohort also measures, and ``admin`` may do
    everything. It is asked for the least that is needed, so nothing lists them anew.
    """

    MEASURE = "measure"
    STUDY = "study"
    ADMIN = "admin"

    def includes(self, role: str) -> bool:
        """Tell whether who holds this role may do what another role may."""
        order = list(Role)
        return role in order[: order.index(self) + 1]


@dataclass(frozen=True)
class Key:
    """One key, without its secret.

    Attributes
    ----------
    id
        For the owner of jobs and for the audit log.
    name
        As given.
    role
        What it allows.
    created_s, revoked_s
        Seconds since 1970.
    """

    id: str
    name: str
    role: Role
    created_s: float
    revoked_s: float | None = None


class KeyStore:
    """The keys.

    A secret is 32 random bytes, so its plain SHA-256 is as hard to turn back as the secret is
    to guess; a slow hash, made for passwords, would only slow the service.

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

    def add(self, name: str, role: str) -> str:
        """Make a key.

        Parameters
        ----------
        name
            Of the person or program that gets it; not one that is taken.
        role
            ``measure``, ``study`` or ``admin``.

        Returns
        -------
        str
            The secret. It is not stored: this is the only time that it is seen.

        Raises
        ------
        UsageError
            If the role is another word, or the name is empty, too long or taken.
        """
        from sqlalchemy import select

        from pallor.service.store.tables import KeyRow

        if role not in set(Role):
            raise UsageError(f"role is {role!r}; say {', '.join(Role)}")
        if not 0 < len(name) <= MAX_NAME or not name.isprintable():
            raise UsageError(f"the name of a key has 1 to {MAX_NAME} printable characters")
        secret = secrets.token_urlsafe(32)
        with self._store.transaction() as session:
            if session.scalar(select(KeyRow.id).where(KeyRow.name == name)) is not None:
                raise UsageError(f"there is a key named {name!r} already: choose another name")
            session.add(
                KeyRow(
                    id=secrets.token_hex(8),
                    name=name,
                    role=role,
                    secret_sha256=_hash(secret),
                    created_s=self._clock(),
                )
            )
        return secret

    def check(self, secret: str) -> Key | None:
        """Return the key that a secret belongs to; None if there is none, or it was revoked."""
        from sqlalchemy import select

        from pallor.service.store.tables import KeyRow

        wanted = _hash(secret)
        found = None
        with self._store.reading() as session:
            # All are looked at, and each in constant time: how long it takes says nothing.
            for row in session.scalars(select(KeyRow).where(KeyRow.revoked_s.is_(None))):
                if hmac.compare_digest(row.secret_sha256, wanted):
                    found = _key(row)
        return found

    def get(self, key_id: str) -> Key | None:
        """Return the key of an id, revoked or not."""
        from pallor.service.store.tables import KeyRow

        with self._store.reading() as session:
            row = session.get(KeyRow, key_id)
            return None if row is None else _key(row)

    def is_valid(self, key_id: str) -> bool:
        """Tell whether there is a key of this id that was not revoked."""
        key = self.get(key_id)
        return key is not None and key.revoked_s is None

    def revoke(self, name_or_id: str) -> Key:
        """Make a key worthless; it stays in the list.

        Where one key is named like the id of another, that other one is meant.

        Raises
        ------
        UsageError
            If there is none of this name or id.
        """
        from sqlalchemy import select

        from pallor.service.store.tables import KeyRow

        with self._store.transaction() as session:
            row = session.get(KeyRow, name_or_id)
            if row is None:
                named = select(KeyRow).where(KeyRow.name == name_or_id)
                row = session.scalars(named).one_or_none()
            if row is None:
                raise UsageError(f"there is no key {name_or_id!r}: see pallor keys list")
            if row.revoked_s is None:
                row.revoked_s = self._clock()
            return _key(row)

    def list(self) -> tuple[Key, ...]:
        """Return all keys, the oldest first."""
        from sqlalchemy import select

        from pallor.service.store.tables import KeyRow

        with self._store.reading() as session:
            rows = session.scalars(select(KeyRow).order_by(KeyRow.created_s, KeyRow.id))
            return tuple(_key(row) for row in rows)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _key(row: KeyRow) -> Key:
    return Key(row.id, row.name, Role(row.role), row.created_s, row.revoked_s)
