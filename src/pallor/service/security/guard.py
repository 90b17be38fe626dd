"""The door: finds out who asks, and refuses who may not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.requests import Request

from pallor.service.refusals import CrossSiteError, NoKeyError, RoleError
from pallor.service.security.origin import (
    SAFE_METHODS,
    refuse_cross_site,
    refuse_cross_site_reading,
    refuse_not_local,
)
from pallor.service.security.principal import LOCAL, Principal
from pallor.service.security.sessions import cookie_name, csrf_matches
from pallor.service.store.keys import Role

if TYPE_CHECKING:
    from pallor.service.security.exposure import Exposure
    from pallor.service.security.rate_limits import RateLimiter
    from pallor.service.security.sessions import Session, SessionStore
    from pallor.service.store.keys import Key, KeyStore

CSRF_HEADER = "x-csrf-token"
NO_KEY = "a key is needed: send the header Authorization: Bearer KEY, or sign in"


@dataclass(frozen=True)
class Guard:
    """What the door knows.

    Attributes
    ----------
    keys
        Of the store.
    sessions
        Of pages.
    limiter
        Rate limits.
    exposure
        Who can reach the service.
    """

    keys: KeyStore
    sessions: SessionStore
    limiter: RateLimiter
    exposure: Exposure

    async def who(self, request: Request) -> Principal | None:
        """Find out who asks, without a word about what for; None for a stranger.

        Raises
        ------
        NoKeyError
            If a key was sent that is none.
        CrossSiteError
            If a page of another site seems to ask, or, without keys, another machine.
        TooManyRequestsError
            After too many wrong keys.
        """
        authorization = request.headers.get("authorization")
        if authorization is not None:
            return Principal.of(await self.check_secret(request, _bearer(authorization)))
        refuse_cross_site(request.method, request.headers)
        found = await self.session_of(request)
        if found is not None:
            key, session = found
            return Principal.of(key, session.csrf_token)
        # Also where every key was revoked: who revokes the last one does not mean "open".
        if self.exposure.beyond_this_machine or len(await asyncio.to_thread(self.keys.list)) > 0:
            return None
        refuse_not_local(request.headers, request.scope["http_version"])
        refuse_cross_site_reading(request.scope["path"], request.headers)
        return LOCAL

    async def check_secret(self, request: Request, secret: str) -> Key:
        """Return the key of a secret.

        Raises
        ------
        NoKeyError
            If there is none, or it was revoked.
        TooManyRequestsError
            After too many wrong ones from this address.
        """
        key = await asyncio.to_thread(self.keys.check, secret) if secret else None
        if key is None:
            # Only who is wrong waits: others at the same address, such as a clinic's, go on.
            self.limiter.take("failures", address_of(request))
            raise NoKeyError("the key is not valid")
        return key

    async def check_sign_in(self, request: Request, secret: str) -> Key:
        """Return the key of a secret, with which somebody may begin a session.

        Raises
        ------
        NoKeyError
            If there is none, or it was revoked.
        TooManyRequestsError
            After too many wrong ones from this address, or too many sessions of the key there.
        """
        key = await self.check_secret(request, secret)
        self.limiter.take("sign_ins", f"{key.id} {address_of(request)}")
        return key

    async def session_of(self, request: Request) -> tuple[Key, Session] | None:
        """Return the session of the request's cookie, and its key if that is still valid."""
        token = request.cookies.get(cookie_name(self.exposure.secure))
        session = None if token is None else self.sessions.get(token)
        if session is None:
            return None
        key = await asyncio.to_thread(self.keys.get, session.key_id)
        if key is None or key.revoked_s is not None:
            return None
        return key, session

    async def admit(self, request: Request, roles: tuple[str, ...], rate: str) -> Principal:
        """Let somebody in for something.

        Parameters
        ----------
        request
            Any.
        roles
            One of which is needed, or a role that includes it.
        rate
            Kind of request, a field of `Rates`.

        Raises
        ------
        RefusalError
            Why not.
        """
        principal = await self.who(request)
        if principal is None:
            self.limiter.take(rate, address_of(request))
            raise NoKeyError(NO_KEY)
        self.limiter.take(rate, f"{principal.name} {address_of(request)}")
        if not principal.allowed(roles):
            enough = [role for role in Role if any(role.includes(needed) for needed in roles)]
            raise RoleError(f"this needs a key with the role {' or '.join(enough)}")
        if request.method not in SAFE_METHODS:
            check_csrf(principal, request.headers.get(CSRF_HEADER))
        return principal


def check_csrf(principal: Principal, given: str | None) -> None:
    """Refuse a change with a cookie alone; pages pass the hidden field of their form.

    Raises
    ------
    CrossSiteError
        If the token of the session did not come with it.
    """
    if principal.csrf_token is not None and not csrf_matches(principal.csrf_token, given):
        raise CrossSiteError("the CSRF token is missing or not of this session; load the page anew")


def address_of(request: Request) -> str:
    """Return the client's address, as a proxy that is trusted tells it."""
    return request.client.host if request.client is not None else "unknown"


def allow(*roles: str, rate: str = "general") -> Callable[[Request], Awaitable[Principal]]:
    """Return a dependency that lets in who has one of the roles.

    Parameters
    ----------
    roles
        One of which is needed, or a role that includes it; see `Role`.
    rate
        Kind of request, a field of `Rates`.
    """

    async def admitted(request: Request) -> Principal:
        guard: Guard = request.app.state.guard
        return await guard.admit(request, roles, rate)

    return admitted


def _bearer(authorization: str) -> str:
    scheme, _, secret = authorization.partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""
