from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, roc_auc_score

from pallor.anemia import below
from pallor.evaluation.bootstrap import resample_counts
from pallor.evaluation.decision_curve import (
    PROBABILITIES,
    anemia_probability,
    decision_curve,
    net_benefit,
)
from pallor.evaluation.discrimination import RATES, auc_gain, auc_within, roc_points
from pallor.evaluation.screened import Screened, screened_units
from pallor.evaluation.screening import screen


def cohort(units=240, repeats=2, folds=4, per_person=1, resamples=200, seed=0):
    """Make women and men with their own cutoffs, several units a person, folds by person."""
    rng = np.random.default_rng(seed)
    people = units // per_person
    participant = np.repeat(np.arange(people), per_person)
    sex = np.where(rng.random(people) < 0.5, "female", "male")[participant].astype(object)
    threshold = np.where(sex == "female", 12.0, 13.0)
    measured = np.round(rng.normal(threshold + 1.0, 1.2), 1)
    fold = np.stack([(rng.permutation(people) % folds)[participant] for _ in range(repeats)])
    return Screened(
        measured,
        threshold,
        participant.astype(np.intp),
        fold.astype(np.intp),
        resample_counts(people, resamples, seed),
        {"sex": sex},
    )


def noisy(screened, noise=0.9, seed=1):
    rng = np.random.default_rng(seed)
    shape = screened.fold.shape
    return 0.6 * screened.measured + 5.2 + rng.normal(0, noise, shape)


def training_means(screened, by=None):
    """Predict the mean of the other folds, of everyone or of the same label."""
    predicted = np.empty(screened.fold.shape)
    labels = np.zeros(len(screened.measured)) if by is None else screened.strata[by]
    for row, folds in enumerate(screened.fold):
        for number in np.unique(folds):
            for label in set(labels):
                test = (folds == number) & (labels == label)
                train = (folds != number) & (labels == label)
                predicted[row, test] = screened.measured[train].mean()
    return predicted


# --- AUC ------------------------------------------------------------------------------------


def test_auc_of_one_fold_is_that_of_scikit_learn():
    one = cohort(repeats=3, folds=1)
    predicted = np.round(noisy(one), 1)
    result = screen(predicted, one)
    expected = [roc_auc_score(one.anemic, one.threshold - row) for row in predicted]
    assert result.overall.auc.value == pytest.approx(np.mean(expected), abs=1e-12)
    for stratum in result.strata:
        mask = one.strata["sex"] == stratum.label
        expected = [roc_auc_score(one.anemic[mask], -row[mask]) for row in predicted]
        assert stratum.auc.value == pytest.approx(np.mean(expected), abs=1e-12)


def brute_force(predicted, screened, masks):
    """Count pairs one by one."""
    areas = []
    for row, fold in zip(screened.threshold - predicted, screened.fold, strict=True):
        won = pairs = 0.0
        for mask in masks:
            for i in np.flatnonzero(mask & screened.anemic):
                for j in np.flatnonzero(mask & ~screened.anemic & (fold == fold[i])):
                    pairs += 1
                    won += (row[i] > row[j]) + 0.5 * (row[i] == row[j])
        areas.append(won / pairs)
    return np.mean(areas)


def test_auc_counts_the_pairs_of_one_fold_and_one_sex():
    screened = cohort(90, per_person=2)
    predicted = np.round(noisy(screened), 1)
    result = screen(predicted, screened)
    assert result.overall.auc.value == pytest.approx(
        brute_force(predicted, screened, [screened.known]), abs=1e-12
    )
    assert result.auc_within_sex.value == pytest.approx(
        brute_force(predicted, screened, screened.sexes), abs=1e-12
    )


def test_sex_alone_has_an_overall_auc_and_none_within_sex():
    screened = cohort(400, seed=5)
    women = screened.strata["sex"] == "female"
    measured = screened.measured - 1.0 * women  # anemia is more frequent in women
    screened = replace(screened, measured=measured)
    result = screen(training_means(screened, "sex"), screened)
    assert result.overall.auc.value > 0.6
    assert result.overall.auc.low > 0.55
    assert result.auc_within_sex.value == 0.5
    assert (result.auc_within_sex.low, result.auc_within_sex.high) == (0.5, 0.5)


