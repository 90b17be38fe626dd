from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

from pallor.cohort.folds import grouped_folds
from pallor.errors import FeatureTableError, UsageError
from pallor.evaluation.baselines import predict_sex_age
from pallor.evaluation.bootstrap import participant_sums, resample_counts
from pallor.evaluation.controls import (
    CONTROLS,
    TECHNICAL,
    ControlVerdict,
    control_columns,
    control_features,
    judge_control,
    lacking_technical,
)
from pallor.evaluation.metrics import Interval, r2
from pallor.evaluation.result import without_nan
from pallor.features.color import PAIRS
from pallor.features.color_quantities import QUANTITIES
from pallor.features.pulse import PLACES
from pallor.models.fusion import FusedRegressor
from pallor.models.preprocessing import (
    DEMOGRAPHIC_COLUMNS,
    DEMOGRAPHICS,
    demographic_features,
)
from pallor.video.regions import REGIONS


def cohort(people=150, seed=0, ward=False):
    """In the ward the light is warmer; ``ward`` sends the anemic there."""
    rng = np.random.default_rng(seed)
    male = np.arange(people) % 2
    within = rng.normal(0, 1.2, people)
    measured = 13.4 + 1.6 * male + within
    place = within < -0.5 if ward else rng.random(people) < 0.3
    light = place + rng.normal(0, 0.3, people)
    return pd.DataFrame(
        {
            "participant_id": [f"p{i:03d}" for i in range(people)],
            "clip": [f"{i:03d}.mp4" for i in range(people)],
            "hemoglobin_g_dl": measured,
            "sex": np.where(male, "male", "female"),
            "age_years": rng.uniform(20, 80, people),
            "camera": "phone",
            "duration_s": rng.uniform(9, 11, people),
            "fps": 30.0,
            "face_coverage": 1.0,
            "heart_rate_bpm": 90 - 2 * within,
            "snr_db": within + rng.normal(0, 0.1, people),
            "usable_pulse": True,
            "color.background.log_rg.mean": light,
            "color.background.luma.mean": rng.normal(100, 10, people),
            "color.lips_minus_background.log_rg.mean": within,
            "color.lips.log_rg.mean": within,
            "pulse.background.red.ac_dc": within,
            "pulse.background.red.dc": rng.uniform(0.2, 0.4, people),
        }
    )


def real_names():
    color = [
        f"color.{region}.{q.name}.{statistic}"
        for region in REGIONS
        for q in QUANTITIES
        for statistic in q.statistics
    ]
    pairs = [f"color.{a}_minus_{b}.log_rg.mean" for a, b in PAIRS]
    pulse = [f"pulse.{place}.green.{what}" for place in PLACES for what in ("ac_dc", "dc")]
    return [*color, *pairs, *pulse]


def test_no_control_sees_a_face_in_the_names_that_extraction_writes():
    names = real_names()
    table = pd.DataFrame(np.zeros((2, len(names))), columns=names)
    background = CONTROLS["background"](table)
    assert len(background) == sum(len(q.statistics) for q in QUANTITIES)
    faces = [region for region in REGIONS if region != "background"] + ["face", "minus", "ac_dc"]
    for name in CONTROLS:
        columns = CONTROLS[name](table)
        assert columns
        assert not [c for c in columns if any(face in c for face in faces)]
    assert set(CONTROLS["face_less"](table)) - set(background) == {"pulse.background.green.dc"}


def test_the_recording_is_told_but_nothing_of_the_person():
    table = cohort(people=5)
    columns = set(CONTROLS["face_less"](table))
    assert {"duration_s", "fps", "face_coverage", "pulse.background.red.dc"} < columns
    assert not columns & {"heart_rate_bpm", "snr_db", "usable_pulse", "camera", "age_years"}
    assert set(lacking_technical(table)) == set(TECHNICAL) - {"duration_s", "fps", "face_coverage"}
    wider = table.assign(width_px=640, height_px="480")
    assert "width_px" in CONTROLS["face_less"](wider)
    assert "height_px" not in CONTROLS["face_less"](wider)


