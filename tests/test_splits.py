from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pallor.cohort.folds import components
from pallor.errors import FeatureTableError, UsageError
from pallor.evaluation.splits import (
    Split,
    assert_disjoint,
    assert_each_once,
    inner_groups,
    make_plan,
)
from pallor.evaluation.unit import mean_of_units, unit_of_rows, units_of_table


def cohort(people=30, clips=3, seed=0):
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(people), clips)
    return pd.DataFrame(
        {
            "participant_id": [f"p{i:02d}" for i in person],
            "clip": [f"{i}.mp4" for i in range(len(person))],
            "hemoglobin_g_dl": rng.normal(13, 1.5, people)[person],
            "session": np.tile(["a", "a", "b"], people)[: len(person)],
            "site": np.array(["north", "south", "west"])[person % 3],
            "file_sha256": [f"f{i}" for i in range(len(person))],
        }
    )


def plan_of(table, **options):
    return make_plan(table, components(table), **options)


@pytest.mark.parametrize(
    "options",
    [{}, {"protocol": "quick"}, {"protocol": "group", "group": "site"}, {"folds": 3, "repeats": 4}],
)
def test_no_participant_is_on_both_sides_and_every_row_is_tested_once_a_repeat(options):
    table = cohort()
    plan = plan_of(table, **options)
    people = table["participant_id"].to_numpy()
    for split in plan.splits:
        assert not set(people[split.train]) & set(people[split.test])
        assert len(split.train) + len(split.test) == len(table)
    tested = np.bincount(np.concatenate([split.test for split in plan.splits]))
    assert (tested == plan.repeats).all()


def test_defaults_are_five_folds_twice_and_three_once_when_quick():
    plan = plan_of(cohort())
    assert (plan.folds, plan.repeats, len(plan.splits)) == (5, 2, 10)
    quick = plan_of(cohort(), protocol="quick")
    assert (quick.folds, quick.repeats) == (3, 1)


def test_people_who_share_a_clip_stay_together():
    table = cohort()
    table.loc[table.index[-1], "file_sha256"] = table["file_sha256"][0]
    for seed in range(8):
        for split in plan_of(table, seed=seed).splits:
            assert (0 in split.test) == (len(table) - 1 in split.test)


def test_planted_leak_is_caught():
    table = cohort()
    numbers = components(table)
    rows = np.arange(len(table))
    # The naive split by clip: the third clip of everyone is tested.
    with pytest.raises(AssertionError, match="share 30 participants"):
        assert_disjoint(rows[rows % 3 != 2], rows[rows % 3 == 2], numbers)
    with pytest.raises(AssertionError, match="share rows"):
        assert_disjoint(rows, rows[:3], numbers)
    with pytest.raises(AssertionError, match="empty"):
        assert_disjoint(rows, rows[:0], numbers)
    assert_disjoint(rows[3:], rows[:3], numbers)


def test_row_that_is_tested_twice_is_caught():
    a, b = np.arange(3), np.arange(3, 6)
    splits = [Split(0, 0, "0", b, a), Split(0, 1, "1", a, b)]
    assert_each_once(splits, 6)
    with pytest.raises(AssertionError, match="exactly once"):
        assert_each_once([splits[0], splits[0]], 6)


def test_repeats_differ_and_seeds_repeat():
    first, again, other = (plan_of(cohort(), seed=seed) for seed in (0, 0, 7))
    tests = [[tuple(split.test) for split in plan.splits] for plan in (first, again, other)]
    assert tests[0] == tests[1]
    assert tests[0] != tests[2]
    assert tests[0][:5] != tests[0][5:]


def test_every_fold_sees_low_and_high_hemoglobin():
    table = cohort(people=100, clips=1)
    overall = table["hemoglobin_g_dl"].mean()
    for split in plan_of(table).splits:
        assert table["hemoglobin_g_dl"].iloc[split.test].mean() == pytest.approx(overall, abs=0.5)


def test_group_holds_out_each_site_by_name():
    plan = plan_of(cohort(), protocol="group", group="site")
    assert [split.label for split in plan.splits] == ["north", "south", "west"]
    assert plan.group == "site"
    assert not plan.notes


def test_copies_across_sites_go_to_one_site_and_are_told():
    table = cohort()
    # p00 (north) shares a clip with p01 (south).
    table.loc[3, "file_sha256"] = "f0"
    plan = plan_of(table, protocol="group", group="site")
    for split in plan.splits:
        assert len(np.intersect1d(split.test, np.arange(6))) in (0, 6)
    assert "3 clips were held out with the site" in plan.notes[0]


def test_given_folds_are_used():
    table = cohort()
    table["fold"] = np.repeat(np.arange(30) % 4, 3)
    plan = plan_of(table, protocol="fold")
    assert plan.folds == 4
    for split in plan.splits:
        assert (table["fold"].iloc[split.test].astype(str) == split.label).all()


