from __future__ import annotations

import json
import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pallor.evaluation import metrics
from pallor.evaluation.agreement import bland_altman
from pallor.evaluation.bootstrap import participant_sums, resample_counts, scores_with_intervals

# Cardiac output, L/min, of 12 people by radionuclide ventriculography (first) and impedance
# cardiography: Bland and Altman, J Biopharm Stat 2007;17:571-582, table 1.
CARDIAC_OUTPUT = {
    1: "7.83 6.57, 7.42 5.62, 7.89 6.90, 7.12 6.57, 7.88 6.35",
    2: "6.16 4.06, 7.26 4.29, 6.71 4.26, 6.54 4.09",
    3: "4.75 4.71, 5.24 5.50, 4.86 5.08, 4.78 5.02, 6.05 6.01, 5.42 5.67",
    4: "4.21 4.14, 3.61 4.20, 3.72 4.61, 3.87 4.68, 3.92 5.04",
    5: "3.13 3.03, 2.98 2.86, 2.85 2.77, 3.17 2.46, 3.09 2.32, 3.12 2.43",
    6: "5.92 5.90, 6.42 5.81, 5.92 5.70, 6.27 5.76",
    7: "7.13 5.09, 6.62 4.63, 6.58 4.61, 6.93 5.09",
    8: "4.54 4.72, 4.81 4.61, 5.11 4.36, 5.29 4.20, 5.39 4.36, 5.57 4.20",
    9: "4.48 3.17, 4.92 3.12, 3.97 2.96",
    10: "4.22 4.35, 4.65 4.62, 4.74 3.16, 4.44 3.53, 4.50 3.53",
    11: "6.78 7.20, 6.07 6.09, 6.52 7.00, 6.42 7.10, 6.41 7.40, 5.76 6.80",
    12: "5.06 4.50, 4.72 4.20, 4.90 3.80, 4.80 3.80, 4.90 4.20, 5.10 4.50",
}


def cardiac_output():
    """Return measured, predicted and participant so that differences have the paper's sign."""
    rows = [
        (person - 1, *map(float, pair.split()))
        for person, pairs in CARDIAC_OUTPUT.items()
        for pair in pairs.split(",")
    ]
    people, first, second = (np.array(column) for column in zip(*rows, strict=True))
    return second, first, people


def repeated(seed, people=40, most=5, between=0.6, within=0.8):
    rng = np.random.default_rng(seed)
    participant = rng.permutation(np.repeat(np.arange(people), rng.integers(1, most + 1, people)))
    measured = rng.normal(13.5, 1.5, participant.size)
    difference = rng.normal(0.2, between, people)[participant]
    return measured, measured + difference + rng.normal(0, within, participant.size), participant


def test_published_example_of_repeated_measurements():
    y, p, people = cardiac_output()
    got = bland_altman(y, p[None], people, resample_counts(12, 500, 0))
    assert (got.units, got.participants) == (60, 12)
    # The paper's analysis of variance: mean squares 4.2091 and 0.1707, divisor 4.9818.
    assert got.sd_within_g_dl**2 == pytest.approx(0.1707, abs=5e-5)
    assert got.sd_between_g_dl**2 == pytest.approx((4.2091 - 0.1707) / 4.9818, abs=5e-5)
    assert got.bias_g_dl.value == pytest.approx(0.6021667, abs=5e-8)
    assert got.sd_g_dl == pytest.approx(0.99062, abs=5e-6)
    assert got.lower_limit_g_dl.value == pytest.approx(-1.3395, abs=5e-5)
    assert got.upper_limit_g_dl.value == pytest.approx(2.5438, abs=5e-5)
    # Taking the pairs for 60 people would give narrower limits.
    narrow = metrics.limits_of_agreement(y, p)
    assert got.lower_limit_g_dl.value < narrow[0] < narrow[1] < got.upper_limit_g_dl.value


