"""``/v1/participants``: who takes part in the study, and what they agreed to."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Response

from pallor.service.api.addresses import participant_address
from pallor.service.api.bodies import body_of, describe
from pallor.service.api.study_door import Use
from pallor.service.api.study_words import (
    LARGEST_ID,
    ConsentBody,
    LineWords,
    ParticipantBody,
    ParticipantChange,
    ParticipantList,
    ParticipantWords,
    WithdrawnWords,
)
from pallor.service.api.words import LOCATION, errors
from pallor.service.study import participants

router = APIRouter(prefix="/v1/participants", tags=["study"])

Fields = dict[str, Any]
_WRITES = errors(401, 403, 404, 408, 409, 413, 422, 429)


@router.get("", responses=errors(401, 403, 422, 429))
async def listing(
    use: Use,
    search: Annotated[str, Query(max_length=200, description="Part of a code.")] = "",
    missing: Annotated[
        Literal["hemoglobin", "clip", "consent"] | None,
        Query(description="Only those who have a clip without a value, no clip, no consent."),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    offset: Annotated[int, Query(ge=0, le=LARGEST_ID)] = 0,
) -> ParticipantList:
    """List participants in the order of their codes."""
    lines, total = await asyncio.to_thread(
        participants.listing,
        use.study,
        use.who,
        search=search,
        missing=missing,
        limit=limit,
        offset=offset,
    )
    return ParticipantList(
        participants=[LineWords.model_validate(line) for line in lines], total=total
    )


@router.post(
    "",
    status_code=201,
    responses={201: {"headers": LOCATION}, **errors(401, 403, 408, 409, 413, 422, 429)},
    openapi_extra=describe(ParticipantBody),
)
async def create(
    use: Use, response: Response, fields: Annotated[Fields, Depends(body_of(ParticipantBody))]
) -> ParticipantWords:
    """Enter a participant with what the person agreed to."""
    agreed = fields.pop("consent")
    found = await use.do(participants.create, fields, agreed)
    response.headers["Location"] = participant_address(found.code)
    return ParticipantWords.model_validate(found)


@router.get("/{code}", responses=errors(401, 403, 404, 422, 429))
async def read(use: Use, code: str) -> ParticipantWords:
    """Return a participant with all that is known."""
    return ParticipantWords.model_validate(await use.do(participants.get, code))


@router.patch("/{code}", responses=_WRITES, openapi_extra=describe(ParticipantChange))
async def change(
    use: Use, code: str, fields: Annotated[Fields, Depends(body_of(ParticipantChange))]
) -> ParticipantWords:
    """Change what is known; null clears a field, one that is absent stays."""
    return ParticipantWords.model_validate(await use.do(participants.change, code, fields))


@router.delete("/{code}", responses=errors(401, 403, 404, 422, 429))
async def withdraw(use: Use, code: str) -> WithdrawnWords:
    """Withdraw a participant: everything of the person is deleted, for good."""
    return WithdrawnWords.model_validate(await use.do(participants.withdraw, code))


@router.post(
    "/{code}/consents", status_code=201, responses=_WRITES, openapi_extra=describe(ConsentBody)
)
async def consent(
    use: Use, code: str, fields: Annotated[Fields, Depends(body_of(ConsentBody))]
) -> ParticipantWords:
    """Enter that the person agreed again, perhaps to less or more."""
    return ParticipantWords.model_validate(await use.do(participants.consent, code, fields))
