"""What a user may say beside the clip."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pallor.anemia.person import Person
from pallor.errors import UsageError

MAX_TEXT = 200


@dataclass(frozen=True)
class EstimateOptions:
    """Options of an estimate; None where nothing was said.

    Attributes
    ----------
    model
        Name or id of a loaded model; the first one by default.
    sex, age_years, pregnancy, altitude_m, smoking
        Of the person; see `pallor.anemia.person.Person`.
    coverage
        Of the interval, between 0 and 1; the model's own by default.
    """

    model: str | None = None
    sex: str | None = None
    age_years: float | None = None
    pregnancy: str | None = None
    altitude_m: float | None = None
    smoking: str | None = None
    coverage: float | None = None

    @property
    def person(self) -> Person:
        """Whose hemoglobin it is."""
        return Person(self.sex, self.age_years, self.pregnancy, self.altitude_m, self.smoking)

    def as_dict(self) -> dict[str, Any]:
        """Return what was said, as plain values."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EstimateOptions:
        """Check options; numbers may come as text, as they do from a form.

        Raises
        ------
        UsageError
            Names the option that is unknown, or has a value that it cannot have.
        """
        unknown = sorted(set(values) - set(cls.__dataclass_fields__))
        if unknown:
            known = ", ".join(cls.__dataclass_fields__)
            raise UsageError(f"unknown option {_shown(unknown[0])}; known are {known}")
        sex = _text("sex", values.get("sex"))
        if sex not in (None, "female", "male"):
            raise UsageError(f"sex is {_shown(sex)}; say female or male")
        pregnancy, smoking = (_text(name, values.get(name)) for name in ("pregnancy", "smoking"))
        _understood(pregnancy, smoking)
        coverage = _number("coverage", values.get("coverage"), 0.0, 1.0)
        if coverage in (0.0, 1.0):
            raise UsageError("coverage lies between 0 and 1, such as 0.9")
        return cls(
            model=_text("model", values.get("model")),
            sex=sex,
            age_years=_number("age_years", values.get("age_years"), 0.0, 130.0),
            pregnancy=pregnancy,
            altitude_m=_number("altitude_m", values.get("altitude_m"), -500.0, 9000.0),
            smoking=smoking,
            coverage=coverage,
        )


def _understood(pregnancy: str | None, smoking: str | None) -> None:
    from pallor.anemia.person import (
        Unknown,
        is_not_known,
        smoking_adjustment_g_l,
        trimesters_of,
    )

    answers: list[object] = []
    if pregnancy is not None and not is_not_known(pregnancy):
        answers.append(trimesters_of(pregnancy))
    if smoking is not None and not is_not_known(smoking):
        answers.append(smoking_adjustment_g_l(smoking))
    for answer in answers:
        if isinstance(answer, Unknown):
            raise UsageError(answer.text)


def _text(name: str, value: object) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > MAX_TEXT or not value.isprintable():
        raise UsageError(f"{name} is a text of at most {MAX_TEXT} printable characters")
    return value


def _number(name: str, value: object, low: float, high: float) -> float | None:
    if value is None or value == "":
        return None
    if not isinstance(value, int | float | str) or isinstance(value, bool):
        raise UsageError(f"{name} is a number from {low:g} to {high:g}")
    try:
        # A text of digits without end takes time that grows with its square.
        number = math.nan if isinstance(value, str) and len(value) > MAX_TEXT else float(value)
    except (ValueError, OverflowError):
        number = math.nan
    if not low <= number <= high:
        raise UsageError(f"{name} is a number from {low:g} to {high:g}")
    return number


def _shown(text: str) -> str:
    return repr(text[:40])
