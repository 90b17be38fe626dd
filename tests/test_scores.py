"""Every score of the evaluation against independent implementations and its invariances."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from sklearn import metrics as reference

from pallor.evaluation import metrics
from pallor.evaluation.bootstrap import participant_sums, resample_counts, scores_with_intervals
from pallor.evaluation.rank_scores import rank_scores_with_intervals
from pallor.evaluation.sums import NEED_VARYING_PREDICTIONS

# Tenths of g/dL, as a laboratory reports them: many ties, and no almost constant vectors.
TENTHS = arrays(np.int64, (2, 25), elements=st.integers(50, 180)).map(lambda tenths: tenths / 10)


def ccc_of_lin(y, p):
    """As the product of r and of a factor of scale and location shift (Lin 1989)."""
    scale = np.std(y) / np.std(p)
    shift = (np.mean(y) - np.mean(p)) / math.sqrt(np.std(y) * np.std(p))
    return stats.pearsonr(y, p).statistic * 2 / (scale + 1 / scale + shift**2)


REFERENCES = {
    "mae": reference.mean_absolute_error,
    "rmse": reference.root_mean_squared_error,
    "median_absolute_error": reference.median_absolute_error,
    "mape_percent": lambda y, p: 100 * reference.mean_absolute_percentage_error(y, p),
    "r": lambda y, p: stats.pearsonr(y, p).statistic,
    "rho": lambda y, p: stats.spearmanr(y, p).statistic,
    "r2": reference.r2_score,
    "ccc": ccc_of_lin,
    "calibration_slope": lambda y, p: stats.linregress(p, y).slope,
    "calibration_intercept_g_dl": lambda y, p: stats.linregress(p, y).intercept,
    "prediction_slope": lambda y, p: stats.linregress(y, p).slope,
    "bias": lambda y, p: np.mean(p) - np.mean(y),
    "within_0_5_g_dl": lambda y, p: np.mean(np.abs(p - y) <= 0.5),
    "within_1_g_dl": lambda y, p: np.mean(np.abs(p - y) <= 1),
    "within_4_percent": lambda y, p: np.mean(np.abs(p / y - 1) <= 0.04),
    "within_7_percent": lambda y, p: np.mean(np.abs(p / y - 1) <= 0.07),
}
OF_VECTORS = {
    "within_0_5_g_dl": lambda y, p: metrics.within(y, p, 0.5),
    "within_1_g_dl": metrics.within,
    "within_4_percent": metrics.within_percent,
    "within_7_percent": lambda y, p: metrics.within_percent(y, p, 7.0),
}


def all_scores(measured, predicted, participant, counts):
    """Every score of several repeats, as the evaluation computes them."""
    people = counts.shape[1]
    sums = np.stack([participant_sums(measured, row, participant, people) for row in predicted])
    return scores_with_intervals(sums, counts) | rank_scores_with_intervals(
        measured, predicted, participant, counts
    )


def values_of(measured, predicted):
    people = np.arange(len(measured))
    scores = all_scores(measured, predicted[None], people, resample_counts(len(people), 0, 0))
    return {name: score.value for name, score in scores.items()}


@pytest.fixture
def pairs():
    rng = np.random.default_rng(3)
    measured = rng.normal(13.5, 1.6, 150)
    return measured, 0.6 * measured + 5.5 + rng.normal(0, 0.9, 150)


@pytest.mark.parametrize("name", REFERENCES)
def test_scores_agree_with_scikit_learn_and_scipy(name, pairs):
    y, p = pairs
    expected = REFERENCES[name](y, p)
    of_vectors = OF_VECTORS.get(name) or getattr(metrics, name)
    assert of_vectors(y, p) == pytest.approx(expected, abs=1e-9)
    assert values_of(y, p)[name] == pytest.approx(expected, abs=1e-9)


def test_every_score_has_a_reference(pairs):
    assert set(values_of(*pairs)) == set(REFERENCES)
    assert set(REFERENCES) >= NEED_VARYING_PREDICTIONS


def test_intervals_equal_those_of_a_loop_that_resamples_rows(pairs):
    y, p = pairs
    rng = np.random.default_rng(8)
    # Participants with one to five units, in mixed order; two repeats.
    participant = rng.permutation(np.concatenate([np.arange(50), rng.integers(0, 50, 100)]))
    repeats = np.stack([p, p + rng.normal(0, 0.3, len(p))])
    counts = resample_counts(50, 80, seed=4)
    drawn = {name: [] for name in REFERENCES}
    for row in counts:
        units = np.concatenate(
            [np.flatnonzero(participant == person) for person in np.repeat(np.arange(50), row)]
        )
        for name, score in REFERENCES.items():
            drawn[name].append(np.mean([score(y[units], q[units]) for q in repeats]))
    for name, got in all_scores(y, repeats, participant, counts).items():
        low, high = np.quantile(drawn[name], (0.025, 0.975))
        assert got.value == pytest.approx(np.mean([REFERENCES[name](y, q) for q in repeats]), 1e-9)
        assert got.low == pytest.approx(low, abs=1e-9), name
        assert got.high == pytest.approx(high, abs=1e-9), name
        assert got.low < got.high, name


@given(TENTHS, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_order_of_the_units_does_not_matter(values, random):
    y, p = values
    order = list(range(len(y)))
    random.shuffle(order)
    assert values_of(y[order], p[order]) == pytest.approx(values_of(y, p), abs=1e-9, nan_ok=True)


@given(TENTHS, st.integers(-40, 200))
@settings(max_examples=60, deadline=None)
def test_shifting_both_sides_moves_what_depends_on_the_origin_alone(values, tenths):
    y, p = values
    before, after = values_of(y, p), values_of(y + tenths / 10, p + tenths / 10)
    for name in set(before) - {"mape_percent", "within_4_percent", "within_7_percent"}:
        expected = before[name]
        if name == "calibration_intercept_g_dl":
            expected += tenths / 10 * (1 - before["calibration_slope"])
        assert after[name] == pytest.approx(expected, abs=1e-9, nan_ok=True), name


@given(TENTHS, st.sampled_from([0.25, 0.5, 2.0, 8.0]))
@settings(max_examples=60, deadline=None)
def test_scaling_both_sides_scales_what_has_a_unit(values, factor):
    y, p = values
    before, after = values_of(y, p), values_of(factor * y, factor * p)
    with_unit = {"mae", "rmse", "median_absolute_error", "bias", "calibration_intercept_g_dl"}
    for name in set(before) - {"within_0_5_g_dl", "within_1_g_dl"}:
        expected = before[name] * (factor if name in with_unit else 1)
        assert after[name] == pytest.approx(expected, abs=1e-9, nan_ok=True), name


@given(TENTHS)
@settings(max_examples=60, deadline=None)
def test_concordance_is_at_most_correlation_and_slopes_multiply_to_its_square(values):
    got = values_of(*values)
    if math.isnan(got["r"]):
        assert math.isnan(got["ccc"])
        return
    assert abs(got["ccc"]) <= abs(got["r"]) + 1e-12
    product = got["calibration_slope"] * got["prediction_slope"]
    assert product == pytest.approx(got["r"] ** 2, abs=1e-9)
    assert got["within_0_5_g_dl"] <= got["within_1_g_dl"]
    assert got["within_4_percent"] <= got["within_7_percent"]


def test_one_gram_apart_in_tenths_is_within_one_gram():
    # In binary 16.1 - 15.1 exceeds 1, and 14.56 - 14 exceeds 4 % of 14.
    assert metrics.within([15.1], [16.1]) == 1
    assert metrics.within_percent([14.0], [14.56]) == 1
    got = values_of(np.array([15.1, 14.0]), np.array([16.1, 14.56]))
    assert (got["within_1_g_dl"], got["within_4_percent"]) == (1, 0.5)
    assert metrics.within([15.1], [16.100001]) == 0


def test_a_calibrated_model_regresses_to_the_mean_by_r2():
    # Predictions are the conditional means: slope 1 of truth on them, R2 of them on truth.
    rng = np.random.default_rng(6)
    p = rng.normal(13.5, 1.0, 200_000)
    got = values_of(p + rng.normal(0, 1.0, p.size), p)
    assert got["calibration_slope"] == pytest.approx(1, abs=0.01)
    assert got["calibration_intercept_g_dl"] == pytest.approx(0, abs=0.1)
    assert got["prediction_slope"] == pytest.approx(got["r2"], abs=0.01)
    assert got["r2"] == pytest.approx(0.5, abs=0.01)


def test_a_constant_has_errors_but_no_correlation_concordance_or_slope(pairs):
    y, _ = pairs
    constant = np.full_like(y, 13.1)
    got = values_of(y, constant)
    assert {name for name, value in got.items() if math.isnan(value)} == NEED_VARYING_PREDICTIONS
    for name in NEED_VARYING_PREDICTIONS:
        assert math.isnan(getattr(metrics, name)(y, constant)), name


def test_percentages_of_nothing_are_undefined():
    assert math.isnan(metrics.mape_percent([0, 12], [1, 12]))
    got = all_scores(
        np.array([0.0, 12.0, 13.0]), np.array([[1.0, 12.0, 13.5]]), np.arange(3),
        resample_counts(3, 40, 0),
    )  # fmt: skip
    assert math.isnan(got["mape_percent"].value)
    assert got["mae"].value == pytest.approx(0.5)
