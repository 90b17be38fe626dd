"""What goes in and out of the resources of a study.

Bodies tell the types alone; what a value may be is told by `pallor.service.study.fields`, so that
the pages and programs are told the same.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pallor.service.api.result_words import ClipCheck, DescribedBy
from pallor.service.study.fields import HEMOGLOBIN_METHODS, HEMOGLOBIN_UNITS, SEXES

LARGEST_ID = 2**31 - 1

_CODE = "A letter or digit first, then letters, digits, '.', '_' or '-'; at most 64."
_PREGNANCY = "no, yes, first trimester, second trimester, third trimester."


def _one_of(words: tuple[str, ...], *, optional: bool = True) -> dict[str, Any]:
    return {"enum": [*words, *((None,) if optional else ())]}


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Words(BaseModel):
    model_config = ConfigDict(extra="forbid", from_attributes=True)


# --- bodies ----------------------------------------------------------------------------------


class ConsentBody(_Body):
    """What a participant agreed to."""

    version: str = Field(
        description="Of the text that was shown: GET /v1/study/consent, or an earlier one that "
        "participants of the study agreed to."
    )
    language: str | None = Field(
        default=None, description="It was shown in, such as en; that of the text by default."
    )
    takes_part: bool = Field(description="Without it nobody takes part.")
    keeps_video: bool = Field(default=False, description="Whether clips may be kept.")


class ParticipantChange(_Body):
    """What is known of a participant; null clears a field, one that is absent stays."""

    code: str | None = Field(default=None, description=_CODE)
    sex: str | None = Field(default=None, json_schema_extra=_one_of(SEXES))
    age_years: float | None = Field(default=None, description="0 to 120.")
    pregnancy: str | None = Field(default=None, description=_PREGNANCY)
    altitude_m: float | None = Field(default=None, description="Of residence, -500 to 6000.")
    smoking: str | None = Field(
        default=None, description="no, yes, or cigarettes a day such as 12/day."
    )
    note: str | None = Field(default=None, description="Of the study team, at most 1000.")


class ParticipantBody(ParticipantChange):
    """A new participant."""

    code: str = Field(description=_CODE)
    consent: ConsentBody


class SessionChange(_Body):
    """What is known of a visit; null clears a field, one that is absent stays."""

    name: str | None = Field(default=None, description=_CODE)
    date: str | None = Field(default=None, description="Such as 2025-03-31.")
    site: str | None = Field(default=None, description="Where it was, at most 200.")
    pregnancy: str | None = Field(
        default=None, description=f"At this visit. {_PREGNANCY} null: as the participant's entry."
    )


class SessionBody(SessionChange):
    """A new visit."""

    name: str = Field(description=f"Unique to the participant. {_CODE}")


class HemoglobinBody(_Body):
    """A reference value."""

    value: float = Field(description="3 to 25 g/dL, or the same in g/L; in mmol/L at most 12.4.")
    unit: str = Field(json_schema_extra=_one_of(HEMOGLOBIN_UNITS, optional=False))
    method: str = Field(json_schema_extra=_one_of(HEMOGLOBIN_METHODS, optional=False))
    measured_on: str | None = Field(default=None, description="Such as 2025-03-31.")


class HemoglobinChange(_Body):
    """What to change of a reference value."""

    value: float | None = Field(default=None)
    unit: str | None = Field(default=None, json_schema_extra=_one_of(HEMOGLOBIN_UNITS))
    method: str | None = Field(default=None, json_schema_extra=_one_of(HEMOGLOBIN_METHODS))
    measured_on: str | None = Field(default=None)


CLIP_FIELDS: dict[str, dict[str, Any]] = {
    "camera": {"type": "string", "maxLength": 200, "description": "That recorded it."},
    "simulated": {
        "type": "string",
        "enum": ["true", "false"],
        "description": "Whether it is no recording of a person; a clip that says so itself "
        "counts as one.",
    },
}


# --- answers ---------------------------------------------------------------------------------


class ConsentWords(_Words):
    """What a participant agreed to."""

    version: str
    language: str
    keeps_video: bool
    given_s: float = Field(description="Seconds since 1970.")
    recorded_by: str | None = Field(description="Id of the key.")


class HemoglobinWords(_Words):
    """A reference value, as it was entered and in g/dL."""

    id: int
    value: float
    unit: str
    hemoglobin_g_dl: float
    method: str
    measured_on: str | None


class ClipWords(_Words):
    """A clip that the study keeps."""

    id: int
    camera: str | None
    bytes: int
    sha256: str
    simulated: bool
    created_s: float = Field(description="Seconds since 1970.")
    state: Literal["queued", "running", "done", "failed"] = Field(description="Of the check.")
    share: float = Field(ge=0, le=1, description="How much of the check is done.")
    usable: bool | None = Field(description="Whether a pulse can be read; null until known.")
    check: Annotated[dict[str, Any], DescribedBy(ClipCheck)] | None = Field(
        description="Once done."
    )
    code: str | None = Field(description="Once failed: why, machine-readable.")
    text: str | None = Field(description="Once failed: why, one line for people.")


class SessionWords(_Words):
    """A visit."""

    name: str
    date: str | None
    site: str | None
    pregnancy: str | None
    hemoglobin: list[HemoglobinWords]
    clips: list[ClipWords]


class ParticipantWords(_Words):
    """A participant with all that is known."""

    id: int = Field(description="Under which the audit log names the person.")
    code: str
    sex: str | None
    age_years: float | None
    pregnancy: str | None
    altitude_m: float | None
    smoking: str | None
    note: str | None
    created_s: float
    changed_s: float
    consent: ConsentWords | None = Field(description="The latest.")
    sessions: list[SessionWords]


class LineWords(_Words):
    """A participant in a list."""

    code: str
    sex: str | None
    age_years: float | None
    sessions: int
    clips: int
    usable_clips: int
    hemoglobin_values: int
    sessions_without_hemoglobin: int = Field(description="Visits whose value is still to come.")
    keeps_video: bool


class ParticipantList(_Words):
    """Participants by their codes."""

    participants: list[LineWords]
    total: int = Field(description="That were found, shown here or not.")


class SummaryWords(_Words):
    """How far the study is."""

    participants: int
    sessions: int
    clips: int
    usable_clips: int
    sessions_without_hemoglobin: int
    participants_without_clip: int
    simulated_clips: int


class WithdrawnWords(_Words):
    """What was deleted."""

    sessions: int
    hemoglobin_values: int
    clips: int
    files: int


class ConsentTextWords(_Words):
    """A text that participants agree to."""

    version: str
    text: str


class ConsentTextsWords(_Words):
    """By language."""

    texts: dict[str, ConsentTextWords]
