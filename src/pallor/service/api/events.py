"""A job's state as server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from pallor.service.refusals import BusyError

if TYPE_CHECKING:
    from pallor.service.services import Services

MAX_STREAMS = 200
MAX_STREAMS_OF_KEY = 16
"""Others are told to ask, as pages do by themselves where no events come."""
POLL_S = 0.3
QUIET_S = 15.0
"""So often something is sent at least: proxies close what is silent."""
KEY_S = 1.0
"""So often it is looked whether the key was revoked."""
LONGEST_S = 3600.0
"""Browsers connect again by themselves."""


Streams = set[tuple[str | None, object]]
"""The open streams: of each the key, and an object of its own."""


def refuse_too_many(streams: Streams, key_id: str | None) -> None:
    """Say whether one more stream may be opened.

    Raises
    ------
    BusyError
        If there are too many, or too many of this key.
    """
    if len(streams) >= MAX_STREAMS:
        raise BusyError("too many clients are listening; ask for the estimate itself instead")
    of_key = sum(holder == key_id for holder, _ in streams)
    if key_id is not None and of_key >= MAX_STREAMS_OF_KEY:
        raise BusyError(
            "too many clients are listening with this key; ask for the estimate itself instead"
        )


async def events_of(
    services: Services, job_id: str, streams: Streams, key_id: str | None = None
) -> AsyncIterator[bytes]:
    """Yield a job's changes until it is finished or gone, or who listens may no longer.

    Parameters
    ----------
    services
        Of the application.
    job_id
        Of a job.
    streams
        Those that are open.
    key_id
        Of who listens; a stream does not outlive its key. None where there are no keys.
    """
    me = (key_id, object())
    streams.add(me)
    services.metrics.streams.inc()
    try:
        loop = asyncio.get_running_loop()
        began = spoke = looked = loop.time()
        before: dict[str, Any] | None = None
        while loop.time() - began < LONGEST_S:
            if key_id is not None and loop.time() - looked >= KEY_S:
                looked = loop.time()
                if not await asyncio.to_thread(services.keys.is_valid, key_id):
                    return
            now = await asyncio.to_thread(_state, services, job_id)
            if now != before:
                before, spoke = now, loop.time()
                yield f"event: state\ndata: {json.dumps(now)}\n\n".encode()
                if now["state"] in {"done", "failed", "deleted"}:
                    return
            elif loop.time() - spoke > QUIET_S:
                spoke = loop.time()
                yield b": still here\n\n"
            await asyncio.sleep(POLL_S)
    finally:
        streams.discard(me)
        services.metrics.streams.dec()


def _state(services: Services, job_id: str) -> dict[str, Any]:
    job = services.jobs.get(job_id)
    if job is None:
        gone = "deleted"
        return {"id": job_id, "state": gone, "stage": gone, "share": 0.0, "position": None}
    return {
        "id": job.id,
        "state": job.state,
        "stage": job.stage,
        "share": job.share,
        "position": services.jobs.position(job_id),
    }
