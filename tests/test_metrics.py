from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pallor.evaluation import metrics
from pallor.evaluation.bootstrap import (
    SCORES,
    paired_difference,
    participant_sums,
    percentile_interval,
    resample_counts,
    scores_with_intervals,
)

PAIRS = arrays(np.float64, (2, 30), elements=st.floats(3.0, 20.0, width=32))


def sums_of(measured, predicted, participant=None):
    if participant is None:
        participant = np.arange(len(measured))
    participants = int(participant.max()) + 1
    return participant_sums(measured, predicted, participant, participants)[None]


@pytest.fixture
def pairs():
    rng = np.random.default_rng(3)
    measured = rng.normal(13.5, 1.6, 150)
    return measured, 0.6 * measured + 5.5 + rng.normal(0, 0.9, 150)


def test_one_resample_equals_the_scores_of_the_drawn_people(pairs):
    y, p = pairs
    participant = np.repeat(np.arange(50), 3)
    counts = resample_counts(50, 3, seed=9)
    drawn = np.repeat(np.arange(50), counts[1])
    rows = np.concatenate([np.flatnonzero(participant == person) for person in drawn])
    totals = (counts[1].astype(float) @ sums_of(y, p, participant)[0])[None]
    assert float(SCORES["r2"](totals)[0]) == pytest.approx(metrics.r2(y[rows], p[rows]), abs=1e-12)
    assert float(SCORES["r"](totals)[0]) == pytest.approx(metrics.r(y[rows], p[rows]), abs=1e-12)


@given(PAIRS)
@settings(max_examples=60, deadline=None)
def test_scores_keep_their_bounds_and_orders(values):
    y, p = values
    assert metrics.mae(y, p) <= metrics.rmse(y, p) + 1e-9
    assert abs(metrics.bias(y, p)) <= metrics.mae(y, p) + 1e-9
    r, r2 = metrics.r(y, p), metrics.r2(y, p)
    assert math.isnan(r) or -1 <= r <= 1
    # Least squares on p cannot do worse than p itself.
    assert math.isnan(r) or r2 <= r**2 + 1e-6


def test_r2_of_their_own_mean_is_zero_and_of_a_worse_constant_negative(pairs):
    y, _ = pairs
    assert metrics.r2(y, np.full_like(y, y.mean())) == pytest.approx(0, abs=1e-12)
    assert metrics.r2(y, np.full_like(y, y.mean() + 1)) < 0


def test_what_is_undefined_is_nan():
    assert math.isnan(metrics.mae([], []))
    assert math.isnan(metrics.r([13, 14, 15], [13, 13, 13]))
    assert math.isnan(metrics.r2([13, 13, 13], [12, 13, 14]))
    flat = np.full(5, 13.1)
    scores = scores_with_intervals(sums_of(flat, flat + 0.3), resample_counts(5, 50, 0))
    assert math.isnan(scores["r2"].value)
    assert math.isnan(scores["r"].high)
    assert scores["mae"].value == pytest.approx(0.3)


def test_vectors_of_different_length_are_refused():
    with pytest.raises(ValueError, match="one length"):
        metrics.mae([1, 2, 3], [1, 2])


def test_limits_of_agreement_hold_95_percent_of_normal_differences():
    rng = np.random.default_rng(0)
    y = rng.normal(13, 1, 20_000)
    p = y + rng.normal(0.2, 0.8, y.size)
    low, high = metrics.limits_of_agreement(y, p)
    assert np.mean((p - y >= low) & (p - y <= high)) == pytest.approx(0.95, abs=0.005)
    assert (low + high) / 2 == pytest.approx(metrics.bias(y, p))


def test_every_resample_draws_as_many_people_as_there_are():
    counts = resample_counts(37, 1203, seed=1)
    assert counts.shape == (1203, 37)
    assert (counts.sum(axis=1) == 37).all()
    assert counts.mean() == pytest.approx(1)
    # A count is binomial(n, 1/n): variance 1 - 1/n.
    assert counts.var() == pytest.approx(1 - 1 / 37, abs=0.02)


