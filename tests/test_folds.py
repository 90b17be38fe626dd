from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pallor.cohort.folds import components, grouped_folds, leave_group_out
from pallor.errors import FeatureTableError


def _by_relabeling(table: pd.DataFrame) -> list[set[int]]:
    """Merge until nothing changes: slow, and nothing like a graph library."""
    label = list(range(len(table)))
    changed = True
    while changed:
        changed = False
        for a in range(len(table)):
            for b in range(len(table)):
                same = any(
                    table[c][a] == table[c][b] and bool(table[c][a])
                    for c in ("participant_id", "file_sha256", "content_sha256")
                )
                if same and label[a] != label[b]:
                    label[a] = label[b] = min(label[a], label[b])
                    changed = True
    return [{i for i, n in enumerate(label) if n == value} for value in sorted(set(label))]


_TABLES = st.lists(
    st.tuples(
        st.sampled_from("abcdef"), st.sampled_from(["", "x", "y"]), st.sampled_from(["", "u", "v"])
    ),
    min_size=1,
    max_size=12,
).map(lambda rows: pd.DataFrame(rows, columns=["participant_id", "file_sha256", "content_sha256"]))


@given(_TABLES)
@settings(deadline=None, max_examples=50)
def test_components_are_those_of_an_independent_search(table: pd.DataFrame) -> None:
    numbers = components(table)
    found = {frozenset(np.flatnonzero(numbers == n).tolist()) for n in set(numbers.tolist())}
    assert found == {frozenset(rows) for rows in _by_relabeling(table)}
    assert set(numbers.tolist()) == set(range(len(found)))


@given(_TABLES, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_component_numbers_do_not_depend_on_the_order_of_rows(table, random) -> None:
    order = list(range(len(table)))
    random.shuffle(order)
    shuffled = components(table.iloc[order].reset_index(drop=True))
    assert shuffled.tolist() == components(table)[order].tolist()


def test_missing_hashes_link_nothing() -> None:
    table = pd.DataFrame({"participant_id": ["a", "b", "c"], "content_sha256": [None, None, "x"]})
    assert components(table).tolist() == [0, 1, 2]


def test_a_missing_participant_is_refused() -> None:
    with pytest.raises(FeatureTableError, match="row 3"):
        components(pd.DataFrame({"participant_id": ["a", None]}))
    with pytest.raises(FeatureTableError, match="participant_id"):
        components(pd.DataFrame({"clip": ["a"]}))


@st.composite
def _cohorts(draw: st.DrawFn):
    sizes = draw(st.lists(st.integers(1, 5), min_size=4, max_size=25))
    groups = np.repeat(np.arange(len(sizes)), sizes)
    values = st.floats(5, 18)
    y = np.array(draw(st.lists(values, min_size=len(groups), max_size=len(groups))))
    splits = draw(st.integers(2, min(6, len(sizes))))
    return groups, y, splits, draw(st.integers(0, 1000))


@given(_cohorts())
@settings(deadline=None)
def test_every_row_is_tested_once_and_no_component_straddles(cohort) -> None:
    groups, y, splits, seed = cohort
    folds = grouped_folds(groups, y, splits, seed)
    assert len(folds) == splits
    assert sorted(np.concatenate([test for _, test in folds]).tolist()) == list(range(len(y)))
    sizes = [len(set(groups[test])) for _, test in folds]
    assert min(sizes) >= 1
    for train, test in folds:
        assert not set(groups[train]) & set(groups[test])
        assert sorted([*train, *test]) == list(range(len(y)))


@given(_cohorts(), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_folds_do_not_depend_on_the_order_of_rows(cohort, random) -> None:
    groups, y, splits, seed = cohort
    order = list(range(len(y)))
    random.shuffle(order)
    plain = grouped_folds(groups, y, splits, seed)
    shuffled = grouped_folds(groups[order], y[order], splits, seed)
    for (_, test), (_, other) in zip(plain, shuffled, strict=True):
        assert set(groups[test]) == set(groups[order][other])


def test_the_seed_decides() -> None:
    groups, y = np.arange(40), np.linspace(8, 17, 40)
    first, again, other = (grouped_folds(groups, y, 5, seed) for seed in (0, 0, 1))
    assert all((a[1] == b[1]).all() for a, b in zip(first, again, strict=True))
    assert any(set(a[1]) != set(b[1]) for a, b in zip(first, other, strict=True))


def test_folds_share_the_distribution_of_the_outcome() -> None:
    rng = np.random.default_rng(3)
    y = rng.normal(13, 1.5, 100)
    spread = {}
    for name, folds in {
        "stratified": [f for s in range(10) for f in grouped_folds(np.arange(100), y, 5, s)],
        "random": [(None, rng.permutation(100)[:20]) for _ in range(50)],
    }.items():
        spread[name] = np.std([y[test].mean() for _, test in folds])
    assert spread["stratified"] < 0.5 * spread["random"]


def test_wrong_requests_are_refused_with_advice() -> None:
    with pytest.raises(FeatureTableError, match="use fewer folds"):
        grouped_folds([0, 0, 1], [1.0, 2.0, 3.0], 3, 0)
    with pytest.raises(ValueError, match="not finite"):
        grouped_folds([0, 1], [1.0, np.nan], 2, 0)
    with pytest.raises(ValueError, match="length"):
        grouped_folds([0, 1], [1.0], 2, 0)
    with pytest.raises(ValueError, match="at least 2"):
        grouped_folds([0, 1], [1.0, 2.0], 1, 0)


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from("abc")), min_size=2, max_size=25))
def test_leaving_out_a_label_keeps_components_whole(rows) -> None:
    groups = np.array([group for group, _ in rows])
    labels = [label for _, label in rows]
    try:
        folds = leave_group_out(groups, labels)
    except FeatureTableError:
        homes = {
            min(
                set(own := [n for g, n in rows if g == group]),
                key=lambda n: (-own.count(n), n),
            )
            for group in set(groups)
        }
        assert len(homes) < 2
        return
    assert sorted(np.concatenate([test for _, test in folds]).tolist()) == list(range(len(rows)))
    for train, test in folds:
        assert not set(groups[train]) & set(groups[test])


def test_a_component_goes_where_most_of_its_rows_are_and_ties_to_the_alphabet() -> None:
    folds = leave_group_out([0, 0, 0, 1, 1, 2], ["b", "b", "a", "b", "a", "b"])
    assert [test.tolist() for _, test in folds] == [[3, 4], [0, 1, 2, 5]]


def test_labels_must_be_there_and_differ() -> None:
    with pytest.raises(FeatureTableError, match="at least 2"):
        leave_group_out([0, 1], ["a", "a"])
    with pytest.raises(FeatureTableError, match="1 of 2 rows"):
        leave_group_out([0, 1], ["a", np.nan])
