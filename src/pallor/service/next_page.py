"""Where somebody goes after signing in, and a form that was sent after its session had ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlencode

from pallor.service.pages.language import languages
from pallor.service.pages.study.forms import MAX_FORM_BYTES
from pallor.service.uploads import read_body

if TYPE_CHECKING:
    from starlette.requests import Request

MAX_SIGN_IN_BYTES: Final = 3 * MAX_FORM_BYTES + 8 * 1024
"""A form that was kept, encoded once more, a path, and the key."""
_FORM: Final = "application/x-www-form-urlencoded"
_LONGEST_PATH: Final = 2000


def own_path(text: str) -> str:
    """Return the path of a page of ours, with its query; empty for everything else.

    It comes from an address that anybody may have written: it must lead nowhere else.
    """
    good = (
        text.startswith("/")
        # Browsers read //host and /\\host as another host.
        and not text.startswith("//")
        and "\\" not in text
        and text.isascii()
        and text.isprintable()
        and len(text) <= _LONGEST_PATH
        and not text.startswith("/v1/")
    )
    return text if good else ""


def asked_for(request: Request) -> str:
    """Return the path that was asked for, with its query; empty for the first page."""
    query = request.url.query
    path = request.url.path
    return "" if path == "/" else own_path(f"{path}?{query}" if query else path)


def sign_in_address(request: Request, sign_in: str) -> str:
    """Return the address of the sign-in page that leads back to what was asked for."""
    chosen = request.query_params.get("lang", "")
    parameters = {"next": asked_for(request), "lang": chosen if chosen in languages() else ""}
    query = urlencode({name: value for name, value in parameters.items() if value})
    return f"{sign_in}?{query}" if query else sign_in


async def form_sent(request: Request) -> str | None:
    """Return the body of a form that a page sent, percent-encoded; None for anything else.

    Raises
    ------
    TooLargeError
        More than a form of ours can hold.
    TooSlowError
        It stands still.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.method != "POST" or kind != _FORM:
        return None
    return (await read_body(request, MAX_FORM_BYTES)).decode("ascii", "replace")


def fields_of(kept: str) -> Mapping[str, str]:
    """Return the fields of a form that was kept, without the token of the session that ended."""
    fields = dict(parse_qsl(kept, keep_blank_values=True))
    fields.pop("csrf", None)
    return fields
