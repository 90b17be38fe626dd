from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy.stats import binom

from pallor.errors import FeatureTableError, UsageError
from pallor.evaluation.bootstrap import resample_counts
from pallor.evaluation.coverage import LEVELS, half_widths, judge_coverage
from pallor.evaluation.result import without_nan
from pallor.evaluation.splits import Split
from pallor.evaluation.training_residuals import gate_folds, half_widths_of_splits


def judged(error, half, *, people=None, levels=(0.9,), strata=None, resamples=200):
    error = np.atleast_2d(error)
    size = error.shape[1]
    participant = np.arange(size) if people is None else people
    half = np.broadcast_to(np.asarray(half, float), (len(error), len(levels), size))
    counts = resample_counts(int(participant.max()) + 1, resamples, seed=0)
    return judge_coverage(
        np.full(size, 13.0), 13.0 + error, half, participant, counts, levels=levels, strata=strata
    )


def test_half_widths_are_the_ranks_of_one_residual_a_group():
    residuals = np.array([-1.0, 2.0, -3.0, 4.0, 5.0, -6.0, 7.0, 8.0, 9.0])
    widths = half_widths(residuals, np.arange(9), (0.5, 0.8, 0.9, 0.95))
    assert widths.tolist() == [5.0, 8.0, 9.0, math.inf]
    twice = half_widths(np.repeat(residuals, 3), np.repeat(np.arange(9), 3), (0.5, 0.8))
    assert twice.tolist() == [5.0, 8.0]
    assert half_widths([1.0, 3.0], [0, 0], (0.5,), per="mean").tolist() == [2.0]


def test_half_widths_refuse_what_makes_no_sense():
    with pytest.raises(FeatureTableError, match="there are none"):
        half_widths([np.nan], [0])
    with pytest.raises(UsageError, match="between 0 and 1"):
        half_widths([1.0], [0], (1.0,))


def test_exchangeable_errors_are_covered_as_often_as_promised():
    # Training part and test part from one distribution, a new pair every time.
    rng = np.random.default_rng(0)
    train, trials = 39, 800
    hits = np.zeros(len(LEVELS), dtype=int)
    for _ in range(trials):
        residuals = rng.standard_t(3, train + 1)
        half = half_widths(residuals[:train], np.arange(train))
        levels = judged(residuals[train:], half[:, None], levels=LEVELS, resamples=0).overall.levels
        hits += [int(level.coverage.value) for level in levels]
    for level, hit in zip(LEVELS, hits, strict=True):
        exact = math.ceil((train + 1) * level - 1e-9) / (train + 1)
        low, high = binom.interval(0.9999, trials, exact)
        assert low <= hit <= high, level


def test_share_and_width_are_those_of_a_naive_bootstrap():
    rng = np.random.default_rng(1)
    people = np.repeat(np.arange(25), [1, 2, 3, 1, 2] * 5)
    error, half = rng.normal(size=(3, len(people))), rng.uniform(0.5, 2.5, (3, 1, len(people)))
    level = judged(error, half, people=people).overall.levels[0]
    inside = np.abs(error) <= half[:, 0]
    drawn = []
    for row in resample_counts(25, 200, seed=0):
        units = np.concatenate([np.flatnonzero(people == i) for i in np.repeat(np.arange(25), row)])
        drawn.append([inside[:, units].mean(), 2 * half[:, 0, units].mean()])
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
    assert level.coverage.value == pytest.approx(inside.mean())
    assert (level.coverage.low, level.coverage.high) == pytest.approx((low[0], high[0]))
    assert level.mean_width_g_dl.value == pytest.approx(2 * half.mean())
    assert (level.mean_width_g_dl.low, level.mean_width_g_dl.high) == pytest.approx(
        (low[1], high[1])
    )


def test_ends_belong_to_the_interval():
    # 13 - 12.7 is a little more than 0.3 in binary, 13.5 - 13 is 0.5.
    for end in (-0.3, 0.5):
        error = np.array([end, 0.6, end, -0.7] * 10)
        assert judged(error, abs(end)).overall.levels[0].coverage.value == pytest.approx(0.5)


def test_infinite_widths_cover_are_counted_and_told():
    half = np.where(np.arange(40) < 10, np.inf, 1.0)
    result = judged(np.full(40, 2.0), half)
    level = result.overall.levels[0]
    assert level.infinite_share == 0.25
    assert level.coverage.value == 0.25
    assert level.mean_width_g_dl.value == 2.0
    assert "25% of the intervals of nominal coverage 0.9 are infinite" in result.notes[0]
    assert "fewer than 9 residuals" in result.notes[0]
    every = judged(np.full(40, 2.0), np.inf).overall.levels[0]
    assert every.coverage.value == 1.0
    assert math.isnan(every.mean_width_g_dl.value)


