"""``/healthz``, ``/readyz`` and ``/metrics``: for who runs the service."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse, Response

from pallor._version import __version__
from pallor.service.api.words import Health, Readiness, errors
from pallor.service.errors import StoreError
from pallor.service.security.guard import allow
from pallor.service.security.principal import Principal
from pallor.service.services import Services, services_of

router = APIRouter(tags=["operation"])

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz")
async def healthz() -> Health:
    """Tell that the process answers."""
    return Health(status="ok", version=__version__)


@router.head("/readyz", include_in_schema=False)
@router.get(
    "/readyz",
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "Clips would not be processed now."}},
)
async def readyz(request: Request) -> Response:
    """Tell whether clips would be processed: the database answers and workers live.

    A service without a model is ready, too: it says so to who asks for an estimate.
    """
    services = services_of(request)
    database = await asyncio.to_thread(_database, services)
    workers = services.workers.status().ready
    answer = Readiness(
        ready=database and workers,
        database=database,
        workers=workers,
        models=len(services.models),
    )
    return JSONResponse(answer.model_dump(), 200 if answer.ready else 503)


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
        **errors(401, 403, 429),
    },
)
async def metrics(
    request: Request, _principal: Annotated[Principal, Depends(allow("admin"))]
) -> Response:
    """Return figures in the text format of Prometheus."""
    services = services_of(request)
    counts = await asyncio.to_thread(services.jobs.counts)
    text = services.metrics.text(counts, services.workers.status())
    return Response(text, headers={"Content-Type": PROMETHEUS})


def _database(services: Services) -> bool:
    try:
        services.jobs.counts()
    except StoreError:
        return False
    return True