def test_variance_components_equal_those_of_statsmodels():

    y, p, people = repeated(1)
    got = bland_altman(y, p[None], people, resample_counts(40, 0, 0))
    belongs = (people[:, None] == np.arange(40)).astype(float)
    fit = sm.OLS(p - y, belongs).fit()
    size = np.bincount(people)
    each = (size.sum() - (size**2).sum() / size.sum()) / 39
    between = (fit.mse_model - fit.mse_resid) / each
    assert got.sd_within_g_dl == pytest.approx(math.sqrt(fit.mse_resid), abs=1e-9)
    assert got.sd_between_g_dl == pytest.approx(math.sqrt(between), abs=1e-9)
    assert got.sd_g_dl == pytest.approx(math.sqrt(between + fit.mse_resid), abs=1e-9)


def test_variance_components_give_the_f_of_scipy():
    y, p, people = repeated(2)
    got = bland_altman(y, p[None], people, resample_counts(40, 0, 0))
    size = np.bincount(people)
    each = (size.sum() - (size**2).sum() / size.sum()) / 39
    f = 1 + each * (got.sd_between_g_dl / got.sd_within_g_dl) ** 2
    groups = [(p - y)[people == person] for person in range(40)]
    assert f == pytest.approx(stats.f_oneway(*groups).statistic, abs=1e-9)


def test_one_unit_a_participant_gives_exactly_the_simple_form():
    rng = np.random.default_rng(3)
    y = rng.normal(13.5, 1.5, 70)
    p = 0.7 * y + 4 + rng.normal(0, 0.9, 70)
    got = bland_altman(y, p[None], rng.permutation(70), resample_counts(70, 0, 0))
    d = p - y
    s, t = d.std(ddof=1), stats.t.ppf(0.975, 69)
    low, high = metrics.limits_of_agreement(y, p)
    assert got.sd_g_dl == pytest.approx(s, abs=1e-12)
    assert math.isnan(got.sd_within_g_dl)
    assert math.isnan(got.sd_between_g_dl)
    assert got.lower_limit_g_dl.value == pytest.approx(low, abs=1e-12)
    assert got.upper_limit_g_dl.value == pytest.approx(high, abs=1e-12)
    ends = stats.ttest_1samp(d, 0).confidence_interval()
    assert got.bias_g_dl.low == pytest.approx(ends.low, abs=1e-9)
    assert got.bias_g_dl.high == pytest.approx(ends.high, abs=1e-9)
    half = t * s * math.sqrt(1 / 70 + 1.96**2 / (2 * 69))
    for limit in (got.lower_limit_g_dl, got.upper_limit_g_dl):
        assert limit.low == pytest.approx(limit.value - half, abs=1e-9)
        assert limit.high == pytest.approx(limit.value + half, abs=1e-9)
    assert got.slope_on_mean.value == pytest.approx(
        stats.linregress((y + p) / 2, d).slope, abs=1e-9
    )
    assert got.slope_on_reference.value == pytest.approx(stats.linregress(y, d).slope, abs=1e-9)


def test_equal_numbers_give_the_standard_errors_of_balanced_analysis_of_variance():
    # 1999, section 5: the two mean squares are independent, each of variance 2 MS^2 / df.
    rng = np.random.default_rng(12)
    n, m = 25, 4
    d = rng.normal(0.2, 0.7, (n, 1)) + rng.normal(0, 0.8, (n, m))
    y = rng.normal(13.5, 1.5, n * m)
    people = np.repeat(np.arange(n), m)
    got = bland_altman(y, (y + d.ravel())[None], people, resample_counts(n, 0, 0))
    between, within = m * d.mean(axis=1).var(ddof=1), d.var(axis=1, ddof=1).mean()
    variance = between / m + (1 - 1 / m) * within
    of_variance = (between / m) ** 2 * 2 / (n - 1) + ((1 - 1 / m) * within) ** 2 * 2 / (n * (m - 1))
    error = math.sqrt(between / (n * m) + 1.96**2 * of_variance / (4 * variance))
    t = stats.t.ppf(0.975, n - 1)
    assert got.bias_g_dl.high == pytest.approx(
        d.mean() + t * math.sqrt(between / (n * m)), abs=1e-9
    )
    upper = d.mean() + 1.96 * math.sqrt(variance)
    assert got.upper_limit_g_dl.value == pytest.approx(upper, abs=1e-9)
    assert got.upper_limit_g_dl.high == pytest.approx(upper + t * error, abs=1e-9)
    assert got.lower_limit_g_dl.low == pytest.approx(2 * d.mean() - upper - t * error, abs=1e-9)


