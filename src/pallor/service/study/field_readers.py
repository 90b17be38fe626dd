"""Reading one field of a form or a JSON body: its value, or why it cannot be taken."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, TypeVar

from pallor.service.refusals import FieldProblem, InvalidFieldsError

T = TypeVar("T")

MAX_CODE: Final = 64
MAX_WORD: Final = 64
MAX_LINE: Final = 200
MAX_NUMBER: Final = 40
FIRST_DAY: Final = date(1900, 1, 1)

_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
# Windows takes these for devices, whatever follows a point.
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.ASCII | re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?", re.ASCII)
# 1,500 may be one and a half, or fifteen hundred.
_THOUSANDS = re.compile(r"[+-]?\d+,\d{3}", re.ASCII)
# Nobody knows an altitude to the millimetre: 1.650 m is written so where a point groups digits.
_GROUPED = re.compile(r"[+-]?\d{1,2}\.\d{3}", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
# At the beginning of a line, or of what becomes a cell where ";" separates cells; quotation marks
# are lost on the way there.
_FORMULA = re.compile("(?:^|;)[\\s\"']*([=+\\-@\uff1d\uff0b\uff0d\uff20])")
_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})


class ProblemError(ValueError):
    """Why one field was not taken.

    Parameters
    ----------
    code, text, values
        As in `FieldProblem`.
    """

    def __init__(self, code: str, text: str, **values: object) -> None:
        super().__init__(text)
        self.problem = FieldProblem(code, text, values)


class FieldReader:
    """Reads the fields of one form and gathers what is wrong with them.

    Parameters
    ----------
    values
        Texts of a form, or values of JSON; "" and None mean not known.
    partial
        Whether fields that are absent are left alone instead of being not known.
    """

    def __init__(self, values: Mapping[str, Any], *, partial: bool = False) -> None:
        self._values = values
        self._partial = partial
        self.given: set[str] = set()
        self.problems: dict[str, FieldProblem] = {}

    def read(
        self, name: str, parse: Callable[[str, Any], T], *, required: bool = False
    ) -> T | None:
        """Return the value of a field; None where it is not known, absent or wrong.

        Parameters
        ----------
        name
            Of the field.
        parse
            Name and value to what is kept; raises `ProblemError`.
        required
            Whether it must be known.
        """
        if name not in self._values and self._partial:
            return None
        self.given.add(name)
        value = self._values.get(name)
        if isinstance(value, str):
            value = value.strip()
        try:
            if value is None or value == "":
                if required:
                    raise ProblemError("required", f"{name} is missing: enter it")
                return None
            return parse(name, value)
        except ProblemError as error:
            self.problems[name] = error.problem
            return None

    def finish(self) -> None:
        """Say what is wrong.

        Raises
        ------
        InvalidFieldsError
            If anything is.
        """
        if self.problems:
            raise InvalidFieldsError(self.problems)


def is_code(text: object) -> bool:
    """Tell whether a text can be the code of a participant or the name of a visit."""
    from pallor.cohort.table_columns import is_missing

    return (
        isinstance(text, str)
        and _CODE.fullmatch(text) is not None
        # A folder of this name would lose its point there.
        and not text.endswith(".")
        and _DEVICE.fullmatch(text) is None
        and not is_missing(text)
    )


def read_code(name: str, value: object) -> str:
    """Return a code, which is safe as the name of a folder and in any address."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18:
        value = str(value)
    text = _text(name, value)
    _not_longer(name, text, MAX_CODE)
    if not is_code(text):
        raise ProblemError(
            "characters",
            f"{name}: begin with a letter A-Z or a digit, then letters, digits, '.', '_' or '-'; "
            "no point at the end, and no name that stands for a device or for nothing, such as "
            "CON or NA",
        )
    return text


def read_line(name: str, value: object) -> str:
    """Return one line of free text, which a spreadsheet will not run."""
    text = _text(name, value)
    _not_longer(name, text, MAX_LINE)
    if not text.isprintable():
        raise ProblemError("characters", f"{name} holds characters that cannot be printed")
    formula = _FORMULA.search(text)
    if formula is not None:
        raise ProblemError(
            "characters",
            f"{name} has {formula[1]} at the beginning or after ';', which spreadsheets run as a "
            "formula: leave it out",
        )
    return text


def read_note(name: str, value: object, longest: int) -> str:
    """Return free text of several lines."""
    text = _text(name, value).replace("\r\n", "\n").replace("\r", "\n")
    _not_longer(name, text, longest)
    if not text.replace("\n", "").replace("\t", "").isprintable():
        raise ProblemError("characters", f"{name} holds characters that cannot be printed")
    return text


def read_word(name: str, value: object) -> str:
    """Return one line of at most `MAX_WORD` characters."""
    text = read_line(name, value)
    _not_longer(name, text, MAX_WORD)
    return text


def read_choice(name: str, value: object, choices: tuple[str, ...]) -> str:
    """Return one of the words that are allowed."""
    if value not in choices:
        known = ", ".join(choices)
        raise ProblemError("unknown_choice", f"{name} is one of: {known}", choices=known)
    return str(value)


def read_truth(name: str, value: object) -> bool:
    """Return True or False; a form says ``on``, ``yes`` or ``true``."""
    if isinstance(value, bool):
        return value
    word = value.lower() if isinstance(value, str) and len(value) <= MAX_WORD else ""
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ProblemError("unknown_choice", f"{name} is one of: yes, no", choices="yes, no")


def read_number(name: str, value: object) -> float:
    """Return a finite number; a text may have a decimal comma."""
    number = math.nan
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
    elif isinstance(value, str) and len(value) <= MAX_NUMBER and _NUMBER.fullmatch(value):
        if _THOUSANDS.fullmatch(value):
            raise ProblemError(
                "not_a_number", f"{name}: a comma before three digits is ambiguous: write a point"
            )
        if name == "altitude_m" and _GROUPED.fullmatch(value):
            raise ProblemError(
                "not_a_number", f"{name}: a point before three digits is ambiguous: leave it out"
            )
        number = float(value.replace(",", "."))
    if not math.isfinite(number):
        raise ProblemError("not_a_number", f"{name} is not a number")
    return number + 0.0  # no negative zero


def read_number_within(name: str, value: object) -> float:
    """Return a number within the range that cohort tables have for a column."""
    from pallor.cohort.table_columns import RANGES

    number, limits = read_number(name, value), RANGES[name]
    if not limits.low <= number <= limits.high:
        raise ProblemError(
            "range",
            f"{name} lies from {limits.low:g} to {limits.high:g} {limits.unit}: {limits.hint}",
            low=limits.low,
            high=limits.high,
            unit=limits.unit,
        )
    return number


def read_date(name: str, value: object) -> str:
    """Return a day, ISO 8601, that has come somewhere on earth."""
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        raise ProblemError("not_a_date", f"{name} is a date such as 2025-03-31")
    try:
        day = date.fromisoformat(value)
    except ValueError:
        raise ProblemError("not_a_date", f"{name}: there is no such day") from None
    if day < FIRST_DAY:
        first = FIRST_DAY.isoformat()
        raise ProblemError("range", f"{name} lies before {first}: check the year", low=first)
    # Where it is tomorrow already, the clock is 14 hours ahead.
    if day > (datetime.now(UTC) + timedelta(hours=14)).date():
        raise ProblemError("future", f"{name} has not come yet: check the date")
    return value


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise ProblemError("characters", f"{name} is a text")
    return value


def _not_longer(name: str, text: str, longest: int) -> None:
    if len(text) > longest:
        raise ProblemError(
            "too_long", f"{name} has more than {longest} characters: shorten it", most=longest
        )
