"""What a cell of each known column may hold, and what it becomes."""

from __future__ import annotations

import math
import posixpath
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Literal

from pallor.cohort.address import (
    AddressError,
    check_address,
    is_address,
    protocol_of,
)
from pallor.cohort.hemoglobin_units import UNITS

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_MISSING = frozenset({"", "na", "n/a", "nan", "null"})
_SAME_STORE = MappingProxyType({"gcs": "gs", "az": "abfs"})
_SEX = MappingProxyType(
    {
        **dict.fromkeys(("female", "f", "woman", "women", "girl", "w"), "female"),
        **dict.fromkeys(("male", "m", "man", "men", "boy"), "male"),
    }
)
_TRUTH = MappingProxyType(
    {
        **dict.fromkeys(("true", "yes", "y", "1"), True),
        **dict.fromkeys(("false", "no", "n", "0"), False),
    }
)


class BadCellError(ValueError):
    """A cell that its column does not allow; the text says what to do."""


def is_missing(text: str) -> bool:
    """Whether a cell stands for "not known" (empty, NA, N/A, nan, null)."""
    return text.lower() in _MISSING


def parse_participant(text: str) -> str:
    """Return the identifier of a participant, as written ("007" stays "007").

    Raises
    ------
    BadCellError
        If it is empty or holds control characters.
    """
    if not text or text.lower() == "nan":
        raise BadCellError("participant_id is empty")
    _refuse_control(text, "participant_id")
    return text


def parse_clip(text: str) -> str:
    """Return the path of a clip with forward slashes, without ``.`` parts and doubled slashes.

    Absolute paths and ``..`` are taken as given: a table may lie beside its clips. So are
    addresses (``s3://...``, see `pallor.cohort.address`).

    Raises
    ------
    BadCellError
        If it is empty, an address that cannot be used, or holds control characters.
    """
    if not text or text.lower() == "nan":
        raise BadCellError("clip is empty")
    _refuse_control(text, "clip")
    if is_address(text):
        try:
            return check_address(text)
        except AddressError as error:
            raise BadCellError(f"clip {error}") from error
    path, previous = text, ""
    # Tidying can uncover blanks at the end ("a /"), and removing those a slash.
    while path != previous:
        previous = path
        path = PurePosixPath(path.replace("\\", "/")).as_posix().strip()
    return path


def clip_identity(path: str) -> str:
    """Return what two spellings of the same relative path, or address, have in common."""
    if is_address(path):  # object stores take a path literally, "." and "//" included
        protocol = protocol_of(path)
        return f"{_SAME_STORE.get(protocol, protocol)}://{path.partition('://')[2]}"
    return posixpath.normpath(path)


def parse_number(text: str, column: str) -> float:
    """Return a finite number.

    Raises
    ------
    BadCellError
        If the text is no decimal number with a point.
    """
    if _NUMBER.fullmatch(text):
        value = float(text)
        if math.isfinite(value):
            return value
    if re.fullmatch(r"[+-]?\d+,\d+", text):
        raise BadCellError(
            f"{column} {text!r} has a decimal comma: write {text.replace(',', '.')!r}"
        )
    raise BadCellError(f"{column} {text!r} is not a number: leave the cell empty if not known")


def parse_sex(text: str) -> str:
    """Return ``female`` or ``male``.

    Raises
    ------
    BadCellError
        For any other word; numbers are refused, because no code book is universal.
    """
    try:
        return _SEX[text.lower()]
    except KeyError:
        raise BadCellError(
            f"sex {text!r} is not known: write female or male, or leave it empty"
        ) from None


def parse_truth(text: str, column: str) -> bool:
    """Return True or False.

    Raises
    ------
    BadCellError
        For anything but true, yes, y, 1, false, no, n, 0.
    """
    try:
        return _TRUTH[text.lower()]
    except KeyError:
        raise BadCellError(f"{column} {text!r} is neither true nor false") from None


@dataclass(frozen=True)
class Range:
    """Limits of a numeric column, both included, and what to suspect beyond them."""

    low: float
    high: float
    unit: str
    hint: str = "check the value"

    def check(self, value: float, column: str) -> float:
        """Return ``value``.

        Raises
        ------
        BadCellError
            If it lies outside the limits.
        """
        if self.low <= value <= self.high:
            return value
        raise BadCellError(
            f"{column} {value:g} is outside {self.low:g} to {self.high:g} {self.unit}: {self.hint}"
        )


RANGES: Mapping[str, Range] = MappingProxyType(
    {
        "age_years": Range(0, 120, "years", "age in months is divided by 12"),
        "altitude_m": Range(-500, 6000, "m", "altitude in feet is multiplied by 0.3048"),
        "bmi": Range(5, 150, "kg/m2"),
    }
)
"""Numeric columns besides hemoglobin."""


@dataclass(frozen=True)
class ColumnRule:
    """How the cells of one known column are read.

    Attributes
    ----------
    parse
        Stripped text to value; raises `BadCellError`.
    kind
        Type of the column: ``text``, ``number`` or ``truth``.
    required
        Whether an empty cell goes to ``parse`` (and is refused) instead of being missing.
    """

    parse: Callable[[str], str | float | bool]
    kind: Literal["text", "number", "truth"]
    required: bool = False


def _number_rule(column: str) -> ColumnRule:
    return ColumnRule(lambda text: parse_number(text, column), "number")


def _range_rule(column: str, limits: Range) -> ColumnRule:
    return ColumnRule(lambda text: limits.check(parse_number(text, column), column), "number")


RULES: Mapping[str, ColumnRule] = MappingProxyType(
    {
        "participant_id": ColumnRule(parse_participant, "text", required=True),
        "clip": ColumnRule(parse_clip, "text", required=True),
        # The plausible range of hemoglobin is checked once its unit is.
        **{column: _number_rule(column) for column in UNITS},
        "reference_method": ColumnRule(str, "text"),
        "sex": ColumnRule(parse_sex, "text"),
        **{column: _range_rule(column, limits) for column, limits in RANGES.items()},
        "session": ColumnRule(str, "text"),
        "camera": ColumnRule(str, "text"),
        "site": ColumnRule(str, "text"),
        "pregnancy": ColumnRule(str, "text"),
        "smoking": ColumnRule(str, "text"),
        "fold": ColumnRule(str, "text"),
        "simulated": ColumnRule(lambda text: parse_truth(text, "simulated"), "truth"),
    }
)
"""Known column to its rule; columns without a rule are carried along."""


def _refuse_control(text: str, column: str) -> None:
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in text):
        raise BadCellError(f"{column} {text!r} holds a control character")
