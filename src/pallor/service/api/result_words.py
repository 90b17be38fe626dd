"""What a result holds, for the OpenAPI description.

Results come from the database as they were written there and are passed on as they are: nothing
here reads or changes one. Fields may be added to them, so each of these allows more.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


class DescribedBy:
    """Annotation of a plain value: a model describes it, and the value passes as it is.

    Parameters
    ----------
    model
        What the description says of the value.
    """

    def __init__(self, model: type[BaseModel]) -> None:
        self._model = model

    def __get_pydantic_json_schema__(
        self, _schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return the schema of the model in place of that of the value."""
        return handler(self._model.__pydantic_core_schema__)


class _Words(BaseModel):
    model_config = ConfigDict(extra="allow")


Severity = Literal["none", "mild", "moderate", "severe"]


class Said(_Words):
    """A reason or a warning."""

    code: str = Field(description="Machine-readable; stays the same.")
    text: str = Field(description="One line for people.")


class Quality(_Words):
    """What can be said of the clip beside the estimate."""

    usable: bool = Field(description="Whether a pulse can be read.")
    reasons: list[Said] = Field(description="Why none can be read.")
    warnings: list[Said]
    frames: int
    fps: float | None = Field(description="Frames a second.")


class PulseWave(_Words):
    """The pulse for drawing; both lists are equally long."""

    time_s: list[float] = Field(description="On the clip's clock.")
    pulse: list[float] = Field(description="In its standard deviations; systole is up.")


class Group(_Words):
    """A group of people for whom the WHO states limits."""

    name: str
    description: str


class Limits(_Words):
    """Of hemoglobin as measured; altitude and smoking are in them."""

    severe_below: float
    moderate_below: float
    mild_below: float


class Anemia(_Words):
    """The estimate among the groups of the WHO."""

    guideline: str
    group: Group | None = Field(description="null where too little is known of the person.")
    limits_g_dl: Limits | None
    adjustment_g_dl: float | None = Field(description="For altitude and smoking.")
    unknown: Said | None = Field(description="Why there are no limits.")
    assumptions: list[str] = Field(description="Codes of what is taken for granted.")
    severity: Severity | None
    severity_at_low: Severity | None = Field(description="At the lower end of the interval.")
    severity_at_high: Severity | None = Field(description="At the upper end of the interval.")


class UsedModel(_Words):
    """The model that made an estimate."""

    name: str = Field(description="What model= takes, as it takes the id.")
    id: str
    simulated: bool = Field(description="Trained on simulated clips: says nothing about people.")
    summary: str = Field(description="One line for people.")
    modalities: list[str] = Field(description="What it measures in a clip.")
    regressor: str | None
    input_kind: str | None
    coverage: float | None = Field(description="Of its intervals, unless another is asked for.")
    created: str | None
    pallor_version: str | None
    metrics: dict[str, Any] | None = Field(description="Its own cross-validation.")
    cohort: dict[str, Any] | None = Field(description="Whom it was trained on.")
    notes: list[Any] | None


class PersonSaid(_Words):
    """What was said of the person; what was not said is absent."""

    sex: str | None = None
    age_years: float | None = None
    pregnancy: str | None = None
    altitude_m: float | None = None
    smoking: str | None = None


class EstimateResult(_Words):
    """What a model says of a clip. Where it is not usable there is no number, but reasons."""

    usable: bool = Field(description="Whether there is an estimate.")
    reasons: list[Said] = Field(description="Why there is none; empty where there is one.")
    warnings: list[Said] = Field(description="What is worth to know beside the estimate.")
    hemoglobin_g_dl: float | None
    interval_low_g_dl: float | None
    interval_high_g_dl: float | None
    coverage: float | None = Field(
        description="Share of people like those trained on whose value lies in such an interval."
    )
    model: str = Field(description="Its id.")
    simulated: bool = Field(description="The model was trained on simulated clips or this is one.")
    input_kind: str | None
    duration_s: float | None
    face_coverage: float | None = Field(description="Share of the frames with a usable face.")
    heart_rate_bpm: float | None
    snr_db: float | None = Field(description="Of the pulse.")
    notice: str = Field(description="Show it.")
    quality: Quality | None = Field(description="null where no face was found.")
    pulse_wave: PulseWave | None
    anemia: Anemia
    model_card: UsedModel
    person: PersonSaid


class ClipCheck(_Words):
    """What checking a clip of a study found; null where no face was found."""

    usable: bool = Field(description="Whether a pulse can be read.")
    reasons: list[Said] = Field(description="Why none can be read.")
    warnings: list[Said]
    simulated: bool
    duration_s: float | None
    fps: float | None = Field(description="Frames a second.")
    frames: int | None
    face_coverage: float | None = Field(description="Share of the frames with a usable face.")
    heart_rate_bpm: float | None
    snr_db: float | None = Field(description="Of the pulse.")


class ModelCard(_Words):
    """A model that is loaded."""

    id: str
    name: str = Field(description="What model= takes, as it takes the id.")
    simulated: bool = Field(description="Trained on simulated clips: says nothing about people.")
    modalities: list[str] = Field(description="What it measures in a clip.")
    regressor: str
    input_kind: str
    coverage: float = Field(description="Of its intervals, unless another is asked for.")
    pallor_version: str
    cohort: dict[str, Any] = Field(description="Whom it was trained on.")
    metrics: dict[str, Any] = Field(description="Its own cross-validation.")
    notes: list[Any]
