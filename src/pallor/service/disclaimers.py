"""The sentences that every answer carries."""

from __future__ import annotations

from typing import Final

RESEARCH_ONLY_SHORT: Final = "Research use only. Not a medical device."
"""Always in sight on a page."""

RESEARCH_ONLY: Final = (
    f"{RESEARCH_ONLY_SHORT[:-1]}; not for diagnosis, treatment or transfusion decisions. "
    "Estimates may be dominated by sex, skin tone, lighting and camera. Confirm by venous blood "
    "count."
)
"""With every estimate."""

SIMULATED: Final = (
    "SIMULATED: the model was trained on rendered clips, or the clip itself was rendered; no "
    "figure here says anything about a person."
)
"""With every estimate that simulated clips touched."""


def disclaimers(simulated: bool) -> tuple[str, ...]:
    """Return what an answer has to say, the most important first.

    Parameters
    ----------
    simulated
        Whether simulated clips touched the answer.
    """
    return (SIMULATED, RESEARCH_ONLY) if simulated else (RESEARCH_ONLY,)
