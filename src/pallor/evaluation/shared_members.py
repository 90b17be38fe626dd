"""Every model of the table from the same members, each fitted once.

The models of an evaluation differ in which members they join: color alone, color and pulse,
all, under each regressor. A member (one learner on one modality, with or without sex and age
taken out) is the same in all of them, so a training part fits it once and every model is joined
from what it says. The outcome is that of `pallor.models.fusion.FusedRegressor` fitted to the
same rows in the same order; a test holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from pallor.cohort.folds import in_order_of_appearance
from pallor.evaluation.member_effects import MemberEffects, effects_of
from pallor.evaluation.places import Group
from pallor.evaluation.splits import Split, assert_disjoint
from pallor.models.joining import best_candidates, join_members
from pallor.models.members import bounds_of, fit_members, grids_of, out_of_fold, predict_member
from pallor.models.meta import Fold
from pallor.models.offset import fit_offset, offset_of, without_gaps
from pallor.models.preprocessing import varying_columns, without_demographics
from pallor.models.regressors import LEARNERS

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

INNER_SPLITS: Final = 5


@dataclass(frozen=True)
class Source:
    """What members are fitted to: the features of one modality.

    Attributes
    ----------
    name
        Of the modality.
    features
        ``(rows, columns)``, NaN where undefined.
    core
        Positions of its core columns.
    columns
        Their names, in order.
    """

    name: str
    features: Floats
    core: NDArray[np.intp]
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part:
    """One training part and what is tested on it.

    Attributes
    ----------
    train, test
        Row positions; ``train`` in an order that the order of the table does not decide.
    folds
        Inner folds, positions within ``train``.
    people
        Whose each training row is, ``(train,)``.
    seed
        Of the learners.
    """

    train: NDArray[np.intp]
    test: NDArray[np.intp]
    folds: tuple[Fold, ...]
    people: NDArray[np.intp]
    seed: int


@dataclass(frozen=True)
class Said:
    """What the members of one modality say.

    Attributes
    ----------
    tried
        Learner to out-of-fold deviations of every candidate on the training part,
        ``(train, candidates)``, g/dL.
    tested
        Learner to deviations on the test part of the candidate that all training rows would
        take, fitted to all of them, ``(test,)``, g/dL.
    effects
        What becomes of ``tested`` when features are swapped between people; None where nothing
        is to be explained.
    """

    tried: dict[str, Floats]
    tested: dict[str, Floats]
    effects: MemberEffects | None = None


@dataclass(frozen=True)
class Swaps:
    """What is swapped between held-out people to explain a model.

    Attributes
    ----------
    groups
        Sets of features that are swapped together.
    donors
        From which test row each test row gets them, ``(rounds, test)``.
    """

    groups: tuple[Group, ...]
    donors: NDArray[np.intp]


def row_digests(table: Floats) -> list[bytes]:
    """Hash each row of ``(rows, columns)``; rows are ordered by it."""
    import hashlib

    return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in table]


def make_part(
    split: Split,
    digests: list[bytes],
    outcome: Floats,
    components: NDArray[np.integer],
    inner_groups: NDArray[np.integer],
    seed: int,
) -> Part:
    """Order the training rows and divide them into inner folds.

    Parameters
    ----------
    split
        The outer split.
    digests
        `row_digests` of all rows.
    outcome
        g/dL, ``(rows,)``.
    components
        What must not straddle the split, ``(rows,)``.
    inner_groups
        What must not straddle an inner fold, ``(rows,)``.
    seed
        Of folds and learners.

    Raises
    ------
    AssertionError
        If training and test share a component.
    """
    from pallor.cohort.folds import grouped_folds

    assert_disjoint(split.train, split.test, components)
    train = np.asarray(sorted(split.train.tolist(), key=digests.__getitem__), dtype=np.intp)
    groups = in_order_of_appearance(inner_groups[train])
    splits = min(INNER_SPLITS, len(np.unique(groups)))
    folds = grouped_folds(groups, outcome[train], splits, seed)
    people = in_order_of_appearance(components[train])
    return Part(train, split.test, tuple(folds), people, seed)


def members_say(
    source: Source,
    demographics: Floats | None,
    outcome: Floats,
    part: Part,
    learners: tuple[str, ...],
    quick: bool,
    swaps: Swaps | None = None,
) -> Said:
    """Fit the members of one modality to one training part, and let them speak of the rest.

    Parameters
    ----------
    source
        The modality.
    demographics
        ``(rows, d)``, to be taken out of features and outcome; None to leave both.
    outcome
        g/dL, ``(rows,)``.
    part
        Training and test.
    learners
        Names in `pallor.models.regressors.LEARNERS`.
    quick
        As in `pallor.models.fusion.FusedRegressor`.
    swaps
        For `Said.effects`; None for none.
    """
    y, values = outcome[part.train], source.features[part.train]
    if not varying_columns(values):
        return Said({}, {})
    known = None if demographics is None else demographics[part.train]
    core = varying_columns(values[:, source.core]) > 0
    grids = grids_of(learners, quick=quick, core=core)
    tried = {name: np.empty((len(y), len(grid))) for name, grid in grids.items()}
    for fold in part.folds:
        said = out_of_fold(
            values, known, y, fold, grids, part.seed, quick, source.core, part.people
        )
        for name, deviations in said.items():
            tried[name][fold[1]] = deviations

    offset = inner_offset(known, y, part.folds)
    everything = np.arange(len(y))
    best = best_candidates(tried, y - offset, everything)
    base = fit_offset(known, y, everything)
    left_over = y - offset_of(base, known, everything)
    filled = None if known is None else without_gaps(base, known)
    candidates = {name: LEARNERS[name].grid[index] for name, index in best.items()}
    members, coefficients = fit_members(
        values, filled, left_over, candidates, part.seed, quick, source.core, part.people
    )
    asked = source.features[part.test]
    if demographics is not None:
        filled = without_gaps(base, demographics[part.test])
        asked = without_demographics(asked, filled, coefficients)
    bounds = bounds_of(left_over)
    tested = {
        name: predict_member(name, member, asked, source.core, bounds)
        for name, member in members.items()
    }
    effects = None
    if swaps is not None:
        effects = effects_of(
            source.name, source.columns, asked, members, source.core, bounds,
            swaps.groups, swaps.donors,
        )  # fmt: skip
    return Said(tried, tested, effects)


def inner_offset(demographics: Floats | None, y: Floats, folds: Iterable[Fold]) -> Floats:
    """Return what the mean, or sex and age, say of each training row without its fold, g/dL."""
    offset = np.empty_like(y)
    for train, test in folds:
        base = fit_offset(demographics, y, train)
        offset[test] = offset_of(base, demographics, test)
    return offset


@dataclass(frozen=True)
class Estimated:
    """What one model makes of one part.

    Attributes
    ----------
    predicted
        g/dL, ``(test,)``.
    offset
        What of it no member says, g/dL, ``(test,)``.
    residuals
        Outcome less the model's own out-of-fold prediction on the training part, g/dL,
        ``(train,)`` in the order of ``Part.train``.
    weights
        Member to weight.
    """

    predicted: Floats
    offset: Floats
    residuals: Floats
    weights: dict[str, float]


def estimate(
    said: Mapping[str, Said],
    learners: tuple[str, ...],
    demographics: Floats | None,
    outcome: Floats,
    part: Part,
) -> Estimated:
    """Join members to one model and predict the test part.

    Parameters
    ----------
    said
        Modality to what its members say; those that the model joins, in its order.
    learners
        Which of them it joins.
    demographics
        ``(rows, d)`` where sex and age come first; None for the mean.
    outcome
        g/dL, ``(rows,)``.
    part
        Training and test.
    """
    y = outcome[part.train]
    known = None if demographics is None else demographics[part.train]
    tried = {
        f"{modality}/{learner}": one.tried[learner]
        for modality, one in said.items()
        for learner in learners
        if learner in one.tried
    }
    tested = {
        f"{modality}/{learner}": values
        for modality, one in said.items()
        for learner, values in one.tested.items()
    }
    offset = inner_offset(known, y, part.folds)
    joined = join_members(tried, y - offset, part.folds, trust_one=demographics is None)
    everything = np.arange(len(y))
    base = fit_offset(known, y, everything)
    start = joined.intercept + offset_of(
        base, None if demographics is None else demographics[part.test], np.arange(len(part.test))
    )
    predicted = start
    weights = dict(zip(tried, joined.weights.tolist(), strict=True))
    for name, weight in weights.items():
        if weight > 0.0:
            predicted = predicted + weight * tested[name]
    return Estimated(predicted, start, y - offset - joined.deviation, weights)


def sources_of(features: pd.DataFrame, modalities: Iterable[str]) -> dict[str, Source]:
    """Gather the features of each modality."""
    from pallor.models.core import core_columns
    from pallor.models.preprocessing import columns_of, matrix

    sources = {}
    for name in modalities:
        columns = columns_of(list(features.columns), name)
        values = matrix(features, columns)
        sources[name] = Source(name, values, core_columns(name, columns), tuple(columns))
    return sources
