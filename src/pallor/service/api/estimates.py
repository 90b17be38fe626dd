"""``/v1/estimates``: a clip in, an estimate out."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from pallor.service.api.arrivals import arriving_clip, form_of
from pallor.service.api.events import MAX_STREAMS, events_of
from pallor.service.api.options import FIELDS, read_options
from pallor.service.api.representation import as_fhir, as_json, wants_fhir
from pallor.service.api.words import LOCATION, RETRY_AFTER, EstimateState, errors
from pallor.service.refusals import BusyError, UnknownError
from pallor.service.security.guard import allow
from pallor.service.security.principal import Principal
from pallor.service.services import Services, services_of
from pallor.service.store.job import ESTIMATE

if TYPE_CHECKING:
    from pallor.service.store.job import Job

_ID = re.compile(r"[A-Za-z0-9_-]{32}", re.ASCII)

router = APIRouter(prefix="/v1/estimates", tags=["estimates"])

May = Annotated[Principal, Depends(allow("measure"))]
MayCreate = Annotated[Principal, Depends(allow("measure", rate="estimates"))]


class Format(StrEnum):
    """Forms of a result."""

    json = "json"
    fhir = "fhir"


@router.post(
    "",
    status_code=202,
    response_model=EstimateState,
    responses={
        202: {"headers": LOCATION},
        **errors(400, 401, 403, 408, 409, 413, 415, 422, 429, 503),
    },
    openapi_extra=form_of(FIELDS),
)
async def create(request: Request, principal: MayCreate) -> Response:
    """Upload a clip; the estimate is made in the background.

    The answer names the estimate's id. Ask for it until its state is ``done`` or ``failed``, or
    listen to its events. The clip is deleted as soon as it was processed.
    """
    services = services_of(request)

    def options_of(fields: Mapping[str, str]) -> dict[str, Any]:
        return read_options(fields, services.models)

    async with arriving_clip(request, options_of) as (token, upload):
        # Once more: fields may stand behind the clip.
        options = options_of(upload.fields)
        job = await asyncio.to_thread(_queue, services, principal, token, options)
    body = await asyncio.to_thread(_state, services, job)
    return JSONResponse(body, 202, {"Location": f"/v1/estimates/{job.id}"})


def _queue(
    services: Services,
    principal: Principal,
    token: str,
    options: dict[str, Any],
) -> Job:
    job = services.jobs.create(ESTIMATE, token, options, principal.key_id)
    services.audit.add(principal.name, "estimate.create", job.id)
    return job


def _state(services: Services, job: Job) -> dict[str, Any]:
    position = services.jobs.position(job.id)
    return as_json(job, services.models, services.settings.keep_results_s, position)


@router.get(
    "/{estimate_id}",
    response_model=EstimateState,
    responses={
        200: {"content": {"application/fhir+json": {"schema": {"type": "object"}}}},
        **errors(401, 403, 404, 406, 422, 429),
        409: {**errors(409)[409], "headers": RETRY_AFTER},
    },
)
async def read(
    estimate_id: str,
    request: Request,
    principal: May,
    form: Annotated[Format | None, Query(alias="format")] = None,
) -> Response:
    """Return state, progress and, once done, the result.

    ``?format=fhir`` or ``Accept: application/fhir+json`` gives a FHIR R4B Observation, which
    exists only for an estimate that is done: before, the answer is 409 ``not_ready`` with
    ``Retry-After``; of one that failed it is 409 ``failed``.
    """
    services = services_of(request)
    job = await _own(services, principal, estimate_id)
    fhir = form is Format.fhir or (form is None and wants_fhir(request.headers.get("accept")))
    if job.finished:
        await asyncio.to_thread(services.audit.add, principal.name, "estimate.read", job.id)
    if fhir:
        resource = await asyncio.to_thread(as_fhir, job)
        return JSONResponse(resource, media_type="application/fhir+json")
    return JSONResponse(await asyncio.to_thread(_state, services, job))


@router.get(
    "/{estimate_id}/events",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Server-sent events: `state` with `{id, state, stage, share, position}` "
            "at every change; the last one has the state done, failed or deleted. After an "
            "hour, or once the key was revoked, the stream ends without it.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        **errors(401, 403, 404, 422, 429, 503),
    },
)
async def events(estimate_id: str, request: Request, principal: May) -> Response:
    """Follow an estimate by server-sent events."""
    services = services_of(request)
    job = await _own(services, principal, estimate_id)
    streams: set[object] = request.app.state.streams
    if len(streams) >= MAX_STREAMS:
        raise BusyError("too many clients are listening; ask for the estimate itself instead")
    return StreamingResponse(
        events_of(services, job.id, streams, principal.key_id),
        media_type="text/event-stream",
        # Proxies that collect an answer before they pass it on would hold the events back.
        headers={"X-Accel-Buffering": "no"},
    )


@router.delete("/{estimate_id}", status_code=204, responses=errors(401, 403, 404, 422, 429))
async def delete(estimate_id: str, request: Request, principal: May) -> Response:
    """Delete an estimate, its clip and its result, in whatever state it is."""
    services = services_of(request)
    job = await _own(services, principal, estimate_id)
    deleted = await asyncio.to_thread(services.jobs.delete, job.id)
    if deleted is not None:
        with contextlib.suppress(OSError):
            await asyncio.to_thread(services.files.delete, deleted.file_token)
    await asyncio.to_thread(services.audit.add, principal.name, "estimate.delete", job.id)
    return Response(status_code=204)


async def _own(services: Services, principal: Principal, estimate_id: str) -> Job:
    """Return a job that this principal may see; whether another exists is not told."""
    job = None
    if _ID.fullmatch(estimate_id):
        job = await asyncio.to_thread(services.jobs.get, estimate_id)
    # The check of a study's clip is a job as well, and is seen with its participant alone.
    if job is None or job.kind != ESTIMATE or not principal.may_see(job.owner):
        raise UnknownError("there is no such estimate")
    return job