def test_session_that_everyone_has_cannot_be_held_out():
    with pytest.raises(FeatureTableError, match=r"session cannot be held out.*nested"):
        plan_of(cohort(), protocol="group", group="session")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": "magic"}, "nested"),
        ({"protocol": "group"}, "site, camera, session"),
        ({"protocol": "nested", "group": "site"}, "group"),
        ({"protocol": "group", "group": "hemoglobin_g_dl"}, "site, camera, session"),
        ({"folds": 1}, "2 folds"),
        ({"repeats": 0}, "1 repeat"),
    ],
)
def test_options_without_sense_are_usage_errors(options, message):
    with pytest.raises(UsageError, match=message):
        plan_of(cohort(), **options)


def test_absent_and_incomplete_columns_are_named():
    with pytest.raises(FeatureTableError, match="no camera"):
        plan_of(cohort(), protocol="group", group="camera")
    table = cohort()
    table.loc[2, "site"] = None
    with pytest.raises(FeatureTableError, match="1 clips have no site"):
        plan_of(table, protocol="group", group="site")


def test_too_few_participants_are_refused_with_advice():
    with pytest.raises(FeatureTableError, match=r"5 independent participants.*add labeled"):
        plan_of(cohort(people=5))


def test_folds_shrink_with_the_cohort_and_say_so():
    plan = plan_of(cohort(people=7))
    assert plan.folds == 3
    assert "3 folds instead of 5" in plan.notes[0]


def test_unit_is_participant_and_session():
    table = cohort(people=2)
    assert unit_of_rows(table).tolist() == [0, 0, 1, 2, 2, 3]
    assert unit_of_rows(table.drop(columns="session")).tolist() == [0, 0, 0, 1, 1, 1]
    assert unit_of_rows(table, "clip").tolist() == list(range(6))
    with pytest.raises(UsageError, match="participant_session"):
        unit_of_rows(table, "frame")


def test_clips_without_a_session_form_one_session():
    table = cohort(people=2)
    table["session"] = [None, None, "b", np.nan, "a", None]
    assert unit_of_rows(table).tolist() == [0, 0, 1, 2, 3, 2]


def test_equal_session_names_of_two_people_are_two_units():
    table = cohort(people=2, clips=1)
    assert len(set(unit_of_rows(table))) == 2


def test_units_average_predictions_and_take_the_first_known_sex():
    table = cohort(people=1).assign(sex=[None, "female", "female"], age_years=[30.0, np.nan, 31.0])
    unit = unit_of_rows(table)
    units = units_of_table(table, unit)
    assert units["sex"].tolist() == ["female", "female"]
    assert units["age_years"].tolist() == [30.0, 31.0]
    assert mean_of_units(np.array([1.0, 3.0, 7.0]), unit).tolist() == [2.0, 7.0]


def test_where_groups_are_held_out_the_inner_folds_hold_out_groups_too():
    rng = np.random.default_rng(0)
    site = np.repeat(["a", "b", "c", "d", "e"], 12)
    table = pd.DataFrame(
        {
            "participant_id": [f"p{i // 2}" for i in range(60)],
            "clip": [f"{i}.png" for i in range(60)],
            "site": site,
            "hemoglobin_g_dl": rng.normal(13, 1.5, 60),
        }
    )
    numbers = components(table)
    plan = make_plan(table, numbers, protocol="group", group="site", seed=0)
    groups = inner_groups(plan, numbers)
    assert len(set(zip(groups, site, strict=True))) == 5
    nested = make_plan(table, numbers, protocol="nested", seed=0)
    np.testing.assert_array_equal(inner_groups(nested, numbers), numbers)


def test_holdout_takes_a_fifth_of_the_people_of_each_stratum_with_every_seed():
    rng = np.random.default_rng(0)
    people, clips = 150, 3
    person = np.repeat(np.arange(people), clips)
    male = rng.integers(0, 2, people)
    hb = 13.0 + 2.0 * male + rng.normal(0, 1.2, people)
    table = pd.DataFrame(
        {"sex": np.where(male, "male", "female")[person], "hemoglobin_g_dl": hb[person]}
    )
    plan = make_plan(table, person, protocol="holdout", repeats=40)
    assert len(plan.splits) == plan.repeats == 40
    times = np.zeros(people)
    for split in plan.splits:
        tested = np.unique(person[split.test])
        assert not set(tested) & set(person[split.train])
        assert len(split.test) + len(split.train) == len(table)
        assert len(tested) == people / 5
        assert abs(male[tested].mean() - male.mean()) < 0.04
        assert abs(hb[tested].mean() - hb.mean()) < 0.25
        times[tested] += 1
    # Everybody is held out now and then, and the seeds differ.
    assert times.min() > 0
    assert len({tuple(split.test) for split in plan.splits}) == 40
    again = make_plan(table, person, protocol="holdout", repeats=40)
    assert all(
        np.array_equal(a.test, b.test) for a, b in zip(plan.splits, again.splits, strict=True)
    )


def test_holdout_has_seeds_and_no_folds():
    table = pd.DataFrame({"hemoglobin_g_dl": np.linspace(9, 17, 20)})
    with pytest.raises(UsageError, match="repeats"):
        make_plan(table, np.arange(20), protocol="holdout", folds=3)
    assert make_plan(table, np.arange(20), protocol="holdout").repeats == 100
