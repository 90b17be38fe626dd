"""What the cutoffs depend on, and the words in which tables say it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from pallor.anemia.who2024 import SMOKER_G_L, SMOKING_ADJUSTMENTS_G_L


@dataclass(frozen=True)
class Person:
    """Whom a hemoglobin belongs to; what is not known is None (a number also NaN).

    Attributes
    ----------
    sex
        ``female`` or ``male``.
    age_years
        Age, decimal or in completed years.
    pregnancy
        ``no``, ``yes``, ``first trimester``, ``second trimester``, ``third trimester``, or another
        word of ``trimesters_of``. Not known counts as not pregnant.
    altitude_m
        Altitude of residence, m. Not known counts as below 500 m.
    smoking
        ``no``, ``yes``, ``10-19``, ``12/day``, or another word of ``smoking_adjustment_g_l``. Not
        known counts as no.
    """

    sex: str | None = None
    age_years: float | None = None
    pregnancy: str | None = None
    altitude_m: float | None = None
    smoking: str | None = None


@dataclass(frozen=True)
class Unknown:
    """Why something cannot be said of a person.

    Attributes
    ----------
    code
        For counting, such as ``sex_unknown``.
    text
        What is wrong and what to do.
    """

    code: str
    text: str

    def as_dict(self) -> dict[str, str]:
        """Return ``{"code": ..., "text": ...}``."""
        return {"code": self.code, "text": self.text}


_NOT_KNOWN: Final = frozenset({"", "unknown", "unk", "?", "not known", "na", "n/a", "nan", "null"})
_NO: Final = ("no", "n", "false", "0", "none", "never")
_YES: Final = ("yes", "y", "true", "1")

_PREGNANCY: Mapping[str, frozenset[int]] = MappingProxyType(
    {
        **dict.fromkeys((*_NO, "not pregnant", "non pregnant", "nonpregnant"), frozenset[int]()),
        # A bare 1 may mean yes or the first trimester; the trimester stays open.
        **dict.fromkeys((*_YES, "pregnant"), frozenset({1, 2, 3})),
        **{
            word: frozenset({number})
            for number, name, short in (
                (1, "first", "1st"),
                (2, "second", "2nd"),
                (3, "third", "3rd"),
            )
            for word in (
                *(name, f"{name} trimester", short, f"{short} trimester"),
                *(f"trimester {number}", f"t{number}"),
            )
        },
    }
)
_SMOKING: Mapping[str, int] = MappingProxyType(
    {
        **dict.fromkeys((*_NO, "non smoker", "nonsmoker", "never smoker"), 0),
        # Who gave up has the hemoglobin of those who never smoked: Nordenberg et al., JAMA
        # 1990;264:1556. The guideline adjusts for smokers.
        **dict.fromkeys(("former", "ex", "ex smoker", "former smoker", "past", "quit"), 0),
        **dict.fromkeys((*_YES, "smoker", "current", "current smoker"), SMOKER_G_L),
    }
)
_AMOUNTS: Mapping[str, int] = MappingProxyType(
    {
        **dict.fromkeys(("<10", "1-9"), SMOKING_ADJUSTMENTS_G_L[0][1]),
        "10-19": SMOKING_ADJUSTMENTS_G_L[1][1],
        **dict.fromkeys((">=20", "≥20", "20+"), SMOKING_ADJUSTMENTS_G_L[2][1]),
    }
)
_A_DAY = re.compile(r"\s*(cig(arette)?s?)?\s*(/|per|a)\s*day", re.ASCII)
_NUMBER = re.compile(r"\d{1,3}(\.\d+)?", re.ASCII)


def _words(text: str) -> str:
    return re.sub(r"[\s_\-]+", " ", text.lower()).strip()


def is_not_known(text: str | None) -> bool:
    """Whether a cell says nothing: None, empty, ``unknown`` and the like."""
    return text is None or _words(text) in _NOT_KNOWN


def trimesters_of(pregnancy: str) -> frozenset[int] | Unknown:
    """Read a word about pregnancy.

    Parameters
    ----------
    pregnancy
        ``no``, ``false``, ``0``, ``not pregnant``; ``yes``, ``true``, ``1``, ``pregnant``;
        ``first``, ``1st trimester``, ``trimester 1``, ``T1`` and so on. Case, hyphens and
        underscores do not matter.

    Returns
    -------
    The trimesters that it can be: none, one, or (``yes``) all three. ``Unknown`` for other words;
    bare 2 and 3 are among them, because code books differ.
    """
    found = _PREGNANCY.get(_words(pregnancy))
    if found is None:
        return Unknown(
            "pregnancy_not_understood",
            f"pregnancy {pregnancy!r} is not understood: write no, first trimester, second"
            " trimester or third trimester",
        )
    return found


def smoking_adjustment_g_l(smoking: str) -> int | Unknown:
    """Read a word about smoking.

    Parameters
    ----------
    smoking
        ``no``, ``false``, ``0``, ``never``, ``non-smoker``, ``former``; ``yes``, ``true``, ``1``,
        ``smoker``, ``current``; ``<10``, ``10-19``, ``>=20``; a number of cigarettes with its unit,
        such as ``12/day`` or ``12 cigarettes per day``.

    Returns
    -------
    What the guideline adds to the cutoff, g/L. ``Unknown`` for other words; bare numbers from 2 up
    are among them, because they may be codes or cigarettes.
    """
    words = _words(smoking)
    if words in _SMOKING:
        return _SMOKING[words]
    text = re.sub(r"\s+", " ", smoking.lower()).strip()
    unit = _A_DAY.search(text)
    amount = text[: unit.start()] if unit and unit.end() == len(text) else text
    amount = amount.replace("\u2013", "-").replace(" ", "")
    if amount in _AMOUNTS:
        return _AMOUNTS[amount]
    if amount != text.replace(" ", "") and _NUMBER.fullmatch(amount):
        cigarettes = float(amount)
        if cigarettes == 0:
            return 0
        return next(added for below, added in SMOKING_ADJUSTMENTS_G_L if cigarettes < below)
    return Unknown(
        "smoking_not_understood",
        f"smoking {smoking!r} is not understood: write no, yes, or cigarettes a day such as 12/day",
    )
