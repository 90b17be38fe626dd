from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from pallor.evaluation import metrics
from pallor.evaluation.bootstrap import resample_counts
from pallor.evaluation.groupings import (
    GROUPINGS,
    group_names,
    ita_of_rows,
    labels_of,
    unit_attributes,
)
from pallor.evaluation.resampling import Resampled, ratio, resampled, share_interval, sums_of
from pallor.evaluation.result import without_nan
from pallor.evaluation.subgroups import largest_difference, subgroup_scores


def cohort(people=80, seed=0, repeats=2, sessions=1):
    rng = np.random.default_rng(seed)
    participant = np.repeat(np.arange(people), sessions)
    n = len(participant)
    sex = np.where(np.arange(people) % 2, "male", "female").astype(object)[participant]
    units = pd.DataFrame(
        {
            "participant_id": [f"p{i}" for i in participant],
            "sex": sex,
            "age_years": rng.uniform(5, 90, people)[participant],
            "camera": "phone",
            "site": np.where(participant < 10, "ward", "clinic"),
            "ita_deg": rng.uniform(-60, 80, people)[participant],
        }
    )
    measured = rng.normal(13.5, 1.6, n)
    predicted = measured + rng.normal(0.2, 1.0, (repeats, n))
    return units, measured, predicted, participant


def by_name(results):
    return {result.grouping: result for result in results}


def groups_of(result):
    return {group.label: group for group in result.groups}


def labels(name, values):
    grouping = GROUPINGS[name]
    return labels_of(grouping, pd.DataFrame({grouping.column: values})).tolist()


def test_bounds_of_the_groups():
    assert labels("age", [0.5, 17.99, 18, 39.9, 40, 59.99, 60, 101, np.nan]) == [
        "<18", "<18", "18-39", "18-39", "40-59", "40-59", ">=60", ">=60", "unknown",
    ]  # fmt: skip
    assert labels("ita", [55.1, 55, 41, 28, 10, -30, -31, np.nan]) == [
        "very_light", "light", "intermediate", "tan", "brown", "dark", "dark", "unknown",
    ]  # fmt: skip
    assert labels("sex", ["female", "male", None, "other"]) == [
        "female", "male", "unknown", "unknown",
    ]  # fmt: skip
    assert labels("camera", ["a", "", None, "b"]) == ["a", "unknown", "unknown", "b"]
    names = group_names(GROUPINGS["age"], np.array([">=60", "unknown", "<18", "18-39"], object))
    assert names == ["<18", "18-39", ">=60", "unknown"]


def test_skin_tone_falls_back_from_both_cheeks_to_what_is_known():
    table = pd.DataFrame(
        {
            "color.left_cheek.ita.of_means": [10.0, np.nan, 30.0, np.nan, np.nan],
            "color.right_cheek.ita.of_means": [50.0, 40.0, np.nan, np.nan, np.nan],
            "color.forehead.ita.of_means": [0.0, 20.0, np.nan, np.nan, np.nan],
            "color.chin.ita.of_means": [0.0, 0.0, 0.0, 12.0, np.nan],
            "color.lips.ita.of_means": [1.0, 1.0, 1.0, 1.0, 1.0],
        }
    ).astype(np.float32)
    assert np.array_equal(ita_of_rows(table), [30.0, 20.0, 30.0, 12.0, np.nan], equal_nan=True)
    assert np.isnan(ita_of_rows(table[["color.lips.ita.of_means"]])).all()


def test_units_take_what_their_clips_share():
    table = pd.DataFrame(
        {
            "camera": ["a", "b", "a", "a", None, None],
            "color.forehead.ita.of_means": [10.0, 20.0, np.nan, 40.0, np.nan, np.nan],
        }
    )
    units = unit_attributes(table, np.array([0, 0, 1, 1, 2, 2]))
    assert units["camera"].tolist()[:2] == ["several", "a"]
    assert labels("camera", units["camera"]) == ["several", "a", "unknown"]
    assert np.array_equal(units["ita_deg"], [15.0, 40.0, np.nan], equal_nan=True)
    assert "site" not in units