def test_predictions_that_know_nothing_are_at_chance_not_below_it():
    screened = replace(cohort(200, folds=10, seed=2), threshold=np.full(200, 12.5))
    constant = training_means(screened)
    pooled = np.mean([roc_auc_score(screened.anemic, -row) for row in constant])
    assert pooled < 0.45  # what pooling over folds would say
    assert auc_within(constant, screened, (screened.known,)).value == 0.5


@given(st.floats(0.1, 10), st.integers(0, 3))
@settings(max_examples=20, deadline=None)
def test_auc_depends_on_the_order_alone(scale, seed):
    screened = cohort(80, resamples=20, seed=seed)
    scores = noisy(screened) - screened.threshold
    first = auc_within(screened.threshold + scores, screened, (screened.known,))
    second = auc_within(screened.threshold + np.sinh(scale * scores), screened, (screened.known,))
    assert first.value == pytest.approx(second.value, abs=1e-12)
    np.testing.assert_allclose(first.replicates, second.replicates, atol=1e-12)
    reverse = auc_within(screened.threshold - scores, screened, (screened.known,))
    assert first.value + reverse.value == pytest.approx(1.0, abs=1e-12)


def test_a_resample_is_the_auc_of_the_drawn_people():
    screened = cohort(120, per_person=2, repeats=1, folds=2)
    predicted = noisy(screened)
    drawn = np.repeat(np.arange(60), screened.counts[7])
    rows = np.concatenate([np.flatnonzero(screened.participant == one) for one in drawn])
    copy = replace(
        screened,
        measured=screened.measured[rows],
        threshold=screened.threshold[rows],
        participant=screened.participant[rows],
        fold=screened.fold[:, rows],
        strata={"sex": screened.strata["sex"][rows]},
    )
    replicate = auc_within(predicted, screened, screened.sexes).replicates[7]
    direct = auc_within(predicted[:, rows], copy, copy.sexes).value
    assert replicate == pytest.approx(direct, abs=1e-12)


def test_gain_is_paired_and_zero_over_itself():
    screened = cohort()
    good, bad = noisy(screened, 0.4), noisy(screened, 2.0, seed=9)
    for interval in auc_gain(good, good, screened).values():
        assert (interval.value, interval.low, interval.high) == (0, 0, 0)
    gain = auc_gain(good, bad, screened)
    assert gain["overall"].value == pytest.approx(
        screen(good, screened).overall.auc.value - screen(bad, screened).overall.auc.value
    )
    assert gain["within_sex"].low > 0


def test_roc_points_have_the_area_of_the_auc():
    screened = cohort(2000, repeats=2, folds=2, resamples=0)
    predicted = noisy(screened)
    points = roc_points(predicted, screened)
    assert (len(points), points[-1]) == (len(RATES), 1.0)
    assert np.all(np.diff(points) >= 0)
    auc = auc_within(predicted, screened, (screened.known,)).value
    assert np.trapezoid(points, RATES) == pytest.approx(auc, abs=0.01)


def test_roc_weighs_folds_by_their_pairs():
    screened = cohort(1200, repeats=1, resamples=0)
    predicted = noisy(screened, 0.3)
    small = np.arange(1200) < 60
    predicted[0, small] = noisy(screened, 30.0)[0, small]  # one small fold knows nothing
    screened = replace(screened, fold=np.where(small, 0, 1)[None])
    auc = auc_within(predicted, screened, (screened.known,)).value
    area = np.trapezoid(roc_points(predicted, screened), RATES)
    assert area == pytest.approx(auc, abs=0.01)


# --- at the cutoff ---------------------------------------------------------------------------


