"""The texts of the pages in one language, and which language a browser wants."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

CATALOGS: Final = Path(__file__).parent / "texts"
DEFAULT: Final = "en"


def languages() -> tuple[str, ...]:
    """Return the languages that have a catalog, in alphabetical order."""
    return tuple(sorted(path.stem for path in CATALOGS.glob("*.json")))


@dataclass(frozen=True)
class Texts:
    """The catalog of one language.

    Attributes
    ----------
    language
        Two letters, such as ``en``.
    catalog
        Key to text; ``{name}`` in a text is a place for a value.
    """

    language: str
    catalog: Mapping[str, str]

    def __call__(self, key: str, **values: object) -> str:
        """Return a text with its places filled.

        Raises
        ------
        KeyError
            If the catalog lacks the key, or the text a value.
        """
        text = self.catalog[key]
        return text.format(**values) if values else text

    def first(self, *keys: str, otherwise: str = "") -> str:
        """Return the text of the first key that the catalog has."""
        return next((self.catalog[key] for key in keys if key in self.catalog), otherwise)

    def family(self, prefix: str) -> dict[str, str]:
        """Return the texts whose keys begin so, for scripts."""
        return {key: text for key, text in self.catalog.items() if key.startswith(prefix)}

    def number(self, value: float, digits: int = 1) -> str:
        """Write a number with the decimal sign of the language and a true minus."""
        text = f"{value:.{digits}f}".replace("-", "\u2212")
        return text.replace(".", self("format.decimal"))

    def date(self, iso: str) -> str:
        """Write a date, which comes as ISO 8601, as the language does."""
        year, month, day = iso.split("-")
        return self("format.date", year=year, month=month, day=day)

    def percent(self, share: float, digits: int = 0) -> str:
        """Write a share of one as a percentage."""
        return self("format.percent", value=self.number(100 * share, digits))


@cache
def texts(language: str) -> Texts:
    """Load the catalog of a language.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    path = CATALOGS / f"{language}.json"
    catalog: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return Texts(language, {str(key): str(text) for key, text in catalog.items()})


def choose(asked: str | None, accept_language: str | None) -> str:
    """Choose a language.

    Parameters
    ----------
    asked
        What the address asks for (``?lang=``); taken where there is a catalog for it.
    accept_language
        The header of that name (RFC 9110, section 12.5.4).

    Returns
    -------
    The asked, else the accepted language of highest weight with a catalog, else English.
    """
    known = languages()
    if asked in known:
        return str(asked)
    wanted: list[tuple[float, str]] = []
    for part in (accept_language or "")[:500].split(","):
        name, _, parameter = part.strip().partition(";")
        language = name.split("-")[0].strip().lower()
        weight = _weight(parameter)
        if language in known and weight > 0.0:
            wanted.append((weight, language))
    # max takes the first of equals, so the order of the header breaks ties.
    return max(wanted, key=lambda item: item[0])[1] if wanted else DEFAULT


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