def test_scores_are_those_of_a_naive_bootstrap_over_participants():
    units, measured, predicted, participant = cohort(people=50, sessions=2)
    # One unit a participant for the limits, whose components of variance have their own tests.
    once = np.arange(0, 100, 2)
    units, measured, predicted = units.iloc[once], measured[once], predicted[:, once]
    participant = participant[once]
    counts = resample_counts(50, 200, seed=1)
    thresholds = np.where(units["sex"] == "male", 13.0, 12.0)
    result = by_name(
        subgroup_scores(units, measured, predicted, participant, counts, thresholds_g_dl=thresholds)
    )["sex"]
    women = np.flatnonzero(units["sex"] == "female")

    def scores(chosen):
        y, t = measured[chosen], thresholds[chosen]
        values = []
        for row in predicted:
            p = row[chosen]
            low, high = metrics.limits_of_agreement(y, p)
            values.append(
                [
                    metrics.mae(y, p), metrics.bias(y, p), low, high, metrics.r2(y, p),
                    np.mean(p[y < t] < t[y < t]), np.mean(p[y >= t] >= t[y >= t]),
                ]
            )  # fmt: skip
        return np.mean(values, axis=0)

    expected = scores(women)
    drawn = np.array([scores(np.repeat(women, row[participant[women]])) for row in counts])
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
    group = groups_of(result)["female"]
    names = ["mae", "bias", "limit_low_g_dl", "limit_high_g_dl", "r2", "sensitivity", "specificity"]
    assert list(group.scores) == names
    for i, name in enumerate(names):
        found = group.scores[name]
        assert found.value == pytest.approx(expected[i]), name
        assert (found.low, found.high) == pytest.approx((low[i], high[i])), name
    anemic = measured[women] < thresholds[women]
    assert (group.anemic_participants, group.other_participants) == (anemic.sum(), (~anemic).sum())


def test_clips_of_one_participant_are_drawn_together():
    units, measured, predicted, participant = cohort(people=30, sessions=3)
    units["sex"] = "female"
    counts = resample_counts(30, 150, seed=2)
    group = by_name(subgroup_scores(units, measured, predicted, participant, counts))["sex"].groups
    error = np.abs(predicted - measured).mean(axis=0)
    drawn = [
        np.mean(np.concatenate([error[participant == i] for i in np.repeat(np.arange(30), row)]))
        for row in counts
    ]
    assert (group[0].scores["mae"].low, group[0].scores["mae"].high) == pytest.approx(
        tuple(np.quantile(drawn, (0.025, 0.975)))
    )
    assert (group[0].participants, group[0].units) == (30, 90)


def test_nobody_is_dropped_and_the_unknown_are_not_compared():
    units, measured, predicted, participant = cohort(people=90)
    units.loc[units.index % 3 == 0, ["sex", "age_years", "camera", "site", "ita_deg"]] = np.nan
    results = by_name(
        subgroup_scores(units, measured, predicted, participant, resample_counts(90, 100, 0))
    )
    assert set(results) == set(GROUPINGS)
    for result in results.values():
        assert sum(group.units for group in result.groups) == 90
        assert sum(group.participants for group in result.groups) == 90
        unknown = groups_of(result)["unknown"]
        assert unknown.participants == 30
        assert unknown.scores["mae"].value > 0
        assert "Not compared: unknown (30)" in result.sentence
    assert {results["sex"].difference.largest, results["sex"].difference.smallest} == {
        "female",
        "male",
    }


def test_fewer_than_twenty_participants_get_no_score_and_no_conclusion():
    units, measured, predicted, participant = cohort(people=80)
    units["site"] = np.where(np.arange(80) < 19, "ward", "clinic")
    counts = resample_counts(80, 100, 0)
    result = by_name(subgroup_scores(units, measured, predicted, participant, counts))["site"]
    ward, clinic = groups_of(result)["ward"], groups_of(result)["clinic"]
    assert (ward.participants, ward.too_few, dict(ward.scores)) == (19, True, {})
    assert not clinic.too_few
    assert result.difference is None
    assert result.sentence.startswith("No conclusion by site")
    assert "ward (19)" in result.sentence
    units["site"] = np.where(np.arange(80) < 20, "ward", "clinic")
    enough = by_name(subgroup_scores(units, measured, predicted, participant, counts))["site"]
    assert enough.difference is not None


def test_participants_count_not_their_units():
    units, measured, predicted, participant = cohort(people=19, sessions=4)
    result = subgroup_scores(units, measured, predicted, participant, resample_counts(19, 50, 0))
    assert all(group.too_few for grouping in result for group in grouping.groups)


def test_a_column_that_is_absent_is_told():
    units, measured, predicted, participant = cohort(people=40)
    results = by_name(
        subgroup_scores(
            units[["sex"]], measured, predicted, participant, resample_counts(40, 50, 0)
        )
    )
    assert results["site"].sentence == "No conclusion by site: the table has no site."
    assert groups_of(results["site"])["unknown"].units == 40


