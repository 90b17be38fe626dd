from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from pallor.evaluation.bootstrap import resample_counts
from pallor.evaluation.rank_scores import (
    rank_scores_with_intervals,
    weighted_median,
    weighted_midranks,
)

# Small whole numbers, so that ties are common.
VALUES = arrays(np.float64, 12, elements=st.integers(0, 8))
WEIGHTS = arrays(np.float64, (4, 12), elements=st.integers(0, 4))


@given(VALUES, WEIGHTS)
@settings(max_examples=200, deadline=None)
def test_weighted_median_is_the_median_of_the_repeated_values(values, weights):
    got = weighted_median(values, weights)
    for median, row in zip(got, weights, strict=True):
        repeated = np.repeat(values, row.astype(int))
        assert median == (
            np.median(repeated) if len(repeated) else pytest.approx(np.nan, nan_ok=True)
        )


@given(VALUES, WEIGHTS)
@settings(max_examples=200, deadline=None)
def test_weighted_midranks_are_the_ranks_of_the_repeated_values(values, weights):
    for ranks, row in zip(weighted_midranks(values, weights), weights, strict=True):
        times = row.astype(int)
        assert np.array_equal(
            np.repeat(ranks, times), stats.rankdata(np.repeat(values, times), method="average")
        )


def test_median_of_nothing_and_of_what_is_not_a_number_is_nan():
    assert np.isnan(weighted_median(np.empty(0), np.empty((3, 0)))).tolist() == [True] * 3
    assert np.isnan(weighted_median(np.array([1.0, np.nan]), np.ones((2, 2)))).all()


def test_a_prediction_that_is_not_a_number_leaves_no_rank_score():
    y = np.array([12.0, 13.0, 14.0])
    got = rank_scores_with_intervals(
        y, np.array([[12.0, np.nan, 14.5]]), np.arange(3), resample_counts(3, 20, 0)
    )
    assert math.isnan(got["rho"].value)
    assert math.isnan(got["median_absolute_error"].value)


def test_rank_correlation_sees_order_alone():
    rng = np.random.default_rng(1)
    y = rng.normal(13, 1.5, 90)
    p = y + rng.normal(0, 1, 90)
    people, counts = np.repeat(np.arange(45), 2), resample_counts(45, 300, 0)
    straight = rank_scores_with_intervals(y, p[None], people, counts)["rho"]
    bent = rank_scores_with_intervals(y, np.exp(p)[None], people, counts)["rho"]
    turned = rank_scores_with_intervals(y, -p[None], people, counts)["rho"]
    assert (bent.value, bent.low, bent.high) == (straight.value, straight.low, straight.high)
    assert turned.value == -straight.value
    assert turned.low == pytest.approx(-straight.high, abs=1e-12)


def test_resamples_do_not_depend_on_how_many_are_handled_at_once(monkeypatch):
    rng = np.random.default_rng(2)
    y = rng.normal(13, 1.5, 40)
    p, counts = y + rng.normal(0, 1, (3, 40)), resample_counts(40, 101, 0)
    whole = rank_scores_with_intervals(y, p, np.arange(40), counts)
    monkeypatch.setattr("pallor.evaluation.rank_scores._CELLS", 7 * 40)
    assert rank_scores_with_intervals(y, p, np.arange(40), counts) == whole


def test_without_resamples_there_are_values_and_no_ends():
    y = np.array([12.0, 13.0, 14.0, 15.0])
    got = rank_scores_with_intervals(y, y[None] + 0.4, np.arange(4), resample_counts(4, 0, 0))
    assert got["median_absolute_error"].value == pytest.approx(0.4)
    assert got["rho"].value == 1
    assert math.isnan(got["rho"].low)


def test_2000_resamples_of_600_units_take_less_than_half_a_second_a_repeat():
    rng = np.random.default_rng(0)
    y = rng.normal(13, 1.5, 600)
    p, counts = y + rng.normal(0, 1, (1, 600)), resample_counts(600, 2000, 0)
    times = []
    for _ in range(3):
        start = time.process_time()
        rank_scores_with_intervals(y, p, np.arange(600), counts)
        times.append(time.process_time() - start)
    assert min(times) < 0.5
