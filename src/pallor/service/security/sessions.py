"""Sessions of pages: a random cookie that stands for a key, with a CSRF token.

They live in memory: a restart signs everybody out, and nothing on disk can be stolen.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.responses import Response

LIFETIME_S = 12 * 3600.0
MAX_SESSIONS = 10_000
MAX_OF_KEY = 50
"""Of these, by one key: who signs in without end ends sessions of that key alone."""


@dataclass(frozen=True)
class Session:
    """Somebody who signed in with a key."""

    key_id: str
    csrf_token: str
    expires_s: float


@dataclass
class SessionStore:
    """Open sessions, by the hash of their cookie."""

    clock: Callable[[], float] = time.monotonic
    _open: OrderedDict[bytes, Session] = field(default_factory=OrderedDict, repr=False)

    def open(self, key_id: str) -> tuple[str, Session]:
        """Begin a session; return the cookie's value and the session.

        Where there are too many, the oldest of the key ends, or the oldest of all.
        """
        of_key = [digest for digest, session in self._open.items() if session.key_id == key_id]
        if len(of_key) >= MAX_OF_KEY:
            del self._open[of_key[0]]
        token = secrets.token_urlsafe(32)
        session = Session(key_id, secrets.token_urlsafe(32), self.clock() + LIFETIME_S)
        self._open[_digest(token)] = session
        while len(self._open) > MAX_SESSIONS:
            self._open.popitem(last=False)
        return token, session

    def get(self, token: str) -> Session | None:
        """Return the session of a cookie; None for one that is unknown or over."""
        session = self._open.get(_digest(token))
        if session is not None and session.expires_s <= self.clock():
            self.close(token)
            return None
        return session

    def close(self, token: str) -> None:
        """End a session; unknown ones are ignored."""
        self._open.pop(_digest(token), None)


def cookie_name(secure: bool) -> str:
    """Return the cookie's name; the prefix makes browsers refuse it from a sibling domain."""
    return "__Host-pallor" if secure else "pallor"


def set_cookie(response: Response, token: str, secure: bool) -> None:
    """Hand the cookie to the browser: no script sees it, no other site sends it."""
    response.set_cookie(
        cookie_name(secure),
        token,
        max_age=int(LIFETIME_S),
        path="/",
        secure=secure,
        httponly=True,
        samesite="strict",
    )


def delete_cookie(response: Response, secure: bool) -> None:
    """Take the cookie back."""
    response.delete_cookie(
        cookie_name(secure), path="/", secure=secure, httponly=True, samesite="strict"
    )


def csrf_matches(expected: str, given: str | None) -> bool:
    """Compare a CSRF token in constant time."""
    return given is not None and secrets.compare_digest(expected.encode(), given.encode())


def _digest(token: str) -> bytes:
    # Looked up by hash: how long the look-up takes says nothing about the token.
    return hashlib.sha256(token.encode()).digest()