def test_fourfold_table_is_that_of_scikit_learn():
    screened = cohort(repeats=1)
    predicted = noisy(screened)
    point = screen(predicted, screened).overall.at_cutoff
    tn, fp, fn, tp = confusion_matrix(screened.anemic, predicted[0] < screened.threshold).ravel()
    assert (point.true_positives, point.false_positives) == (tp, fp)
    assert (point.true_negatives, point.false_negatives) == (tn, fn)
    assert point.sensitivity.value == pytest.approx(tp / (tp + fn))
    assert point.specificity.value == pytest.approx(tn / (tn + fp))
    assert point.ppv.value == pytest.approx(tp / (tp + fp))
    assert point.npv.value == pytest.approx(tn / (tn + fn))
    for share in (point.sensitivity, point.specificity, point.ppv, point.npv):
        assert 0 <= share.low < share.value < share.high <= 1


def test_counts_are_averaged_over_repeats():
    screened = cohort(repeats=3)
    predicted = noisy(screened)
    point = screen(predicted, screened).overall.at_cutoff
    tables = [confusion_matrix(screened.anemic, row < screened.threshold) for row in predicted]
    (tn, fp), (fn, tp) = np.mean(tables, axis=0)
    assert point.true_positives == pytest.approx(tp)
    assert point.ppv.value == pytest.approx(tp / (tp + fp))
    sensitivities = [table[1, 1] / table[1].sum() for table in tables]
    assert point.sensitivity.value == pytest.approx(np.mean(sensitivities))
    assert point.npv.value == pytest.approx(tn / (tn + fn))


def test_bootstrap_interval_of_sensitivity_is_near_the_binomial():
    screened = cohort(1200, repeats=1, resamples=2000)
    point = screen(noisy(screened), screened).overall.at_cutoff
    p, n = point.sensitivity.value, int(screened.anemic.sum())
    half = 1.96 * math.sqrt(p * (1 - p) / n)
    assert point.sensitivity.low == pytest.approx(p - half, abs=0.15 * half + 0.5 / n)
    assert point.sensitivity.high == pytest.approx(p + half, abs=0.15 * half + 0.5 / n)


def test_copies_of_a_unit_do_not_narrow_the_intervals():
    once = cohort(120, repeats=1)
    predicted = noisy(once)
    rows = np.repeat(np.arange(120), 3)
    thrice = replace(
        once,
        measured=once.measured[rows],
        threshold=once.threshold[rows],
        participant=once.participant[rows],
        fold=once.fold[:, rows],
        strata={"sex": once.strata["sex"][rows]},
    )
    first, second = screen(predicted, once).overall, screen(predicted[:, rows], thrice).overall
    for name in ("prevalence", "auc"):
        one, two = getattr(first, name), getattr(second, name)
        assert (two.value, two.low, two.high) == pytest.approx((one.value, one.low, one.high))
    one, two = first.at_cutoff.sensitivity, second.at_cutoff.sensitivity
    assert (two.value, two.low, two.high) == pytest.approx((one.value, one.low, one.high))


def test_prevalence_by_stratum_adds_up():
    screened = cohort(per_person=2)
    result = screen(noisy(screened), screened)
    assert result.overall.prevalence.value == pytest.approx(screened.anemic.mean())
    assert sum(s.units for s in result.strata) == result.overall.units == 240
    assert sum(s.at_cutoff.true_positives for s in result.strata) == pytest.approx(
        result.overall.at_cutoff.true_positives
    )
    assert result.overall.participants == 120


def test_adjusting_measured_and_predicted_alike_changes_nothing():
    screened = cohort()
    predicted = noisy(screened)
    added = np.random.default_rng(4).choice([0.0, 0.4, 2.1], 240)
    high = replace(
        screened, measured=screened.measured + added, threshold=screened.threshold + added
    )
    plain, moved = (
        screen(p, s).as_dict() for p, s in ((predicted, screened), (predicted + added, high))
    )
    assert json.loads(json.dumps(plain), parse_float=lambda x: round(float(x), 6)) == json.loads(
        json.dumps(moved), parse_float=lambda x: round(float(x), 6)
    )


# --- decision curve ---------------------------------------------------------------------------


