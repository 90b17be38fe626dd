"""The pages' door: who has no session is asked for a key, and pages read what they may show."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from pallor.service.answers import answer_to
from pallor.service.api.arrivals import arriving_clip
from pallor.service.api.representation import as_json
from pallor.service.next_page import (
    MAX_SIGN_IN_BYTES,
    asked_for,
    fields_of,
    form_sent,
    own_path,
    sign_in_address,
)
from pallor.service.refusals import NoKeyError, RefusalError, TooManyRequestsError
from pallor.service.security.guard import address_of, check_csrf
from pallor.service.security.origin import refuse_cross_site
from pallor.service.security.sessions import set_cookie
from pallor.service.store.job import ESTIMATE
from pallor.service.study import clips
from pallor.service.uploads import read_body

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import ASGIApp, Receive, Scope, Send

    from pallor.service.security.guard import Guard
    from pallor.service.security.principal import Principal
    from pallor.service.services import Services
    from pallor.service.study.study import Study

SIGN_IN = "/sign-in"
_OPEN = ("/v1/", "/static/", "/healthz", "/readyz", "/metrics", "/openapi.json", SIGN_IN)


@dataclass(frozen=True)
class PageReader:
    """What pages read, each only what its reader may see."""

    services: Services

    def job(self, request: Request, job_id: str) -> Mapping[str, Any] | None:
        """Return a job as the REST interface tells it; None where there is none to be seen."""
        principal = self.principal(request)
        job = self.services.jobs.get(job_id) if job_id.isascii() and job_id.isprintable() else None
        if job is None or job.kind != ESTIMATE or not principal.may_see(job.owner):
            return None
        if job.finished:
            self.services.audit.add(principal.name, "estimate.read", job.id)
        services = self.services
        keep_s = services.settings.keep_results_s
        return as_json(job, services.models, keep_s, services.jobs.position(job.id))

    def principal(self, request: Request) -> Principal:
        """Return who asks."""
        principal: Principal = request.scope["pallor.principal"]
        return principal

    def study(self, request: Request) -> Study | None:
        """Return the study; None for a reader who may not see it."""
        return self.services.study if self.principal(request).allowed(("study",)) else None

    async def take_clip(self, request: Request, code: str, session_name: str) -> None:
        """Take the clip of a form into the study; its field ``csrf`` holds the token.

        Raises
        ------
        RefusalError
            Why not.
        """
        principal = self.principal(request)
        guard: Guard = request.app.state.guard
        guard.limiter.take("estimates", f"{principal.name} {address_of(request)}")
        study = self.services.study
        await asyncio.to_thread(clips.check_may_add, study, code, session_name)
        async with arriving_clip(request, key_id=principal.key_id, owner=None) as (token, upload):
            fields = dict(upload.fields)
            check_csrf(principal, fields.pop("csrf", None))
            await asyncio.to_thread(
                clips.add,
                study,
                code,
                session_name,
                token,
                upload.size,
                upload.sha256,
                upload.kind,
                fields,
                principal.name,
            )

    def models(self, request: Request) -> Sequence[Mapping[str, Any]]:  # noqa: ARG002
        """Return the cards of the models that are loaded."""
        return list(self.services.models.cards.values())

    def csrf_token(self, request: Request) -> str:
        """Return the token of the reader's session; empty where there is none."""
        return self.principal(request).csrf_token or ""


def attach_pages(app: FastAPI, services: Services) -> None:
    """Add the pages and their door."""
    from pallor.service.pages import PageSettings, attach

    app.add_route(SIGN_IN, _sign_in_page, methods=["GET"], include_in_schema=False)
    app.add_route(SIGN_IN, _sign_in, methods=["POST"], include_in_schema=False)
    settings = PageSettings(max_bytes=services.settings.limits.max_bytes)
    attach(app, PageReader(services), settings)
    app.add_middleware(PageDoor, guard=app.state.guard)


class PageDoor:
    """ASGI middleware that sends strangers to the sign-in page.

    Parameters
    ----------
    app
        What answers.
    guard
        Finds out who asks.
    """

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self.app = app
        self.guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or scope["path"].startswith(_OPEN):
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            principal = await self.guard.who(request)
            who = "" if principal is None else f"{principal.name} "
            self.guard.limiter.take("general", who + address_of(request))
        except RefusalError as error:
            await answer_to(error)(scope, receive, send)
            return
        if principal is None:
            await (await _ask_for_key(request))(scope, receive, send)
            return
        scope["pallor.principal"] = principal
        await self.app(scope, receive, send)


async def _ask_for_key(request: Request) -> Response:
    """Send a stranger to the sign-in page; a form that was sent is not lost over it."""
    from pallor.service.pages import sign_in_page

    try:
        kept = await form_sent(request)
    except RefusalError as error:
        return answer_to(error)
    if kept is None:
        return RedirectResponse(sign_in_address(request, SIGN_IN), 303)
    return sign_in_page(request, SIGN_IN, to=asked_for(request), kept=kept, status=401)


async def _sign_in_page(request: Request) -> Response:
    from pallor.service.pages import sign_in_page

    return sign_in_page(request, SIGN_IN, to=own_path(request.query_params.get("next", "")))


async def _sign_in(request: Request) -> Response:
    from pallor.service.pages import sign_in_page, signed_in_page

    guard: Guard = request.app.state.guard
    refuse_cross_site(request.method, request.headers)
    guard.limiter.take("general", address_of(request))
    body = await read_body(request, MAX_SIGN_IN_BYTES)
    form = dict(parse_qsl(body.decode("ascii", "replace"), keep_blank_values=True))
    to, kept = own_path(form.get("next", "")), form.get("kept", "")
    try:
        key = await guard.check_sign_in(request, form.get("key", "").strip())
    except (NoKeyError, TooManyRequestsError) as error:
        return sign_in_page(
            request,
            SIGN_IN,
            to=to,
            kept=kept,
            code=error.code,
            text=error.text,
            status=error.status,
            headers=error.headers,
        )
    token, session = guard.sessions.open(key.id)
    services: Services = request.app.state.services
    await asyncio.to_thread(services.audit.add, key.id, "session.open")
    answer: Response
    if kept and to:
        answer = signed_in_page(request, to, fields_of(kept), session.csrf_token)
    else:
        # The language that was chosen comes along.
        language = request.query_params.get("lang", "")
        answer = RedirectResponse(to or (f"/?lang={language}" if language.isalpha() else "/"), 303)
    set_cookie(answer, token, guard.exposure.secure)
    return answer
