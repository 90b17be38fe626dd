"""Who may change places with whom under a null hypothesis within strata, and the exchanges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pallor.evaluation.groupings import UNKNOWN, Labels

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]


def exchange_groups(participant: IntArray, strata: Labels) -> list[IntArray]:
    """Find who may be exchanged with whom.

    Participants change places as wholes, with all their units in order, so what is alike
    within a person stays together. That needs equal numbers of units: only participants of the
    same stratum with the same number are exchanged. (Means over each person would lift that
    restriction, but would be another score than the one that is reported.)

    Parameters
    ----------
    participant
        Index of each unit's participant, ``(units,)``.
    strata
        Label of each unit, ``(units,)``. ``unknown`` is no stratum: it holds both sexes, and
        exchanging among them would break the link through sex as well.

    Returns
    -------
    For each group of two participants or more the positions of their units, ``(participants,
    units of each)``. A participant whose units have different labels is in none.
    """
    members: dict[tuple[str, int], list[IntArray]] = {}
    for person in np.unique(participant):
        positions = np.flatnonzero(participant == person)
        labels = set(strata[positions].tolist())
        if len(labels) == 1 and (label := str(labels.pop())) != UNKNOWN:
            members.setdefault((label, len(positions)), []).append(positions)
    return [np.stack(group) for group in members.values() if len(group) > 1]


def permute(
    values: FloatArray, groups: list[IntArray], rng: np.random.Generator, times: int
) -> FloatArray:
    """Exchange the values of participants within their groups, ``(times, units)``."""
    permuted = np.tile(values, (times, 1))
    for positions in groups:
        order = rng.permuted(np.tile(np.arange(len(positions)), (times, 1)), axis=1)
        permuted[:, positions] = values[positions][order]
    return permuted