def test_net_benefit_of_a_perfect_predictor_is_the_prevalence():
    screened = cohort()
    perfect = np.tile(screened.measured, (2, 1))
    curve = screen(perfect, screened).decision
    prevalence = screened.anemic.mean()
    assert [point.value for point in curve.model] == pytest.approx([prevalence] * 60)
    assert curve.probability == PROBABILITIES


def test_treat_all_follows_its_formula_and_is_0_at_the_prevalence():
    positive = np.arange(100) < 30
    counts = resample_counts(100, 50, 0)
    curve = decision_curve(np.ones((1, 100)), positive, np.arange(100), counts, (0.1, 0.3, 0.5))
    expected = [0.3 - 0.7 * p / (1 - p) for p in (0.1, 0.3, 0.5)]
    assert curve.treat_all == pytest.approx(expected)
    # A probability of 1 for everyone is treating all, of 0 treating none.
    assert [point.value for point in curve.model] == pytest.approx(expected)
    assert curve.treat_all[1] == pytest.approx(0.0, abs=1e-12)
    none = decision_curve(np.zeros((1, 100)), positive, np.arange(100), counts, (0.1, 0.5))
    assert [(p.value, p.low, p.high) for p in none.model] == [(0, 0, 0)] * 2
    assert none.as_dict()["treat_none"] == [0.0, 0.0]


def test_who_reaches_the_threshold_probability_is_acted_on():
    positive = np.array([True, False])
    probability = np.array([[0.2, 0.3]])
    curve = decision_curve(
        probability, positive, np.arange(2), resample_counts(2, 0, 0), (0.2, 0.3)
    )
    assert curve.model[0].value == pytest.approx(0.5 - 0.5 * 0.2 / 0.8)
    assert curve.model[1].value == pytest.approx(-0.5 * 0.3 / 0.7)


def test_net_benefit_agrees_with_counting():
    rng = np.random.default_rng(8)
    positive = rng.random(150) < 0.25
    probability = np.clip(0.25 + 0.3 * (positive - 0.25) + rng.normal(0, 0.2, (3, 150)), 0, 1)
    curve = decision_curve(probability, positive, np.arange(150), resample_counts(150, 0, 0))
    for p, point, treat_all in zip(curve.probability, curve.model, curve.treat_all, strict=True):
        values = []
        for row in probability:
            act = row >= p
            tp, fp = np.sum(act & positive), np.sum(act & ~positive)
            values.append(tp / 150 - fp / 150 * p / (1 - p))
        assert point.value == pytest.approx(np.mean(values), abs=1e-12)
        assert treat_all == pytest.approx(
            positive.mean() - (1 - positive.mean()) * p / (1 - p), abs=1e-12
        )
        assert math.isnan(point.low)  # no resamples, no interval


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 50), st.floats(0.01, 0.99))
def test_net_benefit_never_exceeds_the_prevalence(tp, fp, missed, p):
    n = tp + fp + missed
    value = net_benefit(np.array(tp), np.array(fp), np.array(n), np.array(p))
    assert value <= (tp + missed) / n
    assert value == pytest.approx(tp / n - (fp / n) * p / (1 - p))


def test_probability_comes_from_the_errors_of_other_folds():
    measured = np.array([12.0, 11.0, 13.0, 14.0, 10.0])
    predicted = np.array([[12.5, 11.8, 13.6, 13.0, 11.0]])
    threshold = np.array([12.0, 12.0, 13.0, 13.0, np.nan])
    fold = np.array([[0, 0, 1, 1, 1]])
    probability = anemia_probability(predicted, measured, threshold, fold)
    # Errors: -0.5, -0.8 in fold 0; -0.6, 1.0, -1.0 in fold 1 (a unit without threshold counts).
    np.testing.assert_allclose(probability[0, :4], [2 / 3, 2 / 3, 0.5, 1.0])
    assert math.isnan(probability[0, 4])


def test_a_units_own_fold_does_not_enter_its_probability():
    screened = cohort()
    predicted = noisy(screened)
    before = anemia_probability(predicted, screened.measured, screened.threshold, screened.fold)
    changed = screened.measured.copy()
    same_fold = screened.fold[0] == screened.fold[0, 0]
    changed[same_fold] -= 5.0
    after = anemia_probability(predicted, changed, screened.threshold, screened.fold)
    np.testing.assert_array_equal(before[0, same_fold], after[0, same_fold])
    assert (after[0, ~same_fold] > before[0, ~same_fold]).any()


