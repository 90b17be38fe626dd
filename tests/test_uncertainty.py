from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from pallor.errors import FeatureTableError, ModelFileError, UsageError
from pallor.models.uncertainty import (
    ConformalIntervals,
    calibrate,
    one_residual_a_group,
    smallest_n,
)


@given(
    st.lists(st.floats(0, 10), min_size=1, max_size=60),
    st.sampled_from([0.5, 0.8, 0.9, 0.95]),
)
# No deadline: the first example pays for the import of crepes.
@settings(deadline=None)
def test_half_width_is_the_closed_form_rank(scores, coverage):
    ordered = sorted(scores)
    intervals = ConformalIntervals(tuple(ordered), coverage)
    # Exact rank, in whole numbers of twentieths.
    twentieths = round(coverage * 20)
    rank = -(-(len(scores) + 1) * twentieths // 20)
    expected = ordered[rank - 1] if rank <= len(scores) else math.inf
    assert intervals.half_width() == pytest.approx(expected, abs=1e-12)
    assert (intervals.message() is None) == (rank <= len(scores))
    assert (len(scores) >= smallest_n(coverage)) == (rank <= len(scores))


def test_nine_residuals_are_just_enough_for_ninety_percent():
    scores = tuple(float(i) for i in range(1, 10))
    assert ConformalIntervals(scores).interval(13.0) == (4.0, 22.0)
    short = ConformalIntervals(scores[:8])
    assert short.interval(13.0) == (-math.inf, math.inf)
    assert "needs 9 residuals, the model has 8" in str(short.message())
    assert smallest_n(0.9) == 9
    assert smallest_n(0.95) == 19


def test_coverage_of_exchangeable_errors_is_within_binomial_bounds_of_the_target():
    rng = np.random.default_rng(0)
    for coverage, n in ((0.9, 40), (0.8, 25)):
        trials, hits = 1500, 0
        for _ in range(trials):
            residuals = rng.standard_t(3, n + 1)
            width = calibrate(residuals[:n], np.arange(n), coverage=coverage).half_width()
            hits += bool(abs(residuals[n]) <= width)
        exact = math.ceil((n + 1) * coverage - 1e-9) / (n + 1)
        low, high = binom.interval(0.9999, trials, exact)
        assert low <= hits <= high


def test_one_clip_a_person_covers_single_clips_where_the_mean_would_not():
    rng = np.random.default_rng(1)
    hits = {"clip": 0, "mean": 0}
    trials, people, clips = 600, 39, 6
    for _ in range(trials):
        residuals = rng.normal(0, 0.4, (people + 1, 1)) + rng.normal(0, 1.0, (people + 1, clips))
        person = np.repeat(np.arange(people), clips)
        new = abs(residuals[people, 0])
        for per in ("clip", "mean"):
            intervals = calibrate(residuals[:people].ravel(), person, per=per)
            hits[per] += bool(new <= intervals.half_width())
    low, high = binom.interval(0.9999, trials, 0.9)
    assert low <= hits["clip"] <= high
    assert hits["mean"] < low


def test_means_cover_means():
    residuals = np.array([1.0, 3.0, -5.0, -1.0, 2.0])
    groups = np.array(["b", "b", "a", "a", "c"])
    assert np.array_equal(one_residual_a_group(residuals, groups, per="mean"), [-3.0, 2.0, 2.0])
    drawn = one_residual_a_group(residuals, groups, seed=4)
    assert drawn[0] in (-5.0, -1.0)
    assert drawn[1] in (1.0, 3.0)
    assert drawn[2] == 2.0
    assert np.array_equal(drawn, one_residual_a_group(residuals, groups, seed=4))


def test_difficulty_scales_the_interval():
    rng = np.random.default_rng(2)
    difficulty = rng.uniform(0.5, 2.0, 200)
    residuals = difficulty * rng.normal(size=200)
    intervals = calibrate(residuals, np.arange(200), difficulty=difficulty)
    low, high = intervals.interval(13.0, difficulty=2.0)
    assert high - 13.0 == pytest.approx(2.0 * intervals.half_width())
    assert 13.0 - low == pytest.approx(high - 13.0)
    expected = np.sort(np.abs(residuals / difficulty))[math.ceil(201 * 0.9) - 1]
    assert intervals.half_width() == pytest.approx(expected)


def test_more_coverage_is_never_narrower():
    intervals = calibrate(np.random.default_rng(3).normal(size=60), np.arange(60))
    widths = [intervals.half_width(c) for c in (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)]
    assert widths == sorted(widths)
    assert math.isinf(widths[-1])


def test_json_keeps_every_digit():
    intervals = calibrate(np.random.default_rng(4).normal(size=30), np.arange(30), coverage=0.8)
    assert ConformalIntervals.from_dict(json.loads(intervals.to_json())) == intervals


@pytest.mark.parametrize(
    "change",
    [
        {"scores": []},
        {"scores": [2.0, 1.0]},
        {"scores": [-1.0, 1.0]},
        {"scores": [float("nan")]},
        {"scores": "abc"},
        {"coverage": 1.0},
        {"coverage": None},
        {"per": "person"},
    ],
)
def test_invalid_intervals_of_a_file_are_refused(change):
    good = {"scores": [1.0, 2.0], "coverage": 0.9, "per": "clip", "normalized": False}
    assert ConformalIntervals.from_dict(good).scores == (1.0, 2.0)
    with pytest.raises(ModelFileError, match="intervals"):
        ConformalIntervals.from_dict({**good, **change})


def test_gaps_are_left_out_and_nothing_left_is_an_error():
    assert calibrate([1.0, np.nan, -2.0], [1, 2, 3]).scores == (1.0, 2.0)
    with pytest.raises(FeatureTableError, match="none"):
        calibrate([np.nan], [1])
    with pytest.raises(UsageError, match="coverage"):
        calibrate([1.0], [1], coverage=90)
    with pytest.raises(UsageError, match="difficulty"):
        calibrate([1.0], [1]).interval(1.0, difficulty=2.0)
