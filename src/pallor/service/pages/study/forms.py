"""Forms: what was posted, and what a page shows of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from pallor.service.pages.language import Texts
from pallor.service.refusals import MalformedUploadError
from pallor.service.uploads import read_body

if TYPE_CHECKING:
    from starlette.requests import Request

    from pallor.service.refusals import FieldProblem

MAX_FORM_BYTES: Final = 32 * 1024
"""A note of 1000 letters of four bytes each, percent-encoded, and the rest."""
_MAX_FIELDS: Final = 50
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)

LABELS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "version": "study.consent_text",
        "takes_part": "study.consent_title",
        "keeps_video": "study.consent_title",
        "code": "study.code",
        "sex": "person.sex",
        "age_years": "person.age",
        "pregnancy": "person.pregnancy",
        "altitude_m": "person.altitude",
        "smoking": "person.smoking",
        "note": "study.note",
        "name": "study.session_name",
        "date": "study.session_date",
        "site": "study.site",
        "value": "study.value",
        "unit": "study.unit",
        "method": "study.method",
        "measured_on": "study.measured_on",
        "confirm": "study.confirm",
        "camera": "study.camera",
    }
)
"""Name of a field to its label, in the order in which forms show them."""


@dataclass(frozen=True)
class Form:
    """What a form shows.

    Attributes
    ----------
    values
        Of the fields, as text; absent ones are empty.
    problems
        Sentences by the name of the field; under the empty name what concerns the whole form.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)

    def value(self, name: str) -> str:
        """Return the value of a field."""
        return self.values.get(name, "")

    def was(self, name: str) -> str:
        """Return what a field was before anybody changed it."""
        return self.values.get(f"was.{name}", self.value(name))

    def problem(self, name: str) -> str:
        """Return what is wrong with a field; empty where nothing is."""
        return self.problems.get(name, "")


async def read_form(request: Request) -> dict[str, str]:
    """Read the fields of a form that was posted.

    Raises
    ------
    TooLargeError
        More than a form of ours can hold.
    MalformedUploadError
        Not UTF-8, too many fields, or one of them twice.
    """
    body = await read_body(request, MAX_FORM_BYTES)
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MAX_FIELDS,
        )
    except ValueError:
        raise MalformedUploadError("the form is damaged; load the page anew") from None
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise MalformedUploadError("a field was given twice; load the page anew")
    return fields


def picked(fields: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    """Return the named fields, the absent ones empty: an emptied field is one that is not known."""
    return {name: fields.get(name, "").strip() for name in names}


def changed(fields: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    """Return the named fields that somebody changed: what others changed meanwhile stays.

    A form for changes holds beside each field NAME what it was at first as ``was.NAME``.
    """
    now = picked(fields, names)
    return {name: value for name, value in now.items() if value != fields.get(f"was.{name}")}


def as_text(values: Mapping[str, object]) -> dict[str, str]:
    """Return values as a form shows them: 34.0 as 34, None as empty."""
    return {name: _text(value) for name, value in values.items()}


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def in_order(problems: Mapping[str, FieldProblem]) -> list[tuple[str, FieldProblem]]:
    """Return problems in the order in which forms show their fields."""
    places = {name: place for place, name in enumerate(LABELS)}
    return sorted(problems.items(), key=lambda item: places.get(item[0], len(places)))


def problem_text(name: str, problem: FieldProblem, t: Texts) -> str:
    """Say what is wrong with a field in the language of the page.

    Parameters
    ----------
    name
        Of the field.
    problem
        Its code, with the field's name where there is such a text, chooses the sentence; its own
        English text stands in where the catalog has none whose places can all be filled.
    t
        Texts.
    """
    values = {key: _shown(value, t) for key, value in problem.values.items() if value != ""}
    for key in (f"study.problem.{name}_{problem.code}", f"study.problem.{problem.code}"):
        try:
            return t.catalog[key].format(**values)
        except KeyError:
            continue
    return problem.text


def _shown(value: object, t: Texts) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:g}".replace("-", "\u2212").replace(".", t("format.decimal"))
    text = str(value)
    return t.date(text) if _DATE.fullmatch(text) else text
