"""What a user may say beside the clip."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from pallor.anemia.person import Person
from pallor.service.coverage import LEAST
from pallor.service.refusals import FieldProblem
from pallor.service.study.field_readers import (
    FieldReader,
    ProblemError,
    read_number,
    read_number_within,
)

MAX_TEXT: Final = 200
MAX_NAME: Final = 40


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
        Of the interval, from 0.5 to below 1; the model's own by default.
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
        InvalidFieldsError
            Names every option that is unknown, or has a value that it cannot have.
        """
        reader = FieldReader(values)
        read = {name: reader.read(name, parse) for name, parse in _READERS.items()}
        known = ", ".join(_READERS)
        for name in sorted(set(values) - set(_READERS)):
            text = f"unknown option {_shown(name)}; known are {known}"
            reader.problems[name[:MAX_NAME]] = FieldProblem("unknown_field", text)
        reader.finish()
        return cls(**read)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT or not value.isprintable():
        raise ProblemError(
            "characters", f"{name} is a text of at most {MAX_TEXT} printable characters"
        )
    return value


def _sex(name: str, value: object) -> str:
    word = _text(name, value)
    if word not in ("female", "male"):
        choices = "female, male"
        text = f"{name} is {_shown(word)}; say female or male"
        raise ProblemError("unknown_choice", text, choices=choices)
    return word


def _pregnancy(name: str, value: object) -> str:
    from pallor.anemia.person import trimesters_of

    return _understood(_text(name, value), trimesters_of)


def _smoking(name: str, value: object) -> str:
    from pallor.anemia.person import smoking_adjustment_g_l

    return _understood(_text(name, value), smoking_adjustment_g_l)


def _understood(word: str, meaning: Callable[[str], object]) -> str:
    from pallor.anemia.person import Unknown, is_not_known

    found = None if is_not_known(word) else meaning(word)
    if isinstance(found, Unknown):
        raise ProblemError("not_understood", found.text)
    return word


def _coverage(name: str, value: object) -> float:
    share = read_number(name, value)
    if not LEAST <= share < 1.0:
        text = f"{name} lies from {LEAST:g} to below 1: give a share such as 0.9"
        raise ProblemError("range", text, low=LEAST, high=1.0)
    return share


def _shown(text: str) -> str:
    return repr(text[:MAX_NAME])


_READERS: Final[Mapping[str, Callable[[str, Any], Any]]] = {
    "model": _text,
    "sex": _sex,
    "age_years": read_number_within,
    "pregnancy": _pregnancy,
    "altitude_m": read_number_within,
    "smoking": _smoking,
    "coverage": _coverage,
}
