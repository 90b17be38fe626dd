from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

from pallor.errors import UsageError
from pallor.evaluation.bootstrap import resample_counts
from pallor.evaluation.gate import GateFold, choose_threshold, gate_out_of_fold
from pallor.evaluation.quality_scores import passes_gate, unit_quality
from pallor.evaluation.rejection import rejected_against_kept
from pallor.evaluation.result import without_nan
from pallor.evaluation.risk_coverage import risk_coverage


def curve_of(error, quality, shares=(0.5,), resamples=0, people=None):
    error = np.atleast_2d(np.asarray(error, float))
    size = error.shape[1]
    people = np.arange(size) if people is None else people
    counts = resample_counts(int(people.max()) + 1, resamples, seed=0)
    quality = np.asarray(quality, float)
    measured = np.full(size, 13.0)
    return risk_coverage(measured, measured + error, quality, people, counts, shares=shares)


def naive(error, quality, shares):
    """Kept one after the other; within equal quality in the average order."""
    quality = np.where(np.isnan(quality), -np.inf, quality)
    expected = np.zeros(len(error))
    for value in np.unique(quality):
        expected[quality == value] = error[quality == value].mean()
    order = np.argsort(-quality, kind="stable")
    total = np.concatenate([[0.0], np.cumsum(expected[order])])
    n = len(error)
    area = np.mean([total[k] / k for k in range(1, n + 1)])
    return [np.interp(s * n, np.arange(n + 1), total) / (s * n) for s in shares], area


def test_curve_and_area_in_closed_form():
    found = curve_of([1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0], shares=(0.25, 0.5, 1.0))
    assert [point.value for point in found.mae] == pytest.approx([1.0, 1.5, 2.5])
    assert found.aurc.value == pytest.approx((1.0 + 1.5 + 2.0 + 2.5) / 4)
    assert found.gain.value == pytest.approx(2.5 - 1.75)


def test_equal_quality_knows_nothing():
    found = curve_of([5.0, 1.0, 3.0, 1.0], [7.0] * 4, shares=(0.25, 0.5))
    assert [point.value for point in found.mae] == pytest.approx([2.5, 2.5, 2.5])
    assert found.gain.value == pytest.approx(0.0, abs=1e-12)


def test_without_quality_comes_last():
    found = curve_of([9.0, 1.0, 9.0, 1.0], [np.nan, -50.0, np.nan, -60.0], shares=(0.5, 0.75))
    assert [point.value for point in found.mae] == pytest.approx([1.0, 11 / 3, 5.0])
    assert found.unjudged == 2


def test_the_order_of_units_does_not_matter():
    rng = np.random.default_rng(0)
    error, quality = rng.exponential(size=30), rng.integers(0, 5, 30).astype(float)
    order = rng.permutation(30)
    one, other = curve_of(error, quality), curve_of(error[order], quality[order])
    assert one.aurc.value == pytest.approx(other.aurc.value)


def test_curve_and_band_are_those_of_a_naive_bootstrap():
    rng = np.random.default_rng(1)
    people = np.repeat(np.arange(12), [1, 2, 3] * 4)
    error = rng.exponential(size=(2, len(people)))
    quality = np.where(rng.random(len(people)) < 0.2, np.nan, rng.integers(0, 6, len(people)))
    shares = (0.3, 0.6, 1.0)
    found = curve_of(error, quality, shares, resamples=150, people=people)

    def averaged(units):
        scores = [naive(row[units], quality[units], shares) for row in error]
        return np.mean([[*curve, area, curve[-1] - area] for curve, area in scores], axis=0)

    expected = averaged(np.arange(len(people)))
    drawn = [
        averaged(np.concatenate([np.flatnonzero(people == i) for i in np.repeat(range(12), row)]))
        for row in resample_counts(12, 150, seed=0)
    ]
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
    for i, score in enumerate([*found.mae, found.aurc, found.gain]):
        assert score.value == pytest.approx(expected[i])
        assert (score.low, score.high) == pytest.approx((low[i], high[i]))


