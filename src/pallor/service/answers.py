"""The one form of every error answer, and answers to who has not finished sending."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from pallor.service.errors import StoreError
from pallor.service.log import outage
from pallor.service.refusals import FieldProblem, InvalidFieldsError, RefusalError

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

DRAIN_S = 5.0
DRAIN_BYTES = 64 * 2**20

_CODES = {
    "missing": "required",
    "enum": "unknown_choice",
    "literal_error": "unknown_choice",
    "int_parsing": "not_a_number",
    "greater_than_equal": "range",
    "less_than_equal": "range",
    "string_too_long": "too_long",
}
"""Rules that a parameter can break, as fields are told."""

log = logging.getLogger("pallor.service")


class EarlyAnswer(Response):
    """An answer also to a client that is still sending.

    A client that has not sent everything reads the answer only if the connection is not torn
    down under it. So the answer goes out at once, with the announcement that the connection will
    be closed, and what still comes is thrown away for a short while.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer, then let the rest of the request run dry."""
        unread = not _is_read(scope)
        if unread:
            self.headers["connection"] = "close"
        start = {"type": "http.response.start", "status": self.status_code}
        await send({**start, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": bytes(self.body), "more_body": unread})
        if unread:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_S):
                    await _drain(receive)
            await send({"type": "http.response.body", "body": b"", "more_body": False})


class ErrorAnswer(EarlyAnswer):
    """``{"error": {"code", "text"}}``.

    Where fields of what was sent are to blame, ``fields`` in it names them, each with ``code`` and
    ``text``.
    """

    media_type = "application/json"

    def __init__(
        self,
        status: int,
        code: str,
        text: str,
        headers: Mapping[str, str] | None = None,
        fields: Mapping[str, FieldProblem] | None = None,
    ) -> None:
        error: dict[str, object] = {"code": code, "text": text}
        if fields is not None:
            error["fields"] = {
                name: {"code": problem.code, "text": problem.text}
                for name, problem in fields.items()
            }
        body = json.dumps({"error": error}, ensure_ascii=False)
        super().__init__(body.encode(), status, dict(headers or {}))


def _is_read(scope: Scope) -> bool:
    headers = {name for name, value in scope["headers"] if value != b"0"}
    return not headers & {b"content-length", b"transfer-encoding"} or bool(
        scope.get("pallor.body_read")
    )


async def _drain(receive: Receive) -> None:
    left = DRAIN_BYTES
    while left > 0:
        message = await receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            return
        left -= len(message.get("body", b""))


class Boundary:
    """ASGI middleware around the application proper.

    It notes when a request's body has arrived in full, and turns what nobody foresaw into an
    answer. The framework has a place for the latter, but outside of every other middleware: such
    an answer would carry no security headers.

    Parameters
    ----------
    app
        What answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = False

        async def received() -> Message:
            message = await receive()
            if message["type"] != "http.request" or not message.get("more_body", False):
                scope["pallor.body_read"] = True
            return message

        async def sent(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, received, sent)
        except Exception as error:  # what nobody foresaw is still answered, without its text
            if begun:
                raise
            await (await _unforeseen(Request(scope), error))(scope, received, send)


def add_error_answers(app: FastAPI) -> None:
    """Let every error of an application leave in the one form."""
    from fastapi.exceptions import RequestValidationError
    from starlette.exceptions import HTTPException

    from pallor.errors import PallorError

    app.add_exception_handler(RefusalError, _refusal)
    app.add_exception_handler(PallorError, _unforeseen)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)


def answer_to(error: RefusalError) -> ErrorAnswer:
    """Return the answer that says what was refused."""
    fields = error.problems if isinstance(error, InvalidFieldsError) else None
    return ErrorAnswer(error.status, error.code, error.text, error.headers, fields)


async def _refusal(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusalError)  # noqa: S101 - for the type checker
    return answer_to(error)


async def _http(_request: Request, error: Exception) -> Response:
    status = int(getattr(error, "status_code", 500))
    phrase = HTTPStatus(status).phrase
    headers = getattr(error, "headers", None)
    return ErrorAnswer(status, phrase.lower().replace(" ", "_"), phrase, headers)


async def _invalid(_request: Request, error: Exception) -> Response:
    from fastapi.exceptions import RequestValidationError

    assert isinstance(error, RequestValidationError)  # noqa: S101 - for the type checker
    problems: dict[str, FieldProblem] = {}
    for found in error.errors():
        # The place and the rule, not the value: what was sent is not repeated.
        place = ".".join(str(part) for part in found["loc"][1:]) or "request"
        code = _CODES.get(found["type"], "not_understood")
        problems.setdefault(place, FieldProblem(code, f"{place}: {found['msg']}"))
    return answer_to(InvalidFieldsError(problems))


async def _unforeseen(request: Request, error: Exception) -> Response:
    # Messages of the inner wings name files: they go to the log alone.
    path = getattr(request.scope.get("route"), "path", "?")
    if isinstance(error, StoreError):
        # The one line says it; a trace would show the statement, and be long.
        if not outage.is_known:
            log.error("%s %s failed: %s", request.method, path, error.text)
        return ErrorAnswer(503, "busy", "the database does not answer; try again soon")
    log.error("%s %s failed", request.method, path, exc_info=error)
    return ErrorAnswer(500, "internal", "something went wrong here; the log of the service tells")