def test_probabilities_are_calibrated_where_errors_do_not_depend_on_the_prediction():
    rng = np.random.default_rng(3)
    predicted = rng.normal(13.0, 1.0, (1, 6000))
    measured = predicted[0] + rng.normal(0, 0.8, 6000)
    threshold = np.full(6000, 12.5)
    fold = (np.arange(6000) % 5)[None]
    probability = anemia_probability(predicted, measured, threshold, fold)[0]
    anemic = below(measured, threshold)
    for low in (0.1, 0.3, 0.5, 0.7):
        inside = (probability >= low) & (probability < low + 0.2)
        assert anemic[inside].mean() == pytest.approx(probability[inside].mean(), abs=0.05)


@pytest.mark.parametrize("at", [(), (0.0,), (1.0,), (-0.1, 0.5)])
def test_threshold_probabilities_must_lie_between_0_and_1(at):
    with pytest.raises(ValueError, match="between 0 and 1"):
        decision_curve(
            np.ones((1, 4)), np.ones(4, bool), np.arange(4), resample_counts(4, 9, 0), at
        )
    with pytest.raises(ValueError, match="not a number"):
        decision_curve(
            np.full((1, 4), np.nan), np.ones(4, bool), np.arange(4), resample_counts(4, 9, 0)
        )


# --- what cannot be said ----------------------------------------------------------------------


def test_no_one_is_anemic():
    screened = cohort()
    screened = replace(screened, measured=screened.measured + 10.0)
    result = screen(noisy(screened), screened)
    assert (result.overall.anemic, result.overall.not_anemic) == (0, 240)
    assert result.overall.prevalence.value == 0.0
    assert 0 < result.overall.prevalence.high < 0.05
    assert math.isnan(result.overall.auc.value)
    assert math.isnan(result.auc_within_sex.value)
    assert math.isnan(result.overall.at_cutoff.sensitivity.value)
    assert result.overall.at_cutoff.specificity.value == 1.0
    assert result.roc is None
    assert any("No one is with anemia" in note for note in result.overall.notes)
    plain = json.loads(json.dumps(result.as_dict(), allow_nan=False))
    assert plain["overall"]["auc"] == {"value": None, "low": None, "high": None}
    assert plain["roc"] is None


def test_a_sex_without_anemia_is_noted_and_leaves_the_other():
    screened = cohort(400)
    men = screened.strata["sex"] == "male"
    screened = replace(screened, measured=screened.measured + 10.0 * men)
    predicted = noisy(screened)
    result = screen(predicted, screened)
    by_label = {stratum.label: stratum for stratum in result.strata}
    assert math.isnan(by_label["male"].auc.value)
    assert any("No one is with anemia" in note for note in by_label["male"].notes)
    assert result.auc_within_sex.value == by_label["female"].auc.value
    assert by_label["female"].notes == ()


def test_few_people_in_a_class_are_noted():
    screened = cohort(100, per_person=2)
    order = np.argsort(screened.measured - screened.threshold)
    measured = screened.threshold + 1.0
    measured[order[:9]] = 11.0
    screened = replace(screened, measured=measured)
    overall = screen(noisy(screened), screened).overall
    people = len(set(screened.participant[order[:9]]))
    assert overall.anemic == people < 20
    assert any(f"Only {people} participants with anemia" in note for note in overall.notes)


def test_when_no_one_is_called_anemic():
    screened = cohort()
    result = screen(np.full(screened.fold.shape, 15.0), screened)
    point = result.overall.at_cutoff
    assert (point.sensitivity.value, point.specificity.value) == (0.0, 1.0)
    assert math.isnan(point.ppv.value)
    assert point.npv.value == pytest.approx(1 - screened.anemic.mean())
    assert 0 < point.sensitivity.high < 0.2  # nothing found among some is not surely nothing
    assert any("no positive predictive value" in note for note in result.overall.notes)
    assert result.overall.auc.value == pytest.approx(
        screen(np.full(screened.fold.shape, 9.0), screened).overall.auc.value
    )


