"""The addresses of the study's pages, and the way from a request to its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pallor.service.answers import EarlyAnswer
from pallor.service.pages.frame import frame
from pallor.service.pages.language import Texts
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
from pallor.service.pages.study.visit import Page, Visit, session_path, today
from pallor.service.refusals import (
    ConflictError,
    CrossSiteError,
    InvalidFieldsError,
    RefusalError,
    RoleError,
    UnknownError,
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
CLIPS: Final = f"{_SESSION}/clips"
"""Where a browser without scripts sends a clip; scripts send it to the REST interface."""

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
        f"{_SESSION}/blood/{{value}}": hemoglobin_pages.CHANGE,
        f"{_SESSION}/blood/{{value}}/delete": hemoglobin_pages.DELETE,
        CLIPS: clip_pages.ALL,
        f"{_SESSION}/clips/{{clip}}/check": clip_pages.CHECK,
        f"{_SESSION}/clips/{{clip}}/delete": clip_pages.DELETE,
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

    pages = [
        Route(path, _endpoint(page, sources, settings), methods=_methods(page))
        for path, page in PAGES.items()
    ]
    return [*pages, Route(CLIPS, _taking(sources, settings), methods=["POST"])]


def _methods(page: Page) -> list[str]:
    return ["GET"] if page.save is None else ["GET", "POST"]


def _endpoint(
    page: Page, sources: PageSources, settings: PageSettings
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            visit = visit_of(request, sources, settings)
            if request.method == "POST":
                posted = await read_form(request)
                token = posted.pop("csrf", None)
                visit = replace(visit, posted=posted)
                try:
                    check_csrf(sources.principal(request), token)
                except CrossSiteError as error:
                    # As after signing in again in another window: nothing entered is lost.
                    form = Form(posted, {"": visit.t("study.earlier_sign_in")})
                    again = await asyncio.to_thread(
                        _rendered, page, visit, sources, form, error.status
                    )
                    return _early(again)
            return await asyncio.to_thread(_answered, page, visit, sources)
        except RefusalError as error:
            return _early(await asyncio.to_thread(refused, request, sources, error))

    return endpoint


def _taking(
    sources: PageSources, settings: PageSettings
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            visit = visit_of(request, sources, settings)
            await sources.take_clip(request, visit.code, visit.session_name)
        except (UnknownError, RoleError, CrossSiteError) as error:
            return _early(await asyncio.to_thread(refused, request, sources, error))
        except RefusalError as error:
            form = _not_taken(error, visit.t)
            page = session_pages.ONE
            again = await asyncio.to_thread(_rendered, page, visit, sources, form, error.status)
            return _early(again)
        path = link_to(request, session_path(visit.code, visit.session_name), saved="clip")
        return moved(path, clip_pages.PART)

    return endpoint


def _not_taken(error: RefusalError, t: Texts) -> Form:
    if isinstance(error, InvalidFieldsError):
        return Form({}, _in_words(error, t))
    words = t.first(f"error.{error.code}", otherwise=error.text).replace("{text}", error.text)
    return Form({}, {"": words})


def _in_words(error: InvalidFieldsError, t: Texts) -> dict[str, str]:
    return {name: problem_text(name, problem, t) for name, problem in in_order(error.problems)}


def _early(page: Response) -> Response:
    """Let a page reach a browser that is still sending."""
    return EarlyAnswer(page.body, page.status_code, page.headers)


def visit_of(request: Request, sources: PageSources, settings: PageSettings) -> Visit:
    """Let a reader in.

    Raises
    ------
    RoleError
        The study is not this reader's.
    """
    study = sources.study(request)
    if study is None:
        raise RoleError("the study is open to keys with the role study or admin")
    return Visit(request, study, sources.principal(request).name, words_of(request), settings)


def _answered(page: Page, visit: Visit, sources: PageSources) -> Response:
    if visit.request.method != "POST" or page.save is None:
        return _rendered(page, visit, sources, Form(page.start(visit)), 200)
    try:
        saved = page.save(visit)
    except InvalidFieldsError as error:
        form = Form(visit.posted, _in_words(error, visit.t))
        return _rendered(page, visit, sources, form, error.status)
    except ConflictError as error:
        form = Form(visit.posted, {"": visit.t("study.clips_first")})
        return _rendered(page, visit, sources, form, error.status)
    return moved(link_to(visit.request, saved.path, saved=saved.notice), saved.part)


def _rendered(page: Page, visit: Visit, sources: PageSources, form: Form, status: int) -> Response:
    shown = page.show(visit, form)
    if shown.moved:
        return moved(link_to(visit.request, shown.moved, **shown.parameters))
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


def moved(path: str, part: str = "") -> Response:
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
