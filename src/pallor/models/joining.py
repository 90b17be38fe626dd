"""Joining the members of a fused model: one candidate a member, one weight a member.

What members say of rows that they have not seen is all that is needed here, so that many
models over the same members (each modality alone, pairs, all) are joined without fitting a
member twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pallor.models.meta import Fold, tune_sum

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Joined:
    """Members joined to one model.

    Attributes
    ----------
    best
        Which candidate each member took.
    weights
        One a member, ``(members,)``, never negative.
    intercept
        Added to the weighted sum, g/dL.
    members
        Out-of-fold deviations of the chosen candidates in g/dL, ``(rows, members)``.
    deviation
        Out-of-fold deviation of the joined model in g/dL, ``(rows,)``. Candidates and weights
        behind each row were chosen without its fold.
    """

    best: dict[str, int]
    weights: Floats
    intercept: float
    members: Floats
    deviation: Floats


def join_members(
    tried: Mapping[str, Floats], left_over: Floats, folds: Sequence[Fold], *, trust_one: bool
) -> Joined:
    """Choose candidates and weights.

    Parameters
    ----------
    tried
        Member to its out-of-fold deviations, ``(rows, candidates)``, g/dL.
    left_over
        Outcome less the offset, ``(rows,)``, g/dL.
    folds
        ``(train, test)`` positions behind these deviations.
    trust_one
        A single member counts in full, unweighed: the plain regressor on one modality.
    """
    everything = np.arange(len(left_over))
    deviation = np.empty_like(left_over)
    for position, (_, test) in enumerate(folds):
        rest = np.setdiff1d(everything, test)
        members = _chosen(tried, best_candidates(tried, left_over, rest), len(left_over))
        others = [fold for i, fold in enumerate(folds) if i != position]
        weights, intercept = _weigh(members, left_over, rest, others, trust_one)
        deviation[test] = intercept + members[test] @ weights
    best = best_candidates(tried, left_over, everything)
    members = _chosen(tried, best, len(left_over))
    weights, intercept = _weigh(members, left_over, everything, folds, trust_one)
    return Joined(best, weights, intercept, members, deviation)


def best_candidates(
    tried: Mapping[str, Floats], left_over: Floats, rows: NDArray[np.intp]
) -> dict[str, int]:
    """Return for each member the candidate of the smallest mean squared error on some rows."""
    return {
        name: int(np.argmin(np.square(values[rows] - left_over[rows, None]).mean(axis=0)))
        for name, values in tried.items()
    }


def _chosen(tried: Mapping[str, Floats], best: Mapping[str, int], rows: int) -> Floats:
    columns = [values[:, best[name]] for name, values in tried.items()]
    return np.column_stack(columns) if columns else np.zeros((rows, 0))


def _weigh(
    members: Floats,
    left_over: Floats,
    rows: NDArray[np.intp],
    folds: Sequence[Fold],
    trust_one: bool,
) -> tuple[Floats, float]:
    if members.shape[1] == 0:
        return np.zeros(0), 0.0
    if members.shape[1] == 1 and trust_one:
        return np.ones(1), 0.0
    within = [
        (np.searchsorted(rows, np.setdiff1d(rows, test)), np.searchsorted(rows, test))
        for _, test in ((a, np.sort(b)) for a, b in folds)
    ]
    if len(within) < 2:
        return np.zeros(members.shape[1]), 0.0
    joined = tune_sum(members[rows], left_over[rows], within)
    return joined.weights, joined.intercept
