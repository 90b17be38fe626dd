"""The addresses of the study's pages, and the way from a request to its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pallor.service.pages.frame import frame
from pallor.service.pages.rendering import answer, link_to, words_of
from pallor.service.pages.study import (
    clip_pages,
    export_page,
    hemoglobin_pages,
    list_page,
    participant_pages,
    session_pages,
)
from pallor.service.pages.study.forms import LABELS, Form, in_order, problem_text, read_form
from pallor.service.pages.study.visit import Page, Visit, today
from pallor.service.refusals import (
    ConflictError,
    InvalidFieldsError,
    NoConsentError,
    RefusalError,
    RoleError,
)
from pallor.service.security.guard import check_csrf

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from pallor.service.pages.settings import PageSettings, PageSources

HERE: Final = "/study"
_PERSON: Final = "/study/participants/{code}"
_SESSION: Final = f"{_PERSON}/sessions/{{name}}"

PAGES: Final[Mapping[str, Page]] = MappingProxyType(
    {
        HERE: list_page.PAGE,
        "/study/new": participant_pages.NEW,
        "/study/export": export_page.PAGE,
        _PERSON: participant_pages.ONE,
        f"{_PERSON}/details": participant_pages.DETAILS,
        f"{_PERSON}/consent": participant_pages.CONSENT,
        f"{_PERSON}/withdraw": participant_pages.WITHDRAW,
        f"{_PERSON}/blood": hemoglobin_pages.NEXT,
        f"{_PERSON}/new-session": session_pages.NEW,
        _SESSION: session_pages.ONE,
        f"{_SESSION}/details": session_pages.DETAILS,
        f"{_SESSION}/delete": session_pages.DELETE,
        f"{_SESSION}/blood": hemoglobin_pages.NEW,
        f"{_SESSION}/blood/{{value:int}}": hemoglobin_pages.CHANGE,
        f"{_SESSION}/blood/{{value:int}}/delete": hemoglobin_pages.DELETE,
        f"{_SESSION}/clips/{{clip:int}}/delete": clip_pages.DELETE,
    }
)
"""Path to page. A page with a form takes it at its own address."""


def study_routes(sources: PageSources, settings: PageSettings) -> list[Route]:
    """Return the routes of the study's pages.

    Parameters
    ----------
    sources, settings
        As in `pallor.service.pages.attach`.
    """
    from starlette.routing import Route

    return [
        Route(path, _endpoint(page, sources, settings), methods=_methods(page))
        for path, page in PAGES.items()
    ]


def _methods(page: Page) -> list[str]:
    return ["GET"] if page.save is None else ["GET", "POST"]


def _endpoint(
    page: Page, sources: PageSources, settings: PageSettings
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            visit = await visit_of(request, sources, settings)
            return await asyncio.to_thread(_answered, page, visit, sources)
        except RefusalError as error:
            return await asyncio.to_thread(refused, request, sources, error)

    return endpoint


async def visit_of(request: Request, sources: PageSources, settings: PageSettings) -> Visit:
    """Let a reader in, and read the form that was sent.

    Raises
    ------
    RoleError
        The study is not this reader's.
    CrossSiteError
        The form does not hold the token of the reader's session.
    RefusalError
        The form cannot be read.
    """
    study = sources.study(request)
    if study is None:
        raise RoleError("the study is open to keys with the role study or admin")
    principal = sources.principal(request)
    posted: dict[str, str] = {}
    if request.method == "POST":
        posted = await read_form(request)
        check_csrf(principal, posted.pop("csrf", None))
    return Visit(request, study, principal.name, words_of(request), settings, posted)


def _answered(page: Page, visit: Visit, sources: PageSources) -> Response:
    if visit.request.method != "POST" or page.save is None:
        return _rendered(page, visit, sources, Form(page.start(visit)), 200)
    try:
        saved = page.save(visit)
    except InvalidFieldsError as error:
        problems = {
            name: problem_text(name, problem, visit.t)
            for name, problem in in_order(error.problems)
        }
        return _rendered(page, visit, sources, Form(visit.posted, problems), error.status)
    except (ConflictError, NoConsentError) as error:
        problems = {"": visit.t.first(f"study.refused_{error.code}", otherwise=error.text)}
        return _rendered(page, visit, sources, Form(visit.posted, problems), error.status)
    return moved(visit.request, link_to(visit.request, saved.path, saved=saved.notice), saved.part)


def _rendered(page: Page, visit: Visit, sources: PageSources, form: Form, status: int) -> Response:
    shown = page.show(visit, form)
    if shown.moved:
        return moved(visit.request, link_to(visit.request, shown.moved))
    values = {
        **frame(
            visit.request,
            sources,
            here=HERE,
            script_texts=shown.script_texts,
            simulated=shown.simulated,
        ),
        "form": form,
        "labels": {name: visit.t(key) for name, key in LABELS.items()},
        "saved": visit.t.first(f"study.saved.{visit.request.query_params.get('saved')}"),
        "settings": visit.settings,
        "today": today(),
        **shown.values,
    }
    return answer(visit.request, shown.template, values, status=status)


def moved(request: Request, path: str, part: str = "") -> Response:
    """Send a browser to another page, which it asks for anew."""
    from starlette.responses import RedirectResponse

    return RedirectResponse(f"{path}#{part}" if part else path, 303)


def refused(request: Request, sources: PageSources, error: RefusalError) -> Response:
    """Answer a page that says why there is nothing to see, with the status of the error."""
    t = words_of(request)
    values = {
        **frame(request, sources, here=HERE),
        "title": t.first(f"study.refused.{error.code}", "study.refused.other"),
        "text": t.first(f"study.refused_text.{error.code}", otherwise=error.text),
    }
    page = "study_refused.html.j2"
    return answer(request, page, values, status=error.status, headers=error.headers)
