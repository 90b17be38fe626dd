"""A template, a reader's language and values, to an answer."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from pallor.service.pages.language import Texts, choose, languages, texts

if TYPE_CHECKING:
    from jinja2 import Environment
    from starlette.requests import Request
    from starlette.responses import HTMLResponse

TEMPLATES: Final = Path(__file__).parent / "templates"


def words_of(request: Request) -> Texts:
    """Return the texts in the language of who asks."""
    asked = request.query_params.get("lang")
    return texts(choose(asked, request.headers.get("accept-language")))


def link_to(request: Request, path: str, **parameters: str) -> str:
    """Return a link to a page of ours, in the language that was chosen.

    Parameters
    ----------
    request
        Who chose a language (``?lang=``) keeps it from page to page; who did not has the browser's.
    path
        Of the page.
    parameters
        Of the address, beside the language; empty ones are left out.
    """
    query = urlencode({name: value for name, value in parameters.items() if value})
    query = "&".join(part for part in (query, _chosen(request)) if part)
    return f"{path}?{query}" if query else path


def _chosen(request: Request) -> str:
    asked = request.query_params.get("lang")
    return f"lang={asked}" if asked in languages() else ""


def answer(
    request: Request,
    template: str,
    values: Mapping[str, Any],
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """Answer a page.

    Parameters
    ----------
    request
        Tells the language.
    template
        Name of a file in ``templates``.
    values
        What it shows, beside texts and links.
    status, headers
        Of the answer.
    """
    from starlette.responses import HTMLResponse

    words = words_of(request)
    page = (
        _environment()
        .get_template(template)
        .render(
            t=words,
            languages=[(name, texts(name)("language.name")) for name in languages()],
            link=partial(link_to, request),
            query=_chosen(request),
            **values,
        )
    )
    fixed = {
        # The answer depends on the person, so no cache on the way may keep it.
        "Cache-Control": "no-store",
        "Content-Language": words.language,
        "Vary": "Accept-Language, Cookie",
    }
    return HTMLResponse(page, status_code=status, headers={**(headers or {}), **fixed})


@cache
def _environment() -> Environment:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        # Always on: the default goes by the file's ending, and these end in .j2.
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