def test_intervals_that_are_too_narrow_are_called_so():
    error = np.linspace(-2, 2, 200)
    assert judged(error, 1.0).overall.levels[0].verdict == "below"
    assert "of the cohort: they are too narrow there" in judged(error, 1.0).notes[0]
    assert judged(error, 1.8).overall.levels[0].verdict == "consistent"
    assert judged(error, 5.0).overall.levels[0].verdict == "above"
    assert judged(error, 1.8).notes == ()
    assert judged(error, 1.8, resamples=0).overall.levels[0].verdict == "unknown"


def test_a_group_may_be_failed_where_the_cohort_is_not():
    sex = np.array(["female", "male"] * 100, dtype=object)
    error = np.where(sex == "male", 2.0, 0.1)
    error[sex == "male"] *= np.where(np.arange(100) < 80, 0.1, 1.0)
    result = judged(error, 1.0, strata={"sex": sex})
    assert result.overall.levels[0].verdict == "consistent"
    found = {stratum.label: stratum for stratum in result.strata}
    assert found["male"].levels[0].coverage.value == pytest.approx(0.8)
    assert found["male"].levels[0].verdict == "below"
    assert found["female"].levels[0].coverage.value == 1.0
    assert [note for note in result.notes if "of sex male" in note]


def test_strata_add_up_and_small_ones_are_listed_without_a_score():
    labels = np.array(["dark"] * 19 + ["light"] * 30 + ["unknown"] * 21, dtype=object)
    result = judged(np.zeros(70), 1.0, strata={"ita": labels})
    assert sum(stratum.units for stratum in result.strata) == 70
    found = {stratum.label: stratum for stratum in result.strata}
    assert (found["dark"].too_few, found["dark"].participants, found["dark"].levels) == (
        True,
        19,
        (),
    )
    assert len(found["light"].levels) == len(found["unknown"].levels) == 1


def test_all_covered_keeps_a_width():
    level = judged(np.zeros(30), 1.0).overall.levels[0]
    assert level.coverage.value == 1.0
    assert level.coverage.low == pytest.approx(0.025 ** (1 / 30))


def test_what_does_not_fit_is_refused():
    measured, predicted, people = np.zeros(5), np.zeros((2, 5)), np.arange(5)
    counts = resample_counts(5, 10, 0)
    with pytest.raises(ValueError, match="every unit needs"):
        judge_coverage(measured, predicted + np.nan, np.ones((2, 4, 5)), people, counts)
    with pytest.raises(ValueError, match="do not fit"):
        judge_coverage(measured, predicted, np.ones((2, 5)), people, counts)
    half = np.ones((2, 4, 5))
    half[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="not a number"):
        judge_coverage(measured, predicted, half, people, counts)
    with pytest.raises(UsageError):
        judge_coverage(measured, predicted, np.ones((2, 1, 5)), people, counts, levels=(90.0,))


def test_json_is_plain():
    result = judged(np.zeros(30), np.inf, strata={"sex": np.array(["female"] * 30, dtype=object)})
    text = json.dumps(without_nan(result.as_dict()), allow_nan=False)
    assert json.loads(text)["overall"]["levels"][0]["mean_width_g_dl"]["value"] is None


def test_widths_come_from_the_training_part_alone_one_unit_a_component():
    # Rows 0..7 are units 0, 0, 1, 1, 2, 3, 4, 5; units 1 and 2 share a component.
    of_row = np.array([0, 0, 1, 1, 2, 3, 4, 5])
    components = np.array([0, 0, 1, 1, 1, 3, 4, 5])
    train, test = np.arange(7), np.array([7])
    residuals = np.array([1.0, 3.0, 6.0, 6.0, 6.0, -4.0, 0.0])
    splits = [Split(0, 0, "0", train, test), Split(0, 1, "1", test, train)]
    told = [(train, residuals), (test, np.array([9.0]))]
    widths = half_widths_of_splits(splits, told, of_row, components, levels=(0.5, 0.8, 0.82))
    assert widths.shape == (1, 3, 6)
    # Residuals 0, 2, 4, 6 of four components: ranks ceil(5 x 0.5) = 3, ceil(5 x 0.8) = 4, and
    # ceil(5 x 0.82) = 5, which the fifth unit alone does not make.
    assert widths[0, :, 5].tolist() == [4.0, 6.0, math.inf]
    assert (widths[0, 0, :5] == 9.0).all()
    assert np.isinf(widths[0, 1:, :5]).all()
    first, second = gate_folds(splits, told, of_row)
    assert (first.train.tolist(), first.test.tolist()) == ([0, 1, 2, 3, 4], [5])
    assert first.train_error.tolist() == [2.0, 6.0, 6.0, 4.0, 0.0]
    assert (second.train.tolist(), second.train_error.tolist()) == ([5], [9.0])