def anova_limits(d, people):
    """Compute the limits plainly, from lists of each participant's differences."""
    groups = [d[people == person] for person in np.unique(people)]
    n, units = len(groups), len(d)
    ms_between = sum(len(g) * (g.mean() - d.mean()) ** 2 for g in groups) / (n - 1)
    ms_within = sum(((g - g.mean()) ** 2).sum() for g in groups) / (units - n)
    each = (units - sum(len(g) ** 2 for g in groups) / units) / (n - 1)
    sd = math.sqrt(max((ms_between - ms_within) / each, 0) + ms_within)
    return d.mean() - 1.96 * sd, d.mean() + 1.96 * sd


def test_bootstrap_equals_that_of_a_loop_that_resamples_people():
    y, p, people = repeated(4, people=30)
    rng = np.random.default_rng(4)
    repeats = np.stack([p, p + rng.normal(0, 0.4, p.size)])
    counts = resample_counts(30, 60, seed=7)
    drawn = {"bias": [], "low": [], "high": [], "mean": [], "reference": []}
    for row in counts:
        copies = np.repeat(np.arange(30), row)
        parts = [np.flatnonzero(people == person) for person in copies]
        units = np.concatenate(parts)
        # Who is drawn twice is two people.
        person = np.repeat(np.arange(30), [len(part) for part in parts])
        limits = [anova_limits((q - y)[units], person) for q in repeats]
        drawn["low"].append(np.mean([low for low, _ in limits]))
        drawn["high"].append(np.mean([high for _, high in limits]))
        drawn["bias"].append(np.mean([(q - y)[units].mean() for q in repeats]))
        for name, x in (("mean", (y + repeats) / 2), ("reference", np.stack([y, y]))):
            slopes = [
                stats.linregress(at[units], (q - y)[units]).slope
                for at, q in zip(x, repeats, strict=True)
            ]
            drawn[name].append(np.mean(slopes))
    got = bland_altman(y, repeats, people, counts)
    for interval, name in (
        (got.bias_bootstrap_g_dl, "bias"),
        (got.lower_limit_bootstrap_g_dl, "low"),
        (got.upper_limit_bootstrap_g_dl, "high"),
        (got.slope_on_mean, "mean"),
        (got.slope_on_reference, "reference"),
    ):
        low, high = np.quantile(drawn[name], (0.025, 0.975))
        assert interval.low == pytest.approx(low, abs=1e-9), name
        assert interval.high == pytest.approx(high, abs=1e-9), name


def test_limits_and_bias_are_those_of_the_other_scores():
    y, p, people = repeated(5)
    counts = resample_counts(40, 200, 0)
    got = bland_altman(y, p[None], people, counts)
    bias = scores_with_intervals(participant_sums(y, p, people, 40)[None], counts)["bias"]
    assert got.bias_g_dl.value == pytest.approx(bias.value, abs=1e-12)
    assert got.bias_bootstrap_g_dl.low == pytest.approx(bias.low, abs=1e-12)
    assert got.bias_bootstrap_g_dl.high == pytest.approx(bias.high, abs=1e-12)


def test_repeats_are_compared_each_and_then_averaged():
    rng = np.random.default_rng(6)
    y = rng.normal(13.5, 1.5, 60)
    repeats = y + rng.normal(0, 1, (4, 60))
    people, counts = np.arange(60), resample_counts(60, 0, 0)
    got = bland_altman(y, repeats, people, counts)
    single = [bland_altman(y, row[None], people, counts) for row in repeats]
    assert got.sd_g_dl == pytest.approx(np.mean([one.sd_g_dl for one in single]), abs=1e-12)
    assert got.lower_limit_g_dl.low == pytest.approx(
        np.mean([one.lower_limit_g_dl.low for one in single]), abs=1e-12
    )
    # Averaged predictions would agree better than any model that can be trained.
    assert got.sd_g_dl > 1.5 * (repeats.mean(axis=0) - y).std(ddof=1)


