"""What is known of a person, in the words of a language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pallor.service.pages.language import Texts

PERSON_FIELDS: Final = ("sex", "age_years", "pregnancy", "altitude_m", "smoking")
PERSON_WORDS: Final = {
    "female": "person.female",
    "male": "person.male",
    "no": "person.no",
    "yes": "person.yes",
    "first trimester": "person.first_trimester",
    "second trimester": "person.second_trimester",
    "third trimester": "person.third_trimester",
    "<10": "person.below_10",
    "10-19": "person.10_to_19",
    ">=20": "person.from_20",
}
"""Words of the forms, and their texts; what came by other ways speaks for itself."""


def person_rows_of(known: Mapping[str, Any], t: Texts) -> list[tuple[str, str]]:
    """Return name and value of each of `PERSON_FIELDS`; the value is empty where not known."""
    smoking, altitude = known.get("smoking"), known.get("altitude_m")
    return [
        (t("person.sex"), word_text(known.get("sex"), t)),
        (t("study.age"), age_text(known.get("age_years"), t)),
        (t("person.pregnancy"), word_text(known.get("pregnancy"), t)),
        (t("study.altitude"), "" if altitude is None else f"{entered_number(altitude, t)} m"),
        (t("person.smoking"), t("person.smokes") if smoking == "yes" else word_text(smoking, t)),
    ]


def word_text(word: str | None, t: Texts) -> str:
    """Say a word of the forms; what came by other ways speaks for itself."""
    if word is None:
        return ""
    return t(PERSON_WORDS[word]) if word in PERSON_WORDS else word


def age_text(years: float | None, t: Texts) -> str:
    """Say an age; empty where it is not known."""
    return "" if years is None else t("study.years", years=entered_number(years, t))


def entered_number(value: float, t: Texts) -> str:
    """Write a number with as many digits as it was entered with."""
    digits = len(f"{value:.10g}".partition(".")[2])
    return t.number(value, digits)
