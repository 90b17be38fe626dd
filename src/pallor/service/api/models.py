"""``/v1/models``: what is loaded."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from pallor.service.api.words import ModelList, errors
from pallor.service.disclaimers import disclaimers
from pallor.service.security.guard import allow
from pallor.service.security.principal import Principal
from pallor.service.services import services_of

router = APIRouter(prefix="/v1/models", tags=["models"])


@router.get("", response_model=ModelList, responses=errors(401, 403, 429))
async def models(
    request: Request, _principal: Annotated[Principal, Depends(allow("measure"))]
) -> dict[str, Any]:
    """List the models with what they were trained on and how they did; the default first."""
    cards = list(services_of(request).models.cards.values())
    simulated = any(card["simulated"] for card in cards)
    return {"models": cards, "notice": disclaimers(simulated)}
