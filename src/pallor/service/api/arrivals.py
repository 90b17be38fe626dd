"""Clips that arrive: room for them, and nothing left of those that are refused."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from pallor.service.refusals import BusyError, RefusalError
from pallor.service.services import Services, services_of
from pallor.service.uploads import FILE_FIELD, Upload, receive_upload, take_all

if TYPE_CHECKING:
    from typing import BinaryIO

    from fastapi import Request

MAX_WAITING = 200
"""Clips in the queue; who comes then is asked to come again."""
MAX_WAITING_OF_OWNER = 60
"""Clips of one key, or of the study, in the queue. A clinic whose 20 tablets share one key may send
three from each before the first is processed."""
MAX_UPLOADS = 64
"""Clips that arrive at the same time."""
MAX_UPLOADS_OF_KEY = 24
"""Of one key: the 20 tablets of a clinic that end together, and a few more."""
SPARE_BYTES = 256 * 2**20
"""What an upload leaves free on the disk."""


@asynccontextmanager
async def arriving_clip(
    request: Request,
    *,
    key_id: str | None,
    owner: str | None,
    check: Callable[[Mapping[str, str]], object] = take_all,
) -> AsyncIterator[tuple[str, Upload]]:
    """Receive a clip, and delete it unless what is done with it succeeds.

    Parameters
    ----------
    request
        Its body has not been read.
    key_id
        Of who sends it: no key takes all the room. None without keys, where all of it may be taken.
    owner
        Of the job that it is for.
    check
        Raises what can be refused before the clip has arrived: nobody sends a video for nothing.
        Called without a field before anything is read, and with those that stand before the clip
        as that begins.

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

    uploads: Counter[str | None] = request.app.state.uploads
    try:
        check({})
        with _place(uploads, key_id):
            await asyncio.to_thread(_refuse_without_room, services)
            if key_id is not None:
                await asyncio.to_thread(_refuse_too_many, services, owner)
            limit = services.settings.limits.max_bytes
            upload = await receive_upload(request, target, limit, check)
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


@contextmanager
def _place(uploads: Counter[str | None], key_id: str | None) -> Iterator[None]:
    """Hold a place among the clips that arrive; only the event loop uses it."""
    if uploads.total() >= MAX_UPLOADS:
        raise BusyError("too many clips are arriving; try again soon")
    if key_id is not None and uploads[key_id] >= MAX_UPLOADS_OF_KEY:
        raise BusyError("too many clips are arriving with this key; try again soon")
    uploads[key_id] += 1
    try:
        yield
    finally:
        uploads[key_id] -= 1
        if uploads[key_id] == 0:
            del uploads[key_id]


def _refuse_too_many(services: Services, owner: str | None) -> None:
    if services.jobs.waiting(owner) >= MAX_WAITING_OF_OWNER:
        raise BusyError("too many clips of this key are waiting; try again in a minute", 60)


def has_room(services: Services) -> bool:
    """Tell whether the disk has room for the largest clip."""
    needed = services.settings.limits.max_bytes + SPARE_BYTES
    return shutil.disk_usage(services.files.folder).free >= needed


def _refuse_without_room(services: Services) -> None:
    if services.jobs.counts()["queued"] >= MAX_WAITING:
        raise BusyError("too many clips are waiting; try again in a minute", 60)
    if not has_room(services):
        raise BusyError("there is no room for another clip; tell who runs this service", 600)
