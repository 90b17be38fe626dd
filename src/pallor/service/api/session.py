"""``/v1/session``: pages sign in with a key, and out."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse, Response

from pallor.service.api.words import SessionState, errors
from pallor.service.refusals import InvalidRequestError
from pallor.service.security.guard import Guard, address_of, allow
from pallor.service.security.origin import refuse_cross_site
from pallor.service.security.principal import Principal
from pallor.service.security.sessions import cookie_name, delete_cookie, set_cookie
from pallor.service.services import services_of
from pallor.service.uploads import read_body

MAX_BYTES = 1000

router = APIRouter(prefix="/v1/session", tags=["session"])

Anybody = Annotated[Principal, Depends(allow("measure"))]
_BODY = {
    "type": "object",
    "properties": {"key": {"type": "string"}},
    "required": ["key"],
    "additionalProperties": False,
}


@router.post(
    "",
    response_model=SessionState,
    responses={
        200: {"headers": {"Set-Cookie": {"schema": {"type": "string"}}}},
        **errors(401, 403, 408, 413, 422, 429),
    },
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": _BODY}}}
    },
)
async def sign_in(request: Request) -> Response:
    """Exchange a key for the session cookie of a page."""
    guard: Guard = request.app.state.guard
    refuse_cross_site(request.method, request.headers)
    guard.limiter.take("general", address_of(request))
    try:
        body = json.loads(await read_body(request, MAX_BYTES))
    except (ValueError, RecursionError):
        raise InvalidRequestError('send {"key": "..."} as JSON') from None
    if not isinstance(body, dict) or set(body) != {"key"} or not isinstance(body["key"], str):
        raise InvalidRequestError('send {"key": "..."} as JSON')
    key = await guard.check_sign_in(request, body["key"])
    token, session = guard.sessions.open(key.id)
    await asyncio.to_thread(services_of(request).audit.add, key.id, "session.open")
    answer = JSONResponse({"role": str(key.role), "csrf_token": session.csrf_token})
    set_cookie(answer, token, guard.exposure.secure)
    return answer


@router.get("", response_model=SessionState, responses=errors(401, 403, 429))
async def session(principal: Anybody) -> SessionState:
    """Tell who is signed in, and the token that changes need."""
    return SessionState(role=principal.role, csrf_token=principal.csrf_token)


@router.delete("", status_code=204, responses=errors(401, 403, 429))
async def sign_out(request: Request, principal: Anybody) -> Response:
    """End the session of the cookie."""
    guard: Guard = request.app.state.guard
    token = request.cookies.get(cookie_name(guard.exposure.secure))
    answer = Response(status_code=204)
    if token is not None:
        guard.sessions.close(token)
        await asyncio.to_thread(services_of(request).audit.add, principal.name, "session.close")
        delete_cookie(answer, guard.exposure.secure)
    return answer
