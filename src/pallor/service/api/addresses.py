"""Addresses of what belongs to a participant, for ``Location``."""

from __future__ import annotations

from urllib.parse import quote


def participant_address(code: str, *more: object) -> str:
    """Return the address of a participant, or of what is below it.

    Parameters
    ----------
    code
        Of the participant.
    more
        Further parts of the path.
    """
    return "/".join(["/v1/participants", *(quote(str(part), safe="") for part in (code, *more))])
