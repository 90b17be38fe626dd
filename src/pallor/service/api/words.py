"""Forms of the answers, for the OpenAPI description, and for who builds on it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pallor.service.api.result_words import DescribedBy, EstimateResult, ModelCard


class FieldError(BaseModel):
    """Why one field was not taken."""

    code: str = Field(description="Machine-readable; stays the same.")
    text: str = Field(description="One line for people.")


class ErrorBody(BaseModel):
    """What went wrong."""

    code: str = Field(description="Machine-readable; stays the same.")
    text: str = Field(description="One line for people.")
    fields: dict[str, FieldError] | None = Field(
        default=None, description="By the name of the field; only where fields are to blame."
    )


class ErrorAnswer(BaseModel):
    """Every answer with a status of 400 or more."""

    error: ErrorBody


class EstimateState(BaseModel):
    """A clip on its way to an estimate."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(description="Unguessable; opens the result together with the key.")
    state: Literal["queued", "running", "done", "failed"]
    stage: str = Field(description="What is being done.")
    share: float = Field(ge=0, le=1, description="How much of it is done.")
    position: int | None = Field(description="Jobs that wait before this one.")
    created_s: float = Field(description="Seconds since 1970.")
    finished_s: float | None
    expires_s: float | None = Field(
        description="Seconds since 1970. Soon after it the estimate is deleted with its result, "
        "and then answers 404; null until it is finished."
    )
    simulated: bool | None = Field(
        description="Whether the model was trained on simulated clips or the clip is one; null "
        "where the model is not known yet."
    )
    notice: list[str] = Field(description="What has to be said with it; show it.")
    options: dict[str, Any] = Field(description="As they came with the clip.")
    result: EstimateResult | None = Field(description="Once done.")
    code: str | None = Field(description="Once failed: why, machine-readable.")
    text: str | None = Field(description="Once failed: why, one line for people.")


class ModelList(BaseModel):
    """The models; an estimate uses the first unless it names another."""

    models: list[Annotated[dict[str, Any], DescribedBy(ModelCard)]]
    notice: list[str]


class HintState(BaseModel):
    """What one frame of the camera tells."""

    model_config = ConfigDict(extra="allow")

    face: bool
    faces: int = Field(description="2 stands for two or more.")
    distance: Literal["too_near", "good", "too_far"] | None
    light: Literal["too_dark", "good", "too_bright", "uneven"] | None
    centered: bool
    codes: list[str] = Field(description="What to change, the most important first.")


class SessionState(BaseModel):
    """Who is signed in."""

    role: str
    csrf_token: str | None = Field(
        description="To be sent as X-CSRF-Token with every change, where a cookie is used."
    )


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"]
    version: str


class Readiness(BaseModel):
    """Whether clips would be processed."""

    ready: bool
    database: bool
    workers: bool
    room: bool
    models: int


_TEXTS = {
    400: "The upload is malformed.",
    401: "No key, or one that is not valid.",
    403: "The role does not allow it, or a page of another site asked.",
    404: "There is no such thing, or it belongs to somebody else.",
    406: "No form of the answer is acceptable.",
    408: "The upload was too slow.",
    409: "It does not go with what is there: no model is loaded, there is no result yet, the "
    "participant has not agreed to it, or the same is there already.",
    413: "Larger than the limit.",
    415: "The content is of no type that is read here.",
    422: "A value does not make sense.",
    429: "Too many requests.",
    503: "The service cannot take this now.",
}


LOCATION: dict[str, Any] = {
    "Location": {
        "description": "Where it is.",
        "schema": {"type": "string", "format": "uri-reference"},
    }
}
"""The header of an answer that made something, for the OpenAPI description."""

RETRY_AFTER: dict[str, Any] = {
    "Retry-After": {
        "description": "Seconds after which it is worth to ask again.",
        "schema": {"type": "integer", "minimum": 1},
    }
}
"""The header of an answer that would be another one later."""

_HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"schema": {"type": "string", "const": "Bearer"}}},
    429: RETRY_AFTER,
    503: RETRY_AFTER,
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the error answers of a route for its OpenAPI description."""
    return {
        status: {
            "model": ErrorAnswer,
            "description": _TEXTS[status],
            "headers": _HEADERS.get(status, {}),
        }
        for status in statuses
    }
