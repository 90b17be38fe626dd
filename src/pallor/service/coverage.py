"""Which coverages an interval may have, and which let it say something about a person."""

from __future__ import annotations

from typing import Final

LEAST: Final = 0.5
"""The interval of a smaller coverage misses more often than it holds."""

LEAST_TO_JUDGE: Final = 0.8
"""An interval can be made as short as one likes by asking for less; that it then lies on one side
of a limit says nothing about the person."""


def judges(coverage: float | None) -> bool:
    """Whether the groups of an interval's ends may be told, as those of the person."""
    return coverage is not None and coverage >= LEAST_TO_JUDGE