def test_a_negative_component_between_people_counts_as_none():
    # Each person errs once up and once down by about as much: less than chance between them.
    rng = np.random.default_rng(7)
    people = np.repeat(np.arange(20), 2)
    y = rng.normal(13.5, 1.5, 40)
    d = np.tile([0.9, -0.9], 20) + rng.normal(0, 0.05, 40)
    got = bland_altman(y, (y + d)[None], people, resample_counts(20, 0, 0))
    assert got.sd_between_g_dl == 0
    assert got.sd_g_dl == got.sd_within_g_dl > 0.9
    assert got.bias_g_dl.low < 0 < got.bias_g_dl.high


@pytest.mark.parametrize(
    ("between", "within", "most"), [(0.8, 0.5, 5), (0.3, 0.9, 6), (1.0, 0.3, 1)]
)
def test_intervals_of_the_limits_cover_the_truth_95_times_in_100(between, within, most):
    # 600 studies: standard error 0.9 points. The approximation may cost two more.
    counts, hits = resample_counts(40, 0, 0), 0
    truth = 0.2 - 1.96 * math.hypot(between, within)
    for seed in range(600):
        y, p, people = repeated(seed, most=most, between=between, within=within)
        limit = bland_altman(y, p[None], people, counts).lower_limit_g_dl
        hits += limit.low <= truth <= limit.high
    assert 0.90 <= hits / 600 <= 0.99


@given(st.integers(0, 10_000), st.floats(-5, 5), st.sampled_from([0.5, 2.0, 4.0]))
@settings(max_examples=40, deadline=None)
def test_agreement_keeps_under_order_shift_and_scale(seed, shift, factor):
    y, p, people = repeated(seed, people=8, most=3)
    counts = resample_counts(8, 30, 0)
    order = np.random.default_rng(seed).permutation(y.size)

    def numbers(*arguments):
        got = bland_altman(*arguments, counts).as_dict()
        slopes = [
            v for key in ("slope_on_mean", "slope_on_reference") for v in got.pop(key).values()
        ]
        flat = [
            number
            for value in list(got.values())[2:]
            for number in (value.values() if isinstance(value, dict) else [value])
        ]
        return np.array(flat), np.array(slopes)

    with_unit, slopes = numbers(y, p[None], people)
    for arguments, scale in (
        ((y[order], p[None, order], people[order]), 1.0),
        ((y + shift, p[None] + shift, people), 1.0),
        ((factor * y, factor * p[None], people), factor),
    ):
        got_with_unit, got_slopes = numbers(*arguments)
        assert got_with_unit == pytest.approx(scale * with_unit, abs=1e-9, nan_ok=True)
        assert got_slopes == pytest.approx(slopes, abs=1e-9, nan_ok=True)


def test_a_constant_is_all_proportional_bias():
    rng = np.random.default_rng(8)
    y = rng.normal(13.5, 1.5, 50)
    got = bland_altman(y, np.full((1, 50), 13.5), np.arange(50), resample_counts(50, 20, 0))
    assert got.slope_on_mean.value == pytest.approx(-2)
    assert got.slope_on_reference.value == pytest.approx(-1)


def test_one_participant_or_one_value_leaves_numbers_undefined():
    y = np.array([12.0, 13.0])
    got = bland_altman(y, y[None] + 0.5, np.zeros(2, int), resample_counts(1, 10, 0))
    assert got.bias_g_dl.value == pytest.approx(0.5)
    assert math.isnan(got.bias_g_dl.low)
    assert math.isnan(got.lower_limit_g_dl.value)
    flat = np.full(5, 13.0)
    got = bland_altman(flat, flat[None] + 0.5, np.arange(5), resample_counts(5, 10, 0))
    assert math.isnan(got.slope_on_reference.value)
    assert got.upper_limit_g_dl.value == pytest.approx(0.5)


def test_results_go_to_json():
    y, p, people = repeated(11)
    got = bland_altman(y, p[None], people, resample_counts(40, 30, 0)).as_dict()
    got = json.loads(json.dumps(got))
    assert got["lower_limit_g_dl"].keys() == {"value", "low", "high"}
    assert got["participants"] == 40
