"""Clips that arrive: room for them, and nothing left of those that are refused."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from pallor.service.refusals import BusyError, RefusalError
from pallor.service.services import Services, services_of
from pallor.service.uploads import FILE_FIELD, Upload, receive_upload

if TYPE_CHECKING:
    from typing import BinaryIO

    from fastapi import Request

MAX_WAITING = 200
"""Clips in the queue; who comes then is asked to come again."""
MAX_UPLOADS = 64
"""Clips that arrive at the same time."""
SPARE_BYTES = 256 * 2**20
"""What an upload leaves free on the disk."""


@asynccontextmanager
async def arriving_clip(request: Request) -> AsyncIterator[tuple[str, Upload]]:
    """Receive a clip, and delete it unless what is done with it succeeds.

    Parameters
    ----------
    request
        Its body has not been read.

    Yields
    ------
    token, upload
        Of the file among the uploads, and what else is known of it.

    Raises
    ------
    RefusalError
        Why not; it is counted, also where it comes from inside.
    """
    services = services_of(request)
    token: str | None = None
    file: BinaryIO | None = None

    def target() -> BinaryIO:
        nonlocal token, file
        token, _path, file = services.files.create()
        return file

    uploads: asyncio.Semaphore = request.app.state.uploads
    try:
        if uploads.locked():
            raise BusyError("too many clips are arriving; try again soon")
        async with uploads:
            await asyncio.to_thread(_refuse_without_room, services)
            upload = await receive_upload(request, target, services.settings.limits.max_bytes)
            if file is None or token is None:
                raise AssertionError("an upload that is complete has a file")
            await asyncio.to_thread(file.close)
            yield token, upload
            services.metrics.upload_bytes.inc(upload.size)
    except BaseException as error:
        # Also when the client went away, or the server is told to stop.
        if file is not None:
            file.close()
        services.files.delete(token)
        if isinstance(error, RefusalError):
            services.metrics.refused_uploads.labels(error.code).inc()
        raise


def form_of(fields: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Describe a form with a clip by hand: it is read as it streams, not by the framework.

    Parameters
    ----------
    fields
        Name to schema of what stands beside the clip.
    """
    clip = {"type": "string", "format": "binary", "description": "The clip: a video or still."}
    form = {
        "type": "object",
        "properties": {FILE_FIELD: clip, **fields},
        "required": [FILE_FIELD],
        "additionalProperties": False,
    }
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form}}}}


def has_room(services: Services) -> bool:
    """Tell whether the disk has room for the largest clip."""
    needed = services.settings.limits.max_bytes + SPARE_BYTES
    return shutil.disk_usage(services.files.folder).free >= needed


def _refuse_without_room(services: Services) -> None:
    if services.jobs.counts()["queued"] >= MAX_WAITING:
        raise BusyError("too many clips are waiting; try again in a minute", 60)
    if not has_room(services):
        raise BusyError("there is no room for another clip; tell who runs this service", 600)
