"""What scikit-learn and SciPy do not have, against statsmodels, an independent implementation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as formula
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import DescrStatsW

from pallor.evaluation import metrics
from pallor.evaluation.agreement import bland_altman
from pallor.evaluation.baselines import BASELINES
from pallor.evaluation.bootstrap import resample_counts
from pallor.evaluation.permutation_test import Fixed, partial_correlation
from pallor.evaluation.prior_work import reported
from pallor.evaluation.reproduction import placement
from pallor.models.preprocessing import partial_out, without_demographics

CLOSE = {"abs": 1e-9, "rel": 1e-9}


@pytest.fixture
def people():
    rng = np.random.default_rng(2)
    frame = pd.DataFrame(
        {
            "sex": np.where(rng.random(90) < 0.4, "male", "female"),
            "age_years": rng.uniform(18, 85, 90),
            "bmi": rng.normal(26, 4, 90),
        }
    )
    male = (frame["sex"] == "male").to_numpy(dtype=float)
    hb = 13.2 + 1.5 * male - 0.01 * frame["age_years"] * male + rng.normal(0, 1, 90)
    return frame.assign(hb=hb, feature=0.3 * hb + 0.8 * male + rng.normal(0, 1, 90))


@pytest.mark.parametrize(
    ("name", "terms"), [("sex_age", "sex * age_years"), ("sex_age_bmi", "sex * age_years + bmi")]
)
def test_baselines_are_ordinary_least_squares(people, name, terms):
    train, test = people.iloc[:60], people.iloc[60:]
    got = BASELINES[name].predict(train, train["hb"].to_numpy(), test)
    expected = formula.ols(f"hb ~ {terms}", train).fit().predict(test)
    np.testing.assert_allclose(got, expected, rtol=1e-9)


def test_calibration_is_the_regression_of_truth_on_prediction(people):
    y, p = people["hb"].to_numpy(), 10.0 + people["feature"].to_numpy()
    intercept, slope = sm.OLS(y, sm.add_constant(p)).fit().params
    assert metrics.calibration_slope(y, p) == pytest.approx(slope, **CLOSE)
    assert metrics.calibration_intercept_g_dl(y, p) == pytest.approx(intercept, **CLOSE)
    back = sm.OLS(p, sm.add_constant(y)).fit()
    assert metrics.prediction_slope(y, p) == pytest.approx(back.params[1], **CLOSE)
    assert metrics.r(y, p) ** 2 == pytest.approx(back.rsquared, **CLOSE)


def test_correlation_within_sex_is_the_partial_correlation(people):
    residuals = {
        name: formula.ols(f"{name} ~ sex", people).fit().resid for name in ("hb", "feature")
    }
    expected = np.corrcoef(residuals["hb"], residuals["feature"])[0, 1]
    stratum = (people["sex"] == "male").to_numpy(dtype=np.intp)
    fixed = Fixed(people["feature"].to_numpy()[None], None, stratum)
    (got,) = partial_correlation(people["hb"].to_numpy()[None], fixed)
    assert got == pytest.approx(expected, **CLOSE)


def test_what_is_left_without_sex_and_age_has_the_slope_of_the_full_regression(people):
    # Frisch, Waugh and Lovell: sex and age out of both sides, or in the model.
    full = formula.ols("hb ~ sex + age_years + feature", people).fit()
    known = np.column_stack([people["sex"] == "male", people["age_years"]]).astype(float)
    sides = people[["hb", "feature"]].to_numpy()
    hb, feature = without_demographics(sides, known, partial_out(sides, known)).T
    slope = (feature @ hb) / (feature @ feature)
    assert slope == pytest.approx(full.params["feature"], **CLOSE)


def test_bias_and_its_interval_are_those_of_one_sample(people):
    y, p = people["hb"].to_numpy(), 10.0 + people["feature"].to_numpy()
    got = bland_altman(y, p[None], np.arange(90), resample_counts(90, 0, 0))
    one = DescrStatsW(p - y)
    low, high = one.tconfint_mean()
    assert got.bias_g_dl.value == pytest.approx(one.mean, **CLOSE)
    assert got.sd_g_dl == pytest.approx(DescrStatsW(p - y, ddof=1).std, **CLOSE)
    assert (got.bias_g_dl.low, got.bias_g_dl.high) == pytest.approx((low, high), **CLOSE)


def test_share_of_seeds_has_the_interval_of_clopper_and_pearson():
    rng = np.random.default_rng(0)
    seeds = {
        "mae": rng.normal(0.8, 0.1, 100),
        "r": rng.normal(0.78, 0.05, 100),
        "r2": rng.normal(0.58, 0.05, 100),
    }
    share = placement(reported("gunes2026_stacking"), seeds).joint_share
    low, high = proportion_confint(round(100 * share.value), 100, method="beta")
    assert 0.0 < share.value < 1.0
    assert (share.low, share.high) == pytest.approx((low, high), **CLOSE)