def test_a_quality_that_knows_the_error_gains_and_one_that_does_not_gains_nothing():
    rng = np.random.default_rng(2)
    noise = rng.uniform(0.3, 2.0, 300)
    error = rng.normal(size=300) * noise
    assert curve_of(error, -noise, resamples=300).gain.low > 0
    useless = curve_of(error, rng.normal(size=300), resamples=300).gain
    assert useless.low < 0 < useless.high


def test_quality_of_units_is_the_mean_of_their_clips():
    table = pd.DataFrame(
        {
            "snr_db": [1.0, 3.0, np.nan, 5.0, np.nan],
            "face_coverage": [1.0, 0.5, 1.0, 1.0, 0.0],
            "usable_pulse": [True, False, False, False, True],
            "pulse.face.motion.horizontal": [3.0, 0.0, 0.0, 0.0, np.nan],
            "pulse.face.motion.vertical": [4.0, 1.0, 0.0, 0.0, 0.0],
        }
    )
    unit = np.array([0, 0, 1, 1, 2])
    assert np.array_equal(unit_quality(table, unit), [2.0, 5.0, np.nan], equal_nan=True)
    assert unit_quality(table, unit, "face_coverage").tolist() == [0.75, 1.0, 0.0]
    assert np.array_equal(
        unit_quality(table, unit, "stillness"), [-3.0, 0.0, np.nan], equal_nan=True
    )
    assert passes_gate(table, unit).tolist() == [True, False, True]
    assert passes_gate(table[["snr_db"]], unit) is None
    assert np.isnan(unit_quality(table[["usable_pulse"]], unit)).all()
    with pytest.raises(UsageError, match="choose from"):
        unit_quality(table, unit, "hemoglobin_g_dl")


def test_the_threshold_has_the_least_error_among_those_that_keep_enough():
    quality = np.arange(10.0)
    error = np.array([9.0, 8.0, 7.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    assert choose_threshold(quality, error, min_kept=0.8) == 2.0
    assert choose_threshold(quality, error, min_kept=0.5) == 3.0
    assert choose_threshold(quality, error[::-1]) == -math.inf
    assert choose_threshold(quality, np.ones(10)) == -math.inf
    unjudged = np.array([np.nan, 1.0, 1.0, 1.0, 1.0])
    assert choose_threshold(unjudged, np.array([5.0, 1, 1, 1, 1])) == 1.0
    with pytest.raises(ValueError, match="min_kept"):
        choose_threshold(quality, error, min_kept=0.0)


def test_a_gate_chooses_without_the_units_it_judges():
    quality = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, np.nan, 2.5])
    train, test = np.arange(6), np.array([6, 7])
    error = np.array([9.0, 8.0, 1.0, 1.0, 1.0, 1.0])
    back = GateFold(0, test, train, np.array([1.0, 1.0]))
    gate = gate_out_of_fold(quality, [GateFold(0, train, test, error), back], min_kept=0.6)
    assert gate.thresholds == (2.0, -math.inf)
    assert gate.kept.tolist() == [[True] * 6 + [False, True]]
    other = quality.copy()
    other[test] = [100.0, -100.0]
    again = gate_out_of_fold(other, [GateFold(0, train, test, error), back], min_kept=0.6)
    assert again.thresholds[0] == 2.0
    assert again.kept[0, test].tolist() == [True, False]


def test_a_gate_refuses_folds_that_leak_or_leave_out():
    quality = np.arange(4.0)
    first = GateFold(0, np.array([0, 1]), np.array([2, 3]), np.ones(2))
    with pytest.raises(ValueError, match="share units"):
        gate_out_of_fold(quality, [GateFold(0, np.array([0, 1, 2]), np.array([2, 3]), np.ones(3))])
    with pytest.raises(ValueError, match="exactly once"):
        gate_out_of_fold(quality, [first])


