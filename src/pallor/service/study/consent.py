"""The text that participants agree to, in the languages of the study."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from pallor.errors import UsageError

TEMPLATES: Final = Path(__file__).parent / "consent"
MAX_TEXT: Final = 20_000
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})?", re.ASCII)


@dataclass(frozen=True)
class ConsentText:
    """What is shown before anybody takes part.

    Attributes
    ----------
    version
        Of the text: another text has another one.
    text
        Paragraphs, with an empty line between them.
    """

    version: str
    text: str


@dataclass(frozen=True)
class ConsentTexts:
    """The text in every language that the study has it in.

    Attributes
    ----------
    texts
        Language, such as ``en``, to text.
    """

    texts: Mapping[str, ConsentText]

    @classmethod
    def read(cls, folder: Path | None = None) -> ConsentTexts:
        """Read the files ``LANGUAGE.txt`` of a folder.

        Parameters
        ----------
        folder
            The templates of pallor by default.

        Raises
        ------
        UsageError
            If there is none, or one is no text, empty, or too long.
        """
        where = TEMPLATES if folder is None else folder
        try:
            paths = sorted(path for path in where.glob("*.txt") if _LANGUAGE.fullmatch(path.stem))
            texts = {path.stem: _read(path) for path in paths}
        except OSError as error:
            raise UsageError(
                f"{where}: the consent texts cannot be read: {error.strerror or error}"
            ) from error
        if not texts:
            raise UsageError(f"{where}: there is no consent text: name them en.txt, tr.txt, ...")
        return cls(MappingProxyType(texts))

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages that there is a text in."""
        return tuple(self.texts)

    def languages_of(self, version: str) -> tuple[str, ...]:
        """Return the languages that there is a text of this version in."""
        return tuple(name for name, text in self.texts.items() if text.version == version)

    def in_language(self, language: str) -> tuple[str, ConsentText]:
        """Return the text in a language and that language; else in English, else the first."""
        for wanted in (language, language.partition("-")[0], "en"):
            if wanted in self.texts:
                return wanted, self.texts[wanted]
        first = self.languages[0]
        return first, self.texts[first]


def _read(path: Path) -> ConsentText:
    try:
        text = path.read_text(encoding="utf-8-sig").strip()
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not UTF-8 text: save it as UTF-8") from None
    if not text:
        raise UsageError(f"{path}: the consent text is empty")
    if len(text) > MAX_TEXT:
        raise UsageError(f"{path}: the consent text has more than {MAX_TEXT} characters")
    if "\x00" in text:
        raise UsageError(f"{path}: not a text: it holds NUL characters")
    # The version is one of the words, not of how the file ends its lines: reading changes those.
    return ConsentText(hashlib.sha256(text.encode()).hexdigest()[:12], text)