def test_equal_seeds_draw_equal_resamples_and_others_differ():
    assert np.array_equal(resample_counts(20, 30, 5), resample_counts(20, 30, 5))
    assert not np.array_equal(resample_counts(20, 30, 5), resample_counts(20, 30, 6))


def test_interval_of_the_mean_error_covers_the_truth_95_times_in_100():
    # The expected |N(0, 1)| is sqrt(2 / pi); 300 cohorts of 60, standard error 1.3 points.
    rng = np.random.default_rng(11)
    truth, hits = math.sqrt(2 / math.pi), 0
    counts = resample_counts(60, 500, 0)
    for _ in range(300):
        y = rng.normal(13, 1.5, 60)
        got = scores_with_intervals(sums_of(y, y + rng.normal(0, 1, 60)), counts)["mae"]
        hits += got.low <= truth <= got.high
    assert 0.905 <= hits / 300 <= 0.985


def test_clips_of_one_person_do_not_narrow_the_interval():
    rng = np.random.default_rng(2)
    y = rng.normal(13, 1.5, 80)
    p = y + rng.normal(0, 1, 80)
    counts = resample_counts(80, 1000, 0)
    once = scores_with_intervals(sums_of(y, p), counts)["mae"]
    people = np.repeat(np.arange(80), 10)
    tenfold = scores_with_intervals(sums_of(y[people], p[people], people), counts)["mae"]
    assert tenfold.low == pytest.approx(once.low)
    assert tenfold.high == pytest.approx(once.high)


def test_paired_difference_of_a_model_with_itself_is_exactly_zero(pairs):
    sums = sums_of(*pairs)
    got = paired_difference("r2", sums, sums, resample_counts(150, 200, 0))
    assert (got.value, got.low, got.high) == (0, 0, 0)


def test_paired_difference_is_narrower_than_the_unpaired_one():
    rng = np.random.default_rng(4)
    y = rng.normal(13, 1.5, 200)
    shared = rng.normal(0, 1, 200)
    first, second = y + shared, y + shared + rng.normal(0, 0.2, 200)
    counts = resample_counts(200, 1000, 0)
    paired = paired_difference("mae", sums_of(y, second), sums_of(y, first), counts)
    alone = scores_with_intervals(sums_of(y, first), counts)["mae"]
    assert paired.high - paired.low < 0.5 * (alone.high - alone.low)


def test_repeats_are_scored_each_and_then_averaged():
    rng = np.random.default_rng(5)
    y = rng.normal(13, 1.5, 100)
    repeats = [y + rng.normal(0, 1, 100) for _ in range(4)]
    sums = np.concatenate([sums_of(y, p) for p in repeats])
    got = scores_with_intervals(sums, resample_counts(100, 100, 0))["rmse"].value
    assert got == pytest.approx(np.mean([metrics.rmse(y, p) for p in repeats]), abs=1e-12)
    # The average of the predictions would look better than any model that can be trained.
    assert got > metrics.rmse(y, np.mean(repeats, axis=0))


def test_interval_is_nan_where_too_many_resamples_are_undefined():
    assert math.isnan(percentile_interval(1.0, np.array([np.nan] * 6 + [1.0] * 94)).low)
    assert percentile_interval(1.0, np.array([np.nan] * 4 + [1.0] * 96)).low == 1.0
    assert math.isnan(percentile_interval(1.0, np.array([])).high)


def test_2000_resamples_of_600_people_take_less_than_a_fifth_of_a_second():
    rng = np.random.default_rng(0)
    y = rng.normal(13, 1.5, 600)
    sums = sums_of(y, y + rng.normal(0, 1, 600))
    times = []
    for _ in range(3):
        start = time.process_time()
        scores_with_intervals(sums, resample_counts(600, 2000, 0))
        times.append(time.process_time() - start)
    assert min(times) < 0.2