def test_rejected_and_kept_are_compared_as_in_a_naive_bootstrap():
    rng = np.random.default_rng(3)
    people = np.repeat(np.arange(60), 2)
    measured = rng.normal(13, 1.5, 120)
    kept = rng.random((2, 120)) < 0.6
    thresholds = np.where(np.arange(120) < 100, 12.5, np.nan)
    predicted = measured + rng.normal(size=(2, 120))
    counts = resample_counts(60, 150, seed=0)
    found = rejected_against_kept(
        measured, kept, people, counts, thresholds_g_dl=thresholds, predicted=predicted
    )

    def averaged(units):
        rows = []
        for keep, prediction in zip(kept[:, units], predicted[:, units], strict=True):
            y, t, error = measured[units], thresholds[units], np.abs(prediction - measured[units])
            anemic, other = (~keep)[y < t].mean(), (~keep)[y >= t].mean()
            rows.append(
                [
                    (~keep).mean(), y[~keep].mean() - y[keep].mean(), anemic, other,
                    anemic - other, error[keep].mean(), error.mean(),
                ]
            )  # fmt: skip
        return np.mean(rows, axis=0)

    expected = averaged(np.arange(120))
    drawn = [
        averaged(np.concatenate([np.flatnonzero(people == i) for i in np.repeat(range(60), row)]))
        for row in counts
    ]
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
    scores = [
        found.rejected_share, found.hemoglobin_difference_g_dl, found.rejected_share_anemic,
        found.rejected_share_other, found.share_difference, found.mae_kept, found.mae_all,
    ]  # fmt: skip
    for i, score in enumerate(scores):
        assert score.value == pytest.approx(expected[i])
        assert (score.low, score.high) == pytest.approx((low[i], high[i]))
    assert found.rejected_units == (~kept).sum() / 2


def test_a_gate_that_turns_away_the_anemic_is_caught():
    rng = np.random.default_rng(4)
    measured = rng.normal(13, 1.5, 300)
    snr = (measured - 13) + rng.normal(0, 1.5, 300)
    counts = resample_counts(300, 300, 0)
    thresholds = np.full(300, 12.0)
    biased = rejected_against_kept(
        measured, snr > -1, np.arange(300), counts, thresholds_g_dl=thresholds
    )
    assert biased.hemoglobin_difference_g_dl.high < 0
    assert biased.share_difference.low > 0
    assert biased.sentence.startswith("The gate turns away people with low hemoglobin")
    fair = rejected_against_kept(
        measured, rng.random(300) > 0.3, np.arange(300), counts, thresholds_g_dl=thresholds
    )
    assert fair.hemoglobin_difference_g_dl.low < 0 < fair.hemoglobin_difference_g_dl.high
    assert "is not shown" in fair.sentence


def test_few_rejected_allow_no_conclusion():
    counts = resample_counts(40, 50, 0)
    measured = np.linspace(10, 16, 40)
    few = rejected_against_kept(measured, np.arange(40) >= 19, np.arange(40), counts)
    assert few.too_few
    assert few.hemoglobin_difference_g_dl is None
    assert few.rejected_share.value == pytest.approx(19 / 40)
    assert "cannot be told" in few.sentence
    nobody = rejected_against_kept(measured, np.ones(40, bool), np.arange(40), counts)
    assert nobody.sentence == "The gate rejects nobody."
    assert nobody.rejected_share.high == pytest.approx(1 - 0.025 ** (1 / 40))
    assert not rejected_against_kept(measured, np.arange(40) >= 20, np.arange(40), counts).too_few
    with pytest.raises(ValueError, match="do not fit"):
        rejected_against_kept(measured, np.ones(39, bool), np.arange(40), counts)


def test_a_prediction_that_is_missing_is_refused():
    with pytest.raises(ValueError, match="every unit needs"):
        curve_of([1.0, np.nan], [1.0, 2.0])
    counts, gaps = resample_counts(3, 10, 0), np.full((1, 3), np.nan)
    with pytest.raises(ValueError, match="every unit needs"):
        rejected_against_kept(np.ones(3), np.ones(3, bool), np.arange(3), counts, predicted=gaps)


def test_json_is_plain():
    counts = resample_counts(40, 50, 0)
    found = rejected_against_kept(np.arange(40.0), np.arange(40) >= 20, np.arange(40), counts)
    curve = curve_of(np.ones(5), np.arange(5.0))
    text = json.dumps(without_nan([found.as_dict(), curve.as_dict()]), allow_nan=False)
    assert json.loads(text)[1]["curve"][0]["share_kept"] == 0.5
