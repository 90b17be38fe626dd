"""``/v1/participants/CODE/sessions``: visits, and the blood values that belong to them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from pallor.service.api.addresses import participant_address
from pallor.service.api.bodies import body_of, describe
from pallor.service.api.study_door import Id, Use
from pallor.service.api.study_words import (
    HemoglobinBody,
    HemoglobinChange,
    ParticipantWords,
    SessionBody,
    SessionChange,
)
from pallor.service.api.words import errors
from pallor.service.study import hemoglobin, sessions

router = APIRouter(prefix="/v1/participants/{code}/sessions", tags=["study"])

Fields = dict[str, Any]
_WRITES = errors(401, 403, 404, 408, 409, 413, 422, 429)
_DELETES = errors(401, 403, 404, 422, 429)


@router.post("", status_code=201, responses=_WRITES, openapi_extra=describe(SessionBody))
async def create(
    use: Use,
    response: Response,
    code: str,
    fields: Annotated[Fields, Depends(body_of(SessionBody))],
) -> ParticipantWords:
    """Enter a visit; ``Location`` is the address to change or delete it at."""
    found = await use.do(sessions.create, code, fields)
    # As it is kept: without blanks around it.
    name = fields["name"].strip()
    response.headers["Location"] = participant_address(found.code, "sessions", name)
    return ParticipantWords.model_validate(found)


@router.patch("/{session}", responses=_WRITES, openapi_extra=describe(SessionChange))
async def change(
    use: Use, code: str, session: str, fields: Annotated[Fields, Depends(body_of(SessionChange))]
) -> ParticipantWords:
    """Change what is known of a visit; null clears a field, one that is absent stays."""
    return ParticipantWords.model_validate(await use.do(sessions.change, code, session, fields))


@router.delete("/{session}", status_code=204, responses=_DELETES)
async def delete(use: Use, code: str, session: str) -> Response:
    """Delete a visit with its values and clips."""
    await use.do(sessions.delete, code, session)
    return Response(status_code=204)


@router.post(
    "/{session}/hemoglobin",
    status_code=201,
    responses=_WRITES,
    openapi_extra=describe(HemoglobinBody),
)
async def add_value(
    use: Use,
    response: Response,
    code: str,
    session: str,
    fields: Annotated[Fields, Depends(body_of(HemoglobinBody))],
) -> ParticipantWords:
    """Enter a reference value of hemoglobin, at the visit or later.

    ``Location`` ends with its id, and is the address to change or delete it at.
    """
    found = await use.do(hemoglobin.add, code, session, fields)
    visit = next(known for known in found.sessions if known.name == session)
    # In the order in which they were entered.
    value = visit.hemoglobin[-1]
    response.headers["Location"] = participant_address(
        found.code, "sessions", session, "hemoglobin", value.id
    )
    return ParticipantWords.model_validate(found)


@router.patch(
    "/{session}/hemoglobin/{value_id}", responses=_WRITES, openapi_extra=describe(HemoglobinChange)
)
async def change_value(
    use: Use,
    code: str,
    session: str,
    value_id: Id,
    fields: Annotated[Fields, Depends(body_of(HemoglobinChange))],
) -> ParticipantWords:
    """Change a reference value; what is absent stays."""
    found = await use.do(hemoglobin.change, code, session, value_id, fields)
    return ParticipantWords.model_validate(found)


@router.delete("/{session}/hemoglobin/{value_id}", status_code=204, responses=_DELETES)
async def delete_value(use: Use, code: str, session: str, value_id: Id) -> Response:
    """Delete a reference value."""
    await use.do(hemoglobin.delete, code, session, value_id)
    return Response(status_code=204)
