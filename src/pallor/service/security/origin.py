"""Requests that a browser sends for a page of another site."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pallor.service.refusals import CrossSiteError
from pallor.service.security.exposure import is_loopback

if TYPE_CHECKING:
    from starlette.datastructures import Headers

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


def refuse_cross_site(method: str, headers: Headers) -> None:
    """Refuse a change that a browser says another site asked for.

    Raises
    ------
    CrossSiteError
        ``Sec-Fetch-Site`` names another site, or ``Origin`` is not this host.
    """
    if method in SAFE_METHODS:
        return
    if headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise CrossSiteError("a page of another site may not do this")
    origin = headers.get("origin")
    if origin is not None and _netloc(origin) != headers.get("host", "").lower():
        raise CrossSiteError("a page of another site may not do this")


def refuse_not_local(headers: Headers) -> None:
    """Refuse what does not come from a program of this machine that means this machine.

    Where there are no keys whoever reaches the port may do everything. A web page whose name was
    made to resolve to 127.0.0.1 reaches it, too, and so does a proxy: both show in the headers.

    Raises
    ------
    CrossSiteError
        ``Host`` is not a name of loopback, or a proxy left its mark.
    """
    host = urlsplit("//" + headers.get("host", "")).hostname if _parses(headers) else None
    if host is None or not is_loopback(host):
        raise CrossSiteError(
            "without keys this service answers on loopback only; make a key with pallor keys add"
        )
    if any(name in headers for name in _FORWARDED):
        raise CrossSiteError(
            "without keys this service answers no proxy; start it with --behind-proxy and a key"
        )


def _netloc(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _parses(headers: Headers) -> bool:
    try:
        return urlsplit("//" + headers.get("host", "")).hostname is not None
    except ValueError:
        return False