def test_units_without_threshold_are_left_out():
    screened = cohort()
    predicted = noisy(screened)
    threshold = screened.threshold.copy()
    threshold[:40] = np.nan
    partly = screen(predicted, replace(screened, threshold=threshold))
    assert (partly.without_threshold, partly.overall.units) == (40, 200)
    assert sum(stratum.units for stratum in partly.strata) == 200
    assert any("40 units have no anemia threshold" in note for note in partly.notes)
    point = partly.overall.at_cutoff
    table = confusion_matrix(
        screened.anemic[40:], predicted[0, 40:] < threshold[40:]
    ) + confusion_matrix(screened.anemic[40:], predicted[1, 40:] < threshold[40:])
    assert point.true_positives == table[1, 1] / 2

    nothing = screen(predicted, replace(screened, threshold=np.full(240, np.nan)))
    assert (nothing.overall.units, nothing.decision, nothing.strata) == (0, None, ())
    assert math.isnan(nothing.overall.prevalence.value)
    json.dumps(nothing.as_dict(), allow_nan=False)


def test_one_fold_has_no_other_to_take_errors_from():
    screened = cohort(folds=1)
    result = screen(noisy(screened), screened)
    assert result.decision is None
    assert any("No decision curve" in note for note in result.notes)


def test_unknown_sex_is_a_stratum_but_not_a_sex():
    screened = cohort()
    sex = screened.strata["sex"].copy()
    sex[:60] = "unknown"
    screened = replace(screened, strata={"sex": sex})
    result = screen(noisy(screened), screened)
    assert [stratum.label for stratum in result.strata] == ["female", "male", "unknown"]
    assert len(screened.sexes) == 2
    bare = screen(noisy(screened), replace(screened, strata={}))
    assert math.isnan(bare.auc_within_sex.value)
    assert any("No sex is known" in note for note in bare.notes)


def test_what_does_not_fit_together_is_refused():
    screened = cohort()
    with pytest.raises(ValueError, match="finite prediction"):
        screen(noisy(screened)[:1], screened)
    with pytest.raises(ValueError, match="finite prediction"):
        screen(np.full(screened.fold.shape, np.nan), screened)
    with pytest.raises(ValueError, match="vectors of units"):
        replace(screened, threshold=screened.threshold[:-1])
    with pytest.raises(ValueError, match=r"fold is \(repeats, units\)"):
        replace(screened, fold=screened.fold[:, :-1])
    with pytest.raises(ValueError, match="labels of strata are text"):
        replace(screened, strata={"sex": np.full(240, None, dtype=object)})
    with pytest.raises(ValueError, match="not a number"):
        replace(screened, measured=np.full(240, np.nan))


def test_screened_units_judge_both_by_the_same_raw_threshold():
    frame = pd.DataFrame(
        {
            "hemoglobin_g_dl": [12.1, 12.1, 12.1, 13.5],
            "sex": ["female", "female", "female", None],
            "age_years": [30.0, 30.0, 30.0, 40.0],
            "altitude_m": [0.0, 700.0, 0.0, 0.0],
            "smoking": ["no", "no", "yes", "no"],
        }
    )
    screened, thresholds = screened_units(
        frame, np.arange(4), np.array([[0, 0, 1, 1]]), resample_counts(4, 10, 0)
    )
    np.testing.assert_array_equal(screened.threshold, [12.0, 12.4, 12.3, np.nan])
    assert list(screened.anemic) == [False, True, True, False]
    assert thresholds.unknown == {"sex_unknown": 1}
    assert list(screened.strata) == ["sex", "altitude", "smoking"]
    labels = [(s.by, s.label) for s in screen(np.full((1, 4), 12.1), screened).strata]
    assert labels == [
        ("sex", "female"),
        ("altitude", "500 m or higher"),
        ("altitude", "below 500 m"),
        ("smoking", "non-smoker"),
        ("smoking", "smoker"),
    ]
