from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy.stats import binom, kstest

from pallor.evaluation import metrics
from pallor.evaluation.exchange import exchange_groups, permute
from pallor.evaluation.permutation_test import (
    STATISTICS,
    Fixed,
    incremental_r2,
    partial_correlation,
    permutation_test,
    refitted_permutation_test,
)
from pallor.evaluation.result import without_nan


def people(n=80, seed=0):
    rng = np.random.default_rng(seed)
    male = np.arange(n) % 2
    measured = 13.4 + 1.6 * male + rng.normal(0, 1.2, n)
    return rng, male, measured, np.where(male, "male", "female").astype(object)


def test_statistics_are_what_their_names_say():
    rng, male, measured, _ = people()
    predicted = measured + rng.normal(size=(2, 80))
    reference = 13.4 + 1.6 * male + rng.normal(0, 0.1, (2, 80))
    fixed = Fixed(predicted, reference, male)
    shuffled = np.stack([measured, rng.permutation(measured)])
    gains = [
        np.mean(
            [metrics.r2(y, p) - metrics.r2(y, b) for p, b in zip(predicted, reference, strict=True)]
        )
        for y in shuffled
    ]
    assert incremental_r2(shuffled, fixed) == pytest.approx(gains)

    def residual(values):
        return values - np.array([values[male == 0].mean(), values[male == 1].mean()])[male]

    partial = [np.mean([metrics.r(residual(y), residual(p)) for p in predicted]) for y in shuffled]
    assert partial_correlation(shuffled, fixed) == pytest.approx(partial)


def test_whole_participants_change_places_within_their_stratum():
    participant = np.array([0, 0, 1, 1, 2, 3, 4, 4, 5, 6, 6, 7])
    strata = np.array(
        ["f", "f", "f", "f", "f", "f", "m", "m", "unknown", "m", "f", "unknown"], dtype=object
    )
    groups = exchange_groups(participant, strata)
    # 4 is alone in its stratum, 5 and 7 have no sex, 6 has two.
    assert [group.tolist() for group in groups] == [[[0, 1], [2, 3]], [[4], [5]]]
    values = np.arange(12.0)
    rows = permute(values, groups, np.random.default_rng(0), 200)
    assert {tuple(row[:4]) for row in rows} == {(0, 1, 2, 3), (2, 3, 0, 1)}
    assert {tuple(row[4:6]) for row in rows} == {(4, 5), (5, 4)}
    assert (rows[:, 6:] == values[6:]).all()


def test_every_order_is_equally_likely():
    rows = permute(np.arange(3.0), [np.arange(3)[:, None]], np.random.default_rng(1), 6000)
    orders, counts = np.unique(rows, axis=0, return_counts=True)
    assert len(orders) == 6
    low, high = binom.interval(0.9999, 6000, 1 / 6)
    assert ((counts >= low) & (counts <= high)).all()


@pytest.mark.parametrize("name", STATISTICS)
def test_p_is_uniform_where_predictions_know_only_sex(name):
    p_values = []
    for seed in range(300):
        rng, male, measured, strata = people(seed=seed)
        predicted = 13.4 + 1.6 * male + rng.normal(size=(1, 80))
        reference = np.broadcast_to(13.4 + 1.6 * male, (1, 80))
        p_values.append(
            permutation_test(
                measured, predicted, np.arange(80), strata,
                reference=reference, statistic=name, cross_fitted=False, permutations=99, seed=seed,
            ).p_value
        )  # fmt: skip
    # p lies on 0.01, 0.02, ..., 1; half a step down and it is uniform but for the steps.
    assert kstest(np.array(p_values) - 0.005, "uniform").pvalue > 0.001
    assert min(p_values) == pytest.approx(0.01)


def test_signal_within_sex_is_found():
    rng, male, measured, strata = people()
    predicted = (measured + rng.normal(0, 1.5, 80))[None]
    reference = (13.4 + 1.6 * male)[None]
    for given in (None, reference):
        found = permutation_test(measured, predicted, np.arange(80), strata, reference=given)
        assert found.p_value == pytest.approx(1 / 1001)
        assert found.observed > found.null_high > found.null_mean
    assert found.statistic == "incremental_r2"


def test_sex_alone_is_no_signal_though_it_predicts_well():
    rng, male, measured, strata = people(200)
    predicted = (13.4 + 1.6 * male + rng.normal(0, 0.05, 200))[None]
    assert metrics.r(measured, predicted[0]) > 0.4
    within = permutation_test(measured, predicted, np.arange(200), strata, cross_fitted=False)
    assert within.p_value > 0.05
    everybody = np.full(200, "all", dtype=object)
    across = permutation_test(measured, predicted, np.arange(200), everybody, cross_fitted=False)
    assert across.p_value < 0.01


