"""``/v1/hints``: what to change before a recording, from one frame of the camera."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from pallor.service.api.words import HintState, errors
from pallor.service.hints import MAX_BYTES
from pallor.service.refusals import WrongTypeError
from pallor.service.security.guard import address_of, allow
from pallor.service.security.principal import Principal
from pallor.service.uploads import read_body

router = APIRouter(prefix="/v1/hints", tags=["hints"])

_PICTURES = ("image/jpeg", "image/png")
_STREAM = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


@router.post(
    "",
    response_model=HintState,
    responses=errors(401, 403, 408, 413, 415, 422, 429, 503),
    openapi_extra={
        "parameters": [
            {
                "name": "X-Hint-Stream",
                "in": "header",
                "description": "Joins the frames of one camera, so that motion is told.",
                "schema": {"type": "string", "pattern": f"^{_STREAM.pattern}$"},
            }
        ],
        "requestBody": {
            "required": True,
            "content": {
                kind: {"schema": {"type": "string", "format": "binary"}} for kind in _PICTURES
            },
        },
    },
)
async def hints(
    request: Request,
    principal: Annotated[Principal, Depends(allow("measure", rate="hints"))],
) -> dict[str, Any]:
    """Tell what one frame shows: a JPEG or PNG of at most 200 kB and 640 pixels a side.

    Frames with the same header ``X-Hint-Stream`` (letters, digits, - and _) belong to one
    camera; the frame before tells whether the face moves. No frame is stored on disk.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _PICTURES:
        raise WrongTypeError("send one picture of type image/jpeg or image/png")
    content = await read_body(request, MAX_BYTES)
    stream = request.headers.get("x-hint-stream", "")
    whose = stream if _STREAM.fullmatch(stream) else ""
    key = f"{principal.name} {address_of(request)} {whose}"
    answer: dict[str, Any] = await request.app.state.hint_process.look(content, key)
    return answer
