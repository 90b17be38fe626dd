"""What must stay together, and folds that keep it together.

The unit that is dealt out is the component: everything that one participant recorded, and
everyone who shares a file's content with that participant. No component is ever split.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pallor.errors import FeatureTableError

if TYPE_CHECKING:
    import pandas as pd

Folds = list[tuple[NDArray[np.intp], NDArray[np.intp]]]
"""Train and test row positions of each fold, both in ascending order."""

CONTENT_COLUMNS = ("file_sha256", "content_sha256")
"""Columns by which rows of different participants may turn out to be the same clip."""

_MAX_BINS = 5


def components(table: pd.DataFrame) -> NDArray[np.intp]:
    """Find the groups of rows that belong together, and number them.

    Parameters
    ----------
    table
        One row a clip, with ``participant_id`` and, where known, the `CONTENT_COLUMNS`. A
        missing or empty hash links nothing.

    Returns
    -------
    ndarray of int, (rows,)
        Connected components over participant and content, numbered 0, 1, ... in the order of
        their smallest ``participant_id``: the numbers do not depend on the order of rows.

    Raises
    ------
    FeatureTableError
        If there is no ``participant_id``, or one is missing.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if "participant_id" not in table.columns:
        raise FeatureTableError("the table has no column participant_id")
    people = [_key(value) for value in table["participant_id"].tolist()]
    if None in people:
        raise FeatureTableError(f"row {people.index(None) + 2}: participant_id is missing")
    if not people:
        return np.empty(0, dtype=np.intp)
    # Rows are linked to nodes that stand for a participant or a content.
    nodes: dict[tuple[str, str], int] = {}
    links: list[tuple[int, int]] = []
    for column in ("participant_id", *CONTENT_COLUMNS):
        if column not in table.columns:
            continue
        for row, value in enumerate(table[column].tolist()):
            key = _key(value)
            if key is not None:
                node = nodes.setdefault((column, key), len(people) + len(nodes))
                links.append((row, node))
    ends = np.asarray(links, dtype=np.intp)
    size = len(people) + len(nodes)
    graph = coo_array((np.ones(len(ends), dtype=np.int8), (ends[:, 0], ends[:, 1])), (size, size))
    _, found = connected_components(graph, directed=False)
    smallest: dict[int, str] = {}
    for component, person in zip(found[: len(people)].tolist(), people, strict=True):
        smallest[component] = min(smallest.get(component, str(person)), str(person))
    number = {
        component: i for i, component in enumerate(sorted(smallest, key=smallest.__getitem__))
    }
    return np.array([number[component] for component in found[: len(people)].tolist()], np.intp)


def grouped_folds(components: ArrayLike, y: ArrayLike, n_splits: int, seed: int) -> Folds:
    """Deal components into folds of like size and like distribution of the outcome.

    Parameters
    ----------
    components
        Component of each row, ``(rows,)``, such as `components` numbers them.
    y
        Outcome of each row, ``(rows,)``. A component counts with its mean.
    n_splits
        Number of folds, at least 2.
    seed
        The same components, outcomes and seed give the same folds; the order of rows does
        not matter.

    Returns
    -------
    list of (train, test)
        Every row is in exactly one test part, and every component on one side.

    Raises
    ------
    FeatureTableError
        If there are fewer components than folds.
    ValueError
        If lengths differ, an outcome is not finite, or ``n_splits`` is below 2.

    Notes
    -----
    Components are cut into at most five quantile bins of the outcome, each of at least
    ``n_splits`` components, and the folds are stratified by bin. They are balanced in
    components rather than in rows, since the participant is the unit of analysis.
    """
    from sklearn.model_selection import StratifiedKFold

    groups = np.asarray(components)
    outcome = np.asarray(y, dtype=np.float64)
    if groups.ndim != 1 or outcome.shape != groups.shape:
        raise ValueError(f"components {groups.shape} and y {outcome.shape} differ in length")
    if not np.isfinite(outcome).all():
        raise ValueError("y has values that are not finite; leave out rows without outcome first")
    if n_splits < 2:
        raise ValueError(f"n_splits is {n_splits}; at least 2 are needed")
    names, position, rows = np.unique(groups, return_inverse=True, return_counts=True)
    if len(names) < n_splits:
        raise FeatureTableError(
            f"{n_splits} folds need at least {n_splits} independent participants, there are "
            f"{len(names)}: use fewer folds or more participants"
        )
    # Summed in the order of values, so that rounding is the same for every order of rows.
    order = np.lexsort((outcome, position))
    total = np.bincount(position[order], weights=outcome[order])
    bins = _quantile_bins(total / rows, max(1, min(_MAX_BINS, len(names) // n_splits)))
    dealer = StratifiedKFold(n_splits, shuffle=True, random_state=seed)
    folds: Folds = []
    for _, chosen in dealer.split(np.zeros((len(names), 1)), bins):
        tested = np.isin(position, chosen)
        folds.append((np.flatnonzero(~tested), np.flatnonzero(tested)))
    return folds


def in_order_of_appearance(labels: NDArray[Any]) -> NDArray[np.intp]:
    """Return labels as numbers 0, 1, ... in the order of their first occurrence, ``(rows,)``.

    What follows from the numbers then does not depend on what the labels are called.
    """
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[inverse], dtype=np.intp)


def leave_group_out(components: ArrayLike, labels: Sequence[object] | ArrayLike) -> Folds:
    """Leave out one label (site, camera, ...) at a time, keeping components whole.

    Parameters
    ----------
    components
        Component of each row, ``(rows,)``.
    labels
        Label of each row, ``(rows,)``. A component goes to the label that most of its rows
        carry; of several equally frequent ones to the first in alphabetical order.

    Returns
    -------
    list of (train, test)
        One pair a label, in alphabetical order; a label that no component goes to has none.

    Raises
    ------
    FeatureTableError
        If a label is missing, or all components go to one label.
    ValueError
        If lengths differ.
    """
    groups = np.asarray(components)
    names = [_key(label) for label in np.asarray(labels, dtype=object).tolist()]
    if len(names) != len(groups):
        raise ValueError(f"{len(groups)} components and {len(names)} labels differ in length")
    missing = names.count(None)
    if missing:
        raise FeatureTableError(
            f"{missing} of {len(names)} rows have no label to leave out: fill the column, or "
            "leave those rows out"
        )
    votes: dict[int, Counter[str]] = defaultdict(Counter)
    for group, name in zip(groups.tolist(), names, strict=True):
        votes[group][str(name)] += 1
    home = {group: min(count, key=lambda n: (-count[n], n)) for group, count in votes.items()}
    at = np.array([home[group] for group in groups.tolist()], dtype=object)
    held = sorted(set(home.values()))
    if len(held) < 2:
        raise FeatureTableError(
            f"only one group ({', '.join(held) or 'none'}) to leave out; at least 2 are needed"
        )
    return [(np.flatnonzero(at != name), np.flatnonzero(at == name)) for name in held]


def _key(value: object) -> str | None:
    """Return a cell as text, None where missing."""
    if value is None or value != value or value == "":
        return None
    return str(value)


def _quantile_bins(values: NDArray[np.float64], bins: int) -> NDArray[np.intp]:
    """Return each value's quantile bin; bins differ by one in size at most, ties by position."""
    ranks = np.empty(len(values), dtype=np.intp)
    ranks[np.argsort(values, kind="stable")] = np.arange(len(values))
    return ranks * bins // len(values)
