"""Which consent texts a participant can have agreed to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pallor.service.study.study import Study

NO_LANGUAGE: Final = "und"
"""ISO 639 for a language that is not known; older consents have it where none was given."""


def languages_of(study: Study, earlier: bool) -> Callable[[str], tuple[str, ...]]:
    """Return a function that gives the languages of a version of the consent text.

    Parameters
    ----------
    study
        Open.
    earlier
        Whether a text counts that is shown no more, but that participants agreed to.
    """

    def find(version: str) -> tuple[str, ...]:
        found = study.consent.languages_of(version)
        return _languages_before(study, version) if earlier and not found else found

    return find


def _languages_before(study: Study, version: str) -> tuple[str, ...]:
    from sqlalchemy import select

    from pallor.service.store.tables import ConsentRow

    # Whose language was not told may have seen no text at all.
    wanted = select(ConsentRow.language).where(
        ConsentRow.version == version, ConsentRow.language != NO_LANGUAGE
    )
    with study.store.reading() as session:
        return tuple(session.scalars(wanted.distinct().order_by(ConsentRow.language)))
