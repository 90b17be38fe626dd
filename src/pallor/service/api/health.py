"""``/healthz``, ``/readyz`` and ``/metrics``: for who runs the service."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse, Response

from pallor._version import __version__
from pallor.service.api.arrivals import has_room
from pallor.service.api.words import Health, Readiness, errors
from pallor.service.errors import StoreError
from pallor.service.security.guard import allow
from pallor.service.security.principal import Principal
from pallor.service.services import Services, services_of

router = APIRouter(tags=["operation"])

ANSWER_S = 5.0

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
    """Tell whether clips would be processed.

    The database answers, workers live, and there is room for another clip in a folder that can be
    written. What does not answer within some seconds does not work. A service without a model is
    ready, too: it says so to who asks for an estimate.
    """
    services = services_of(request)
    asked: Questions = request.app.state.readiness
    database, room = await asyncio.gather(
        asked.answer("database", lambda: _database(services)),
        asked.answer("room", lambda: _room(services)),
    )
    workers = services.workers.status().ready
    answer = Readiness(
        ready=database and workers and room,
        database=database,
        workers=workers,
        room=room,
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


class Questions:
    """Asks what may hang, each question in a thread of its own.

    The threads that answer requests may all hang with the same database. A question that hangs is
    not asked a second time beside it: it counts as no until it has an answer.

    Parameters
    ----------
    within_s
        How long an answer may take.
    """

    def __init__(self, within_s: float = ANSWER_S) -> None:
        self._within_s = within_s
        self._open: dict[str, Future[bool]] = {}

    async def answer(self, name: str, question: Callable[[], bool]) -> bool:
        """Return the answer to a question; False where there is none in time."""
        future = self._open.get(name)
        if future is None or future.done():
            future = self._open[name] = _asked(name, question)
        try:
            return await asyncio.wait_for(
                asyncio.shield(asyncio.wrap_future(future)), self._within_s
            )
        except TimeoutError:
            return False


def _asked(name: str, question: Callable[[], bool]) -> Future[bool]:
    future: Future[bool] = Future()

    def run() -> None:
        try:
            future.set_result(question())
        except BaseException as error:  # noqa: BLE001 - whoever waits gets it
            future.set_exception(error)

    # A daemon: what hangs must not keep the server from ending.
    threading.Thread(target=run, name=f"readyz {name}", daemon=True).start()
    return future


def _room(services: Services) -> bool:
    try:
        token, _path, file = services.files.create()
        file.close()
        services.files.delete(token)
        return has_room(services)
    except OSError:
        return False


def _database(services: Services) -> bool:
    try:
        services.jobs.counts()
    except StoreError:
        return False
    return True
