"""What comes with a clip: who the person is, which model, which coverage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from pallor.anemia.person import Unknown, smoking_adjustment_g_l, trimesters_of
from pallor.service.refusals import InvalidRequestError, NoModelError

if TYPE_CHECKING:
    from pallor.service.model_cards import LoadedModels

MAX_WORD = 40


class EstimateOptions(BaseModel):
    """The fields of the form beside the clip."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    model: str | None = Field(None, max_length=64, description="Id of a loaded model.")
    sex: Literal["female", "male"] | None = None
    age_years: float | None = Field(None, ge=0, le=120)
    pregnancy: str | None = Field(
        None, max_length=MAX_WORD, description="no, yes, first trimester, ... third trimester."
    )
    altitude_m: float | None = Field(None, ge=-500, le=6000, description="Of residence.")
    smoking: str | None = Field(
        None, max_length=MAX_WORD, description="no, yes, or cigarettes a day such as 12/day."
    )
    coverage: float | None = Field(None, ge=0.5, le=0.99, description="Of the interval.")

    @field_validator("pregnancy")
    @classmethod
    def _pregnancy(cls, value: str | None) -> str | None:
        return _understood(value, None if value is None else trimesters_of(value))

    @field_validator("smoking")
    @classmethod
    def _smoking(cls, value: str | None) -> str | None:
        return _understood(value, None if value is None else smoking_adjustment_g_l(value))


def read_options(fields: Mapping[str, str], models: LoadedModels) -> dict[str, Any]:
    """Return the options of a job.

    Parameters
    ----------
    fields
        Of the form; what was left empty is not among them.
    models
        One of which is meant.

    Raises
    ------
    InvalidRequestError
        A field is unknown or its value makes no sense.
    NoModelError
        No model is loaded, or not the one that is asked for.
    """
    try:
        options = EstimateOptions.model_validate(dict(fields))
    except ValidationError as error:
        raise InvalidRequestError(_first(error)) from None
    if models.default is None:
        raise NoModelError("no model is loaded: start the service with --model FILE")
    if options.model is not None and options.model not in models:
        raise NoModelError("no such model is loaded; GET /v1/models lists them")
    return options.model_dump(exclude_none=True) | {"model": options.model or models.default}


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    # A name that is not one of ours is the client's own text: it is not repeated.
    if first["type"] == "extra_forbidden":
        known = ", ".join(EstimateOptions.model_fields)
        return f"a field is not known; beside file there is {known}"
    return f"{first['loc'][0]}: {first['msg'].removeprefix('Value error, ')}"


def _understood(value: str | None, read: object) -> str | None:
    if isinstance(read, Unknown):
        what = read.code.removesuffix("_not_understood")
        raise ValueError(f"not understood; see how {what} is written in the description")
    return value