def test_real_differences_are_found_with_the_right_sign():
    units, measured, predicted, participant = cohort(people=200)
    wide = (units["sex"] == "male").to_numpy()
    predicted[:, wide] = measured[wide] + 3 * (predicted[:, wide] - measured[wide])
    counts = resample_counts(200, 500, 0)
    result = by_name(subgroup_scores(units, measured, predicted, participant, counts))["sex"]
    difference = result.difference
    assert (difference.largest, difference.smallest) == ("male", "female")
    found = groups_of(result)
    gap = found["male"].scores["mae"].value - found["female"].scores["mae"].value
    assert difference.mae.value == pytest.approx(gap)
    assert difference.mae.low > 0
    assert result.sentence.startswith("The mean absolute error differs by sex")


def test_equal_groups_are_rarely_called_different_however_many_there_are():
    # The naive interval of "largest minus smallest" would nearly always leave out 0.
    rng = np.random.default_rng(5)
    groups, people, trials, alarms, naive = 6, 40, 300, 0, 0
    for trial in range(trials):
        error = np.abs(rng.normal(size=(groups, people)))
        drawn = rng.integers(0, people, (200, people))
        scores = {
            str(i): Resampled(float(row.mean()), row[drawn].mean(axis=1))
            for i, row in enumerate(error)
        }
        difference = largest_difference(scores)
        alarms += bool(difference.mae.low > 0)
        top, bottom = scores[difference.largest], scores[difference.smallest]
        naive += bool(top.minus(bottom).interval().low > 0)
        assert difference.mae.value == pytest.approx(np.ptp(error.mean(axis=1))), trial
    assert alarms <= 0.09 * trials  # three standard errors above 5 %
    assert naive > 0.2 * trials


def test_a_difference_needs_two_groups_and_resamples():
    score = Resampled(1.0, np.array([0.9, 1.1]))
    assert largest_difference({"a": score}) is None
    none = Resampled(2.0, np.empty(0))
    difference = largest_difference({"a": Resampled(1.0, np.empty(0)), "b": none})
    assert difference.mae.value == 1.0
    assert math.isnan(difference.mae.low)


def test_a_share_of_all_keeps_a_width():
    # Everybody right in every resample: the exact limit for 30 of 30 is 0.025^(1/30) = 0.884.
    sums = sums_of((np.ones(30), np.ones(30)), np.arange(30), 30)[None]
    share = resampled(ratio, sums, resample_counts(30, 100, 0))
    interval = share_interval(share, 30)
    assert (interval.value, interval.high) == (1.0, 1.0)
    assert interval.low == pytest.approx(0.8843, abs=1e-4)
    nobody = resampled(ratio, sums * [0.0, 1.0], resample_counts(30, 100, 0))
    assert share_interval(nobody, 30).high == pytest.approx(1 - 0.8843, abs=1e-4)


def test_without_a_threshold_a_unit_is_in_neither_share():
    units, measured, predicted, participant = cohort(people=40)
    units["sex"] = "female"
    thresholds = np.where(np.arange(40) < 30, 20.0, np.nan)
    (group,) = by_name(
        subgroup_scores(
            units, measured, predicted, participant, resample_counts(40, 50, 0),
            thresholds_g_dl=thresholds,
        )
    )["sex"].groups  # fmt: skip
    assert (group.anemic_participants, group.other_participants) == (30, 0)
    assert group.scores["sensitivity"].value == 1.0
    assert math.isnan(group.scores["specificity"].value)


def test_shapes_must_fit():
    units, measured, predicted, participant = cohort(people=30)
    counts = resample_counts(30, 10, 0)
    with pytest.raises(ValueError, match="do not fit"):
        subgroup_scores(units, measured, predicted[:, :-1], participant, counts)
    with pytest.raises(ValueError, match="differ"):
        subgroup_scores(units.iloc[:-1], measured, predicted, participant, counts)


def test_a_prediction_that_is_missing_is_refused():
    units, measured, predicted, participant = cohort(people=30)
    predicted[1, 3] = np.nan
    with pytest.raises(ValueError, match="every unit needs"):
        subgroup_scores(units, measured, predicted, participant, resample_counts(30, 10, 0))


def test_json_is_plain():
    import json

    units, measured, predicted, participant = cohort(people=60)
    results = subgroup_scores(units, measured, predicted, participant, resample_counts(60, 50, 0))
    text = json.dumps(without_nan([result.as_dict() for result in results]), allow_nan=False)
    assert "uncalibrated" in text