def noise_cohort(seed, n=100, features=10, folds=5):
    """A cohort of noise, and the matrices that turn labels into out-of-fold predictions."""
    rng, male, measured, strata = people(n, seed)
    X, fold = rng.normal(size=(n, features)), rng.permutation(n) % folds
    known = np.column_stack([np.ones(n), male, rng.uniform(-3, 3, n)])
    reference, model = np.zeros((n, n)), np.zeros((n, n))
    for k in range(folds):
        train, test = fold != k, fold == k
        line = np.linalg.pinv(known[train])
        rest = np.eye(train.sum()) - known[train] @ line
        inverse = np.linalg.inv(X[train].T @ X[train] + 10 * np.eye(features))
        ridge = X[test] @ inverse @ X[train].T @ rest
        reference[np.ix_(test, train)] = known[test] @ line
        model[np.ix_(test, train)] = known[test] @ line + ridge
    return measured, strata, lambda y: ((model @ y)[None], (reference @ y)[None])


def test_cross_fitted_noise_is_significant_too_often_unless_the_null_is_widened():
    trials, found = 300, {True: 0, False: 0}
    for seed in range(trials):
        measured, strata, predict = noise_cohort(seed)
        predicted, reference = predict(measured)
        for widened in found:
            p = permutation_test(
                measured, predicted, np.arange(100), strata,
                reference=reference, cross_fitted=widened, permutations=199, seed=seed,
            ).p_value  # fmt: skip
            found[widened] += p <= 0.05
    assert found[True] <= binom.ppf(0.999, trials, 0.05)
    assert found[False] > binom.ppf(0.99, trials, 0.05)


def test_refitting_is_exact():
    trials, p_values = 200, []
    for seed in range(trials):
        measured, strata, predict = noise_cohort(seed, n=40, features=3)
        male = (strata == "male").astype(int)

        def score(y, predict=predict, male=male):
            predicted, reference = predict(y)
            return float(incremental_r2(y[None], Fixed(predicted, reference, male))[0])

        found = refitted_permutation_test(
            measured, np.arange(40), strata, score, permutations=19, seed=seed
        )
        assert found.refitted
        p_values.append(found.p_value)
    assert kstest(np.array(p_values) - 0.025, "uniform").pvalue > 0.001


def test_the_unknown_keep_their_values_and_are_counted():
    rng, _, measured, strata = people()
    strata[:10] = "unknown"
    predicted = (measured + rng.normal(size=80))[None]
    found = permutation_test(measured, predicted, np.arange(80), strata)
    assert (found.participants, found.exchanged) == (80, 70)
    assert "10 of 80 participants kept their values" in found.sentence
    nobody = permutation_test(measured, predicted, np.arange(80), np.full(80, "unknown", object))
    assert math.isnan(nobody.p_value)
    assert "nobody can be exchanged" in nobody.sentence
    assert json.loads(json.dumps(without_nan(nobody.as_dict())))["p_value"] is None


def test_a_constant_is_no_finding():
    _, male, measured, strata = people()
    constant = (13.4 + 1.6 * male)[None].astype(float)
    found = permutation_test(measured, constant, np.arange(80), strata, reference=constant)
    assert (found.observed, found.p_value) == (0.0, 1.0)
    alone = permutation_test(measured, np.zeros((1, 80)), np.arange(80), strata)
    assert math.isnan(alone.p_value)


def test_equal_seeds_give_equal_p():
    rng, _, measured, strata = people()
    predicted = (measured + rng.normal(0, 6, 80))[None]

    def p_value(seed):
        return permutation_test(measured, predicted, np.arange(80), strata, seed=seed).p_value

    assert p_value(3) == p_value(3)
    assert len({p_value(seed) for seed in range(5)}) > 1


def test_what_does_not_fit_is_refused():
    _, _, measured, strata = people()
    predicted = measured[None]
    with pytest.raises(ValueError, match="every unit needs"):
        permutation_test(measured, predicted * np.nan, np.arange(80), strata)
    with pytest.raises(ValueError, match="do not fit"):
        permutation_test(measured, predicted[:, :-1], np.arange(80), strata)
    with pytest.raises(ValueError, match="needs the predictions of a reference"):
        permutation_test(measured, predicted, np.arange(80), strata, statistic="incremental_r2")
    with pytest.raises(ValueError, match="must be one of"):
        permutation_test(measured, predicted, np.arange(80), strata, statistic="mae")
    with pytest.raises(ValueError, match="at least 1"):
        permutation_test(measured, predicted, np.arange(80), strata, permutations=0)
