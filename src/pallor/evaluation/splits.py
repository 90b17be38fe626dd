"""The outer split: which rows are held out together, and the proof that none leak.

Rows that share a participant or a content are one component, and a component is never
divided between training and test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from pallor.errors import FeatureTableError, UsageError

if TYPE_CHECKING:
    import pandas as pd

IntArray = NDArray[np.intp]

PROTOCOLS: Final = ("nested", "quick", "holdout", "group", "fold")
GROUPS: Final = ("site", "camera", "session")
MIN_COMPONENTS: Final = 6
"""Fewer independent participants than this cannot be split into anything that means something."""
HELD_OUT_SHARE: Final = 0.2
_MIN_TRAINED: Final = 2
_QUINTILES: Final = 5
_FEW_TESTED: Final = 100


@dataclass(frozen=True)
class Split:
    """One division of the rows into training and test.

    Attributes
    ----------
    repeat
        Number of the repeat, from 0. Within a repeat every row is tested exactly once, but
        under ``holdout``, where a repeat is one seed and tests a fifth of the components.
    fold
        Number of the fold within the repeat, from 0.
    label
        What is held out: a fold number, or the name of the group.
    train, test
        Row positions.
    """

    repeat: int
    fold: int
    label: str
    train: IntArray
    test: IntArray


@dataclass(frozen=True)
class Plan:
    """All divisions of an evaluation.

    Attributes
    ----------
    protocol
        ``nested``, ``quick``, ``holdout``, ``group`` or ``fold``.
    folds, repeats
        How many of each were made.
    group
        Column whose values are held out in turn; None unless the protocol is ``group``.
    splits
        In order of repeat and fold.
    notes
        What a reader must know about how they came about.
    """

    protocol: str
    folds: int
    repeats: int
    group: str | None
    splits: tuple[Split, ...]
    notes: tuple[str, ...] = ()


def inner_groups(plan: Plan, components: NDArray[np.integer]) -> NDArray[np.integer]:
    """Return what the folds inside a training part must keep together.

    A model that is to serve a site (camera, session) that it has never seen is tuned and
    weighed on sites held out from it: where whole groups are held out outside, the inner
    folds hold out whole groups, too. Elsewhere, and where fewer than three groups remain
    for training, they keep components together.

    Parameters
    ----------
    plan
        The outer splits.
    components
        Component of each row, ``(rows,)``.

    Returns
    -------
    ndarray
        A number for each row, ``(rows,)``; rows of one component have the same.
    """
    if plan.protocol != "group" or len(plan.splits) < 4:
        return components
    groups = np.empty_like(components)
    for number, split in enumerate(plan.splits):
        groups[split.test] = number
    return groups


def assert_disjoint(train: IntArray, test: IntArray, components: NDArray[np.integer]) -> None:
    """Stop unless training and test are both filled and share neither row nor component.

    Parameters
    ----------
    train, test
        Row positions.
    components
        Component of every row, ``(rows,)``.

    Raises
    ------
    AssertionError
        If anything is shared, or if a side is empty. It marks a fault of the program, not
        of the input, and is raised under ``python -O`` as well.
    """
    if len(train) == 0 or len(test) == 0:
        raise AssertionError("training or test part of a split is empty")
    if np.intersect1d(train, test).size:
        raise AssertionError("training and test part of a split share rows")
    shared = np.intersect1d(components[train], components[test])
    if shared.size:
        raise AssertionError(
            f"training and test part of a split share {shared.size} participants or contents"
        )


def assert_each_once(splits: Sequence[Split], rows: int) -> None:
    """Stop unless every repeat tests every row exactly once.

    Raises
    ------
    AssertionError
        If a row is tested twice or never.
    """
    for repeat in {split.repeat for split in splits}:
        tested = np.concatenate([split.test for split in splits if split.repeat == repeat])
        if not np.array_equal(np.sort(tested), np.arange(rows)):
            raise AssertionError(f"repeat {repeat} does not test every row exactly once")


def _require_participants(count: int) -> None:
    if count < MIN_COMPONENTS:
        raise FeatureTableError(
            f"the table holds {count} independent participants with hemoglobin; at least"
            f" {MIN_COMPONENTS} are needed to hold some out, and about 100 to learn anything:"
            " add labeled participants"
        )


def _held_out_by(
    components: NDArray[np.integer], labels: NDArray[np.object_], column: str
) -> tuple[list[Split], list[str]]:
    from pallor.cohort.folds import leave_group_out

    try:
        pairs = leave_group_out(components, labels)
    except FeatureTableError as error:
        raise FeatureTableError(
            f"{column} cannot be held out: {error} (a participant with clips in several goes to"
            " the one with most of them); use the nested protocol instead"
        ) from error
    splits, moved = [], 0
    for fold, (train, test) in enumerate(pairs):
        names, counts = np.unique(labels[test].astype(str), return_counts=True)
        name = str(names[np.argmax(counts)])
        moved += int(counts.sum() - counts.max())
        splits.append(Split(0, fold, name, np.asarray(train), np.asarray(test)))
    notes = (
        [
            f"{moved} clips were held out with the {column} of most clips of their participant"
            " or of their copies, not with their own."
        ]
        if moved
        else []
    )
    return splits, notes


def _labels(table: pd.DataFrame, column: str) -> NDArray[np.object_]:
    if column not in table.columns or table[column].isna().all():
        raise FeatureTableError(f"the table has no {column}: add that column, or use nested")
    absent = int(table[column].isna().sum())
    if absent:
        raise FeatureTableError(
            f"{absent} clips have no {column}: fill the column in, or leave these rows out"
        )
    return np.asarray(table[column].astype(str).to_numpy(dtype=object))


def _repeated(
    table: pd.DataFrame,
    components: NDArray[np.integer],
    protocol: str,
    seed: int,
    folds: int,
    repeats: int,
) -> Plan:
    from pallor.cohort.folds import grouped_folds

    independent = len(np.unique(components))
    possible = min(folds, independent // 2)
    notes = []
    if possible < folds:
        notes.append(f"{possible} folds instead of {folds}: only {independent} participants.")
    outcome = table["hemoglobin_g_dl"].to_numpy(dtype=np.float64)
    splits = [
        Split(repeat, fold, str(fold), np.asarray(train), np.asarray(test))
        for repeat in range(repeats)
        for fold, (train, test) in enumerate(
            grouped_folds(components, outcome, possible, seed + repeat)
        )
    ]
    return Plan(protocol, possible, repeats, None, tuple(splits), tuple(notes))


def _held_out_by_seed(
    table: pd.DataFrame, components: NDArray[np.integer], seed: int, repeats: int
) -> Plan:
    """Hold out every fifth component, ``repeats`` times.

    Components are sorted by sex and quintile of hemoglobin, within these at random, and every
    fifth is taken from a random start: each stratum gives its fifth up to rounding.
    """
    numbers, first = np.unique(components, return_index=True)
    outcome = table["hemoglobin_g_dl"].to_numpy(dtype=np.float64)
    mean = np.array([outcome[components == number].mean() for number in numbers])
    sex = table["sex"].astype(str).to_numpy()[first] if "sex" in table.columns else first * 0
    edges = np.quantile(mean, np.arange(1, _QUINTILES) / _QUINTILES)
    quintile = np.searchsorted(edges, mean, side="right")
    _, sex_code = np.unique(sex, return_inverse=True)
    every = round(1.0 / HELD_OUT_SHARE)
    splits = []
    for repeat in range(repeats):
        rng = np.random.default_rng([seed, repeat])
        order = np.lexsort((rng.random(len(numbers)), quintile, sex_code))
        tested = numbers[order[int(rng.integers(every)) :: every]]
        is_test = np.isin(components, tested)
        splits.append(
            Split(repeat, 0, f"seed {repeat}", np.flatnonzero(~is_test), np.flatnonzero(is_test))
        )
    few = round(HELD_OUT_SHARE * len(numbers))
    notes = []
    if few < _FEW_TESTED:
        notes.append(
            f"Each seed tests about {few} participants: scores of single seeds scatter widely, and"
            " resampling so few moves the intervals of R2 downward and widens those of its"
            " differences. Rest conclusions on the nested protocol."
        )
    return Plan("holdout", 1, repeats, None, tuple(splits), tuple(notes))


def make_plan(
    table: pd.DataFrame,
    components: NDArray[np.integer],
    *,
    protocol: str = "nested",
    group: str | None = None,
    seed: int = 0,
    folds: int | None = None,
    repeats: int | None = None,
) -> Plan:
    """Divide the rows, and assert that no division leaks.

    Parameters
    ----------
    table
        One row a clip, all with ``hemoglobin_g_dl``.
    components
        Component of each row.
    protocol
        ``nested``: repeated K-fold over components, stratified by outcome (5 folds, 2
        repeats by default). ``quick``: the same, 3 folds once. ``holdout``: a fifth of the
        components, stratified by sex and hemoglobin, held out with each of 100 seeds; what
        papers with a single test set do, as often as it takes to see how much the seed
        decides. ``group``: each value of a column held out in turn. ``fold``: the folds that
        the table's ``fold`` column gives.
    group
        ``site``, ``camera`` or ``session``, for ``group``.
    seed
        Repeat i uses ``seed + i``.
    folds, repeats
        Instead of the defaults of ``nested`` and ``quick``.

    Returns
    -------
    The plan; every split of it has passed ``assert_disjoint`` and every repeat, but for
    ``holdout``, ``assert_each_once``.

    Raises
    ------
    UsageError
        For a protocol or group that does not exist, or numbers that make no sense.
    FeatureTableError
        If the table lacks what the protocol needs, or participants.
    """
    if protocol not in PROTOCOLS:
        raise UsageError(f"protocol {protocol!r} is unknown; choose from {', '.join(PROTOCOLS)}")
    if (protocol == "group") != (group is not None):
        raise UsageError(
            f"protocol group needs a column to hold out ({', '.join(GROUPS)}), others none"
        )
    if group is not None and group not in GROUPS:
        raise UsageError(f"group {group!r} is unknown; choose from {', '.join(GROUPS)}")
    if (folds is not None and folds < 2) or (repeats is not None and repeats < 1):
        raise UsageError("at least 2 folds and 1 repeat are needed")
    _require_participants(len(np.unique(components)))
    column = group if protocol == "group" else "fold" if protocol == "fold" else None
    if column is not None:
        splits, notes = _held_out_by(components, _labels(table, column), column)
        plan = Plan(protocol, len(splits), 1, group, tuple(splits), tuple(notes))
    elif protocol == "holdout":
        if folds is not None:
            raise UsageError("holdout has no folds: say how many seeds with repeats")
        plan = _held_out_by_seed(table, components, seed, repeats or 100)
    else:
        standard = (3, 1) if protocol == "quick" else (5, 2)
        plan = _repeated(
            table, components, protocol, seed, folds or standard[0], repeats or standard[1]
        )
    for split in plan.splits:
        assert_disjoint(split.train, split.test, components)
        if len(np.unique(components[split.train])) < _MIN_TRAINED:
            raise FeatureTableError(
                f"without {split.label} a single participant is left to learn from: hold out"
                " something else, or use the nested protocol"
            )
    if protocol != "holdout":
        assert_each_once(plan.splits, len(table))
    return plan
