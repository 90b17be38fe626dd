"""Requests that a browser sends for a page of another site."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pallor.service.refusals import CrossSiteError
from pallor.service.security.exposure import is_loopback

if TYPE_CHECKING:
    from starlette.datastructures import Headers

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_FORWARDED = (
    *("forwarded", "via", "x-real-ip", "x-forwarded-for", "x-forwarded-host"),
    *("x-forwarded-proto", "x-forwarded-port", "x-forwarded-server"),
)
_NO_PAGES = ("/v1/", "/metrics")


def refuse_cross_site(method: str, headers: Headers) -> None:
    """Refuse a change that a browser says another site asked for.

    Raises
    ------
    CrossSiteError
        ``Sec-Fetch-Site`` names another site, or ``Origin`` is not this host.
    """
    if method not in SAFE_METHODS and _from_elsewhere(headers):
        raise CrossSiteError("a page of another site may not do this")


def refuse_cross_site_reading(path: str, headers: Headers) -> None:
    """Refuse what another site's page asks for where no key and no cookie is needed.

    Such a page cannot read the answer, but what it asks for would be done, counted and written
    into the audit log as if the user had asked. A link to a page of the service may be followed.

    Raises
    ------
    CrossSiteError
        ``Sec-Fetch-Site`` or ``Origin`` is another site, and it is no visit to a page.
    """
    if _from_elsewhere(headers) and (path.startswith(_NO_PAGES) or not _is_visit(headers)):
        raise CrossSiteError("a page of another site may not ask for this")


def refuse_not_local(headers: Headers, http_version: str) -> None:
    """Refuse what does not come from a program of this machine that means this machine.

    Where there are no keys whoever reaches the port may do everything. A web page whose name was
    made to resolve to 127.0.0.1 reaches it, too, and so does a proxy: the former shows in the
    headers, and so does a proxy that says what it is. Some speak HTTP/1.0, which no browser does.

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
    if http_version == "1.0" or any(name in headers for name in _FORWARDED):
        raise CrossSiteError(
            "without keys this service answers no proxy; start it with --behind-proxy and a key"
        )


def _from_elsewhere(headers: Headers) -> bool:
    if headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        return True
    origin = headers.get("origin")
    return origin is not None and _netloc(origin) != headers.get("host", "").lower()


def _is_visit(headers: Headers) -> bool:
    """Tell whether a browser's window goes to the address, not a frame or a script."""
    names = ("sec-fetch-mode", "sec-fetch-dest")
    return [headers.get(name) for name in names] == ["navigate", "document"]


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
