"""``/v1/participants/CODE/sessions/NAME/clips``: clips that the study keeps."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse, Response

from pallor.service.api.addresses import participant_address
from pallor.service.api.arrivals import arriving_clip, form_of
from pallor.service.api.study_door import Id, StudyUse, Use, use_study
from pallor.service.api.study_words import CLIP_FIELDS, ClipWords
from pallor.service.api.words import LOCATION, errors
from pallor.service.refusals import FieldProblem, InvalidFieldsError
from pallor.service.study import clips

router = APIRouter(prefix="/v1/participants/{code}/sessions/{session}/clips", tags=["study"])


@router.post(
    "",
    status_code=202,
    response_model=ClipWords,
    responses={
        202: {"headers": LOCATION},
        **errors(400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 503),
    },
    openapi_extra=form_of(CLIP_FIELDS),
)
async def add(
    request: Request,
    use: Annotated[StudyUse, Depends(use_study(rate="estimates"))],
    code: str,
    session: str,
) -> Response:
    """Add a clip; whether it is usable is looked at in the background.

    The participant must have agreed that videos are kept. The answer names the clip's id: ask for
    it until its state is ``done`` or ``failed``. The clip stays in either case, until it is
    deleted; it leaves the service with the export of the study alone.
    """
    # Nobody sends a video that will be refused.
    await asyncio.to_thread(clips.check_may_add, use.study, code, session)
    arriving = arriving_clip(request, key_id=use.key_id, owner=None, check=_refuse_unknown)
    async with arriving as (token, upload):
        # Once more: fields may stand behind the clip.
        _refuse_unknown(upload.fields)
        _, clip = await use.do(
            clips.add,
            code,
            session,
            token,
            upload.size,
            upload.sha256,
            upload.kind,
            upload.fields,
        )
    headers = {"Location": participant_address(code, "sessions", session, "clips", clip.id)}
    return JSONResponse(ClipWords.model_validate(clip).model_dump(mode="json"), 202, headers)


@router.get("/{clip_id}", responses=errors(401, 403, 404, 422, 429))
async def read(use: Use, code: str, session: str, clip_id: Id) -> ClipWords:
    """Tell how far the check of a clip is, and what it found."""
    return ClipWords.model_validate(await use.do(clips.get, code, session, clip_id))


@router.post(
    "/{clip_id}/check",
    status_code=202,
    responses=errors(401, 403, 404, 422, 429),
)
async def check_again(
    use: Annotated[StudyUse, Depends(use_study(rate="estimates"))],
    code: str,
    session: str,
    clip_id: Id,
) -> ClipWords:
    """Check a clip anew, after its check failed or where other limits hold by now.

    What was found before is forgotten. A check that waits or runs already goes on.
    """
    return ClipWords.model_validate(await use.do(clips.check_again, code, session, clip_id))


@router.delete("/{clip_id}", status_code=204, responses=errors(401, 403, 404, 422, 429))
async def delete(use: Use, code: str, session: str, clip_id: Id) -> Response:
    """Delete a clip and what was found of it, in whatever state the check is."""
    await use.do(clips.delete, code, session, clip_id)
    return Response(status_code=204)


def _refuse_unknown(fields: Mapping[str, str]) -> None:
    unknown = sorted(set(fields) - set(CLIP_FIELDS))
    if unknown:
        known = ", ".join(CLIP_FIELDS)
        text = f"there is no such field beside a clip; known are {known}"
        # Not under the name that was sent: it may be anything.
        raise InvalidFieldsError({"form": FieldProblem("unknown_field", text)})