def test_features_become_a_modality_of_their_own():
    table = cohort(people=5)
    features = control_features(table, "background")
    assert features.columns.tolist() == [
        "background.color.background.log_rg.mean",
        "background.color.background.luma.mean",
    ]
    columns = control_columns(table, "background")
    assert columns == (*DEMOGRAPHIC_COLUMNS, *features.columns)


def test_names_and_tables_that_do_not_fit_are_refused():
    with pytest.raises(UsageError, match="choose from background, face_less"):
        control_features(cohort(people=5), "foreground")
    with pytest.raises(FeatureTableError, match="extract the modality color"):
        control_features(cohort(people=5)[["participant_id", "sex"]], "background")


def verdict_of(table, name="background"):
    """Three folds once, as the quick protocol has them."""
    features = pd.concat([control_features(table, name), demographic_features(table)], axis=1)
    features, y = features[list(control_columns(table, name))], table["hemoglobin_g_dl"].to_numpy()
    people = np.arange(len(table))
    own, other = np.empty(len(y)), np.empty(len(y))
    for train, test in grouped_folds(people, y, 3, seed=0):
        model = FusedRegressor((DEMOGRAPHICS, name), ("ridge",), quick=True)
        model.fit(features.iloc[train], y[train], groups=people[train])
        own[test] = model.predict(features.iloc[test])
        other[test] = predict_sex_age(table.iloc[train], y[train], table.iloc[test])
    counts = resample_counts(len(y), 500, 0)
    sums = [participant_sums(y, predicted, people, len(y))[None] for predicted in (own, other)]
    return judge_control(name, *sums, counts)


def test_a_ward_for_the_anemic_gives_an_alarm_and_chance_places_do_not():
    ward = verdict_of(cohort(ward=True))
    assert ward.alarm
    assert ward.sentence.startswith("Warning: the control background, which sees no skin, tells")
    for name in CONTROLS:
        fair = verdict_of(cohort(), name)
        assert fair.alarm is False
        assert "is not shown to tell" in fair.sentence
        assert fair.incremental_r2.value < 0.05


def test_the_verdict_is_the_paired_difference_of_r2():
    rng = np.random.default_rng(0)
    y = rng.normal(13, 1.5, 40)
    own, other = y + rng.normal(0, 1, 40), y + rng.normal(0, 2, 40)
    counts = resample_counts(40, 200, 0)
    sums = [participant_sums(y, p, np.arange(40), 40)[None] for p in (own, other)]
    verdict = judge_control("background", *sums, counts)
    drawn = [
        r2(y[chosen], own[chosen]) - r2(y[chosen], other[chosen])
        for chosen in (np.repeat(np.arange(40), row) for row in counts)
    ]
    assert verdict.incremental_r2.value == pytest.approx(r2(y, own) - r2(y, other))
    assert verdict.incremental_r2.low == pytest.approx(np.quantile(drawn, 0.025))
    assert verdict.alarm == (np.quantile(drawn, 0.025) > 0)


@pytest.mark.parametrize(
    ("low", "alarm"), [(0.01, True), (0.0, False), (-0.01, False), (math.nan, None)]
)
def test_the_alarm_is_given_by_the_whole_interval(low, alarm):
    verdict = ControlVerdict("background", Interval(0.1, low, 0.2))
    assert verdict.alarm is alarm
    assert verdict.sentence.startswith("Warning") == (alarm is True)


def test_without_an_interval_there_is_no_verdict():
    y = np.arange(10.0)
    sums = participant_sums(y, y, np.arange(10), 10)[None]
    verdict = judge_control("face_less", sums, sums, resample_counts(10, 0, 0))
    assert verdict.alarm is None
    assert "cannot be judged" in verdict.sentence
    assert math.isnan(verdict.incremental_r2.low)
    assert json.loads(json.dumps(without_nan(verdict.as_dict())))["alarm"] is None
