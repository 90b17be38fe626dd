"""``/v1/study``: how far the study is, what participants agree to, and the export."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from pallor.service.api.study_door import Use
from pallor.service.api.study_words import ConsentTextsWords, ConsentTextWords, SummaryWords
from pallor.service.api.words import errors
from pallor.service.export.study_export import cohort_csv, export_of
from pallor.service.export.zip_stream import zip_stream
from pallor.service.refusals import BusyError
from pallor.service.services import services_of
from pallor.service.study.cohort_rows import export_rows
from pallor.service.study.summary import summary

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from pallor.service.export.contents import ExportContents
    from pallor.service.study.study import Study

MAX_EXPORTS = 4
"""Exports that are sent at the same time."""
KEY_S = 1.0
"""So often it is looked whether the key of an export was revoked."""

_log = logging.getLogger("pallor.service")

router = APIRouter(prefix="/v1/study", tags=["study"])


@router.get("", responses=errors(401, 403, 429))
async def read(use: Use) -> SummaryWords:
    """Tell how far the study is."""
    return SummaryWords.model_validate(await asyncio.to_thread(summary, use.study))


@router.get("/consent", responses=errors(401, 403, 429))
async def consent(use: Use) -> ConsentTextsWords:
    """Return the text that participants agree to, in every language that there is."""
    texts = use.study.consent.texts.items()
    return ConsentTextsWords(
        texts={language: ConsentTextWords.model_validate(text) for language, text in texts}
    )


@router.get(
    "/cohort.csv",
    response_class=Response,
    responses={
        200: {
            "description": "The cohort table of the export, without the clips.",
            "content": {"text/csv": {"schema": {"type": "string"}}},
        },
        **errors(401, 403, 429),
    },
)
async def cohort(use: Use) -> Response:
    """Return the clips with what is known of them, one a row."""
    return Response(await use.do(_table), media_type="text/csv", headers=_attachment("cohort.csv"))


@router.get(
    "/export.zip",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "A zip with the clips, cohort.csv for pallor extract, "
            "hemoglobin_values.csv and README.txt.",
            "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
        },
        **errors(401, 403, 429, 503),
    },
)
async def export(request: Request, use: Use) -> Response:
    """Return the whole study with its videos; it is written while it is sent."""
    running: set[object] = request.app.state.exports
    if len(running) >= MAX_EXPORTS:
        raise BusyError("too many exports are being sent; wait for one to end", 60)
    keys, key_id = services_of(request).keys, use.key_id

    def may_go_on() -> bool:
        return key_id is None or keys.is_valid(key_id)

    return ExportResponse(await use.do(_contents), running, may_go_on)


class ExportResponse(StreamingResponse):
    """A zip on its way; whatever becomes of the client, nothing stays open.

    Parameters
    ----------
    contents
        What goes in.
    running
        Holds one object for each export that is being sent.
    may_go_on
        Whether the client may still have it; asked now and then. Where not, the zip breaks off.
    """

    def __init__(
        self,
        contents: ExportContents,
        running: set[object],
        may_go_on: Callable[[], bool],
    ) -> None:
        self._running = running
        self._pieces = _while_allowed(zip_stream(contents), may_go_on)
        super().__init__(
            self._pieces, media_type="application/zip", headers=_attachment("study.zip")
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        self._running.add(self)
        try:
            await super().__call__(scope, receive, send)
        except _RevokedError:
            # The server closes a connection whose answer has no end: nobody takes it for whole.
            _log.warning("an export was broken off: its key was revoked")
        finally:
            self._running.discard(self)
            # Where the client is gone, the framework has waited for the thread that reads a piece.
            # Where the server is told to stop, the thread still reads, and closes what it read.
            with contextlib.suppress(ValueError):
                self._pieces.close()


class _RevokedError(Exception):
    """The key of an export was revoked while it was sent."""


def _while_allowed(
    pieces: Generator[bytes, None, None], may_go_on: Callable[[], bool]
) -> Generator[bytes, None, None]:
    looked_s = time.monotonic()
    with contextlib.closing(pieces):
        for piece in pieces:
            if time.monotonic() - looked_s >= KEY_S:
                looked_s = time.monotonic()
                if not may_go_on():
                    raise _RevokedError
            yield piece


def _contents(study: Study, who: str) -> ExportContents:
    contents = export_of(study)
    study.audit.add(who, "study.export", f"{len(contents.files)} clips")
    return contents


def _table(study: Study, who: str) -> bytes:
    rows = export_rows(study).rows
    study.audit.add(who, "study.export", f"table of {len(rows)} clips")
    return cohort_csv(rows)


def _attachment(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}
