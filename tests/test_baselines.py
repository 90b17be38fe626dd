from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pallor.evaluation import metrics
from pallor.evaluation.baselines import (
    BASELINES,
    lacking,
    predict_mean,
    predict_sex,
    predict_sex_age,
)
from pallor.evaluation.protocol import evaluate


def people(n=200, seed=0):
    rng = np.random.default_rng(seed)
    male = rng.integers(0, 2, n)
    years = rng.uniform(18, 80, n)
    hb = 13.0 + 1.8 * male - 0.01 * years - 0.02 * male * years + rng.normal(0, 0.5, n)
    frame = pd.DataFrame({"sex": np.where(male, "male", "female"), "age_years": years})
    return frame, hb


def test_registry_names_the_baselines_in_order_of_what_they_know():
    assert list(BASELINES) == ["mean", "sex", "sex_age", "sex_age_bmi"]


def test_mean_predicts_the_training_mean():
    frame, hb = people()
    got = predict_mean(frame[:100], hb[:100], frame[100:])
    assert np.allclose(got, hb[:100].mean())


def test_sex_predicts_the_training_mean_of_each_sex():
    frame, hb = people()
    train, outcome = frame[:100], hb[:100]
    got = predict_sex(train, outcome, frame[100:])
    for sex in ("female", "male"):
        expected = outcome[(train["sex"] == sex).to_numpy()].mean()
        assert np.allclose(got[(frame["sex"][100:] == sex).to_numpy()], expected)


def test_sex_age_agrees_with_scikit_learn():
    from sklearn.linear_model import LinearRegression

    frame, hb = people()
    sex = (frame["sex"] == "male").to_numpy(dtype=float)
    years = frame["age_years"].to_numpy()
    design = np.stack([sex, years, sex * years], axis=1)
    expected = LinearRegression().fit(design[:120], hb[:120]).predict(design[120:])
    assert np.allclose(predict_sex_age(frame[:120], hb[:120], frame[120:]), expected, atol=1e-9)


def test_sex_age_recovers_a_law_without_noise_exactly():
    frame, _ = people()
    male = (frame["sex"] == "male").to_numpy(dtype=float)
    law = 12.0 + 2.0 * male + 0.01 * frame["age_years"].to_numpy() * (1 - 2 * male)
    assert np.allclose(predict_sex_age(frame[:50], law[:50], frame[50:]), law[50:], atol=1e-9)


@pytest.mark.parametrize("name", ["mean", "sex", "sex_age"])
def test_baselines_never_look_at_the_test_outcome(name):
    # They are not even given it; and what other test rows hold does not matter either.
    frame, hb = people()
    function = BASELINES[name].predict
    together = function(frame[:100], hb[:100], frame[100:])
    single = [function(frame[:100], hb[:100], frame[i : i + 1])[0] for i in range(100, 110)]
    assert np.allclose(together[:10], single)


@pytest.mark.parametrize("name", ["sex", "sex_age"])
def test_unknown_sex_and_age_of_single_people_still_get_a_number(name):
    frame, hb = people()
    frame.loc[[0, 150], "sex"] = None
    frame.loc[[1, 151], "age_years"] = np.nan
    got = BASELINES[name].predict(frame[:100], hb[:100], frame[100:])
    assert np.isfinite(got).all()
    assert hb[:100].min() < got[50] < hb[:100].max()


def test_the_body_mass_index_counts_where_it_is_known():
    frame, hb = people()
    index = np.random.default_rng(2).normal(25, 4, len(frame))
    law = hb + 0.3 * (index - 25)
    known = frame.assign(bmi=index)
    function = BASELINES["sex_age_bmi"].predict
    with_it = function(known[:100], law[:100], known[100:])
    without = predict_sex_age(frame[:100], law[:100], frame[100:])
    assert metrics.mae(law[100:], with_it) < 0.9 * metrics.mae(law[100:], without)
    known.loc[120, "bmi"] = np.nan
    assert np.isfinite(function(known[:100], law[:100], known[100:])).all()
    assert lacking(BASELINES["sex_age_bmi"], frame) == ["bmi"]


def test_gaps_are_filled_from_the_training_part_alone():
    frame, hb = people()
    frame.loc[150:, "age_years"] = np.nan
    first = predict_sex_age(frame[:100], hb[:100], frame[150:160])
    moved = frame.copy()
    moved.loc[100:149, "age_years"] += 1000
    assert np.array_equal(first, predict_sex_age(moved[:100], hb[:100], moved[150:160]))


def test_one_sex_alone_is_no_obstacle():
    frame, hb = people()
    women = (frame["sex"] == "female").to_numpy()
    frame, hb = frame[women].reset_index(drop=True), hb[women]
    got = predict_sex_age(frame[:40], hb[:40], frame[40:])
    line = np.polyfit(frame["age_years"][:40], hb[:40], 1)
    assert np.allclose(got, np.polyval(line, frame["age_years"][40:]), atol=1e-8)


def test_baselines_know_which_columns_they_lack():
    frame, _ = people(20)
    assert lacking(BASELINES["sex_age"], frame) == []
    assert lacking(BASELINES["sex_age"], frame[["sex"]]) == ["age_years"]
    assert lacking(BASELINES["sex"], frame.assign(sex="other")) == ["sex"]
    assert lacking(BASELINES["mean"], frame[[]]) == []


def test_cohort_table_gets_the_baselines_out_of_fold_and_in_sample():
    frame, hb = people(60)
    table = frame.assign(
        participant_id=[f"p{i}" for i in range(60)], clip="x.mp4", hemoglobin_g_dl=hb
    )
    found = evaluate(table, bootstrap=100).metrics
    assert found["models"] == []
    assert found["headline"] is None
    assert found["incremental_r2"] is None
    # Without a body mass index there is no baseline of it, and no note asks for one.
    assert [entry["name"] for entry in found["baselines"]] == list(BASELINES)[:3]
    assert not any("bmi" in note for note in found["notes"])
    mean, sex, _ = found["baselines"]
    assert mean["in_sample"]["mae"] == pytest.approx(metrics.mae(hb, np.full(60, hb.mean())))
    assert sex["in_sample"]["r2"] > 0
    assert sex["r2"]["value"] < sex["in_sample"]["r2"]
    assert any("only the baselines" in note for note in found["notes"])


def test_baselines_that_lack_a_column_are_left_out_and_named():
    frame, hb = people(60)
    table = frame.drop(columns="age_years").assign(
        participant_id=[f"p{i}" for i in range(60)], clip="x.mp4", hemoglobin_g_dl=hb
    )
    found = evaluate(table, bootstrap=50).metrics
    assert [entry["name"] for entry in found["baselines"]] == ["mean", "sex"]
    assert any("sex_age" in note and "age_years" in note for note in found["notes"])


@pytest.mark.parametrize("seed", range(5))
def test_mean_never_has_a_positive_r2_out_of_fold(seed):
    frame, hb = people(40, seed)
    table = frame.assign(
        participant_id=[f"p{i % 20}" for i in range(40)],
        clip="x.mp4",
        session=[str(i // 20) for i in range(40)],
        hemoglobin_g_dl=hb,
    )
    mean = evaluate(table, bootstrap=20, seed=seed).metrics["baselines"][0]
    assert mean["name"] == "mean"
    assert mean["r2"]["value"] <= 0
    # Constants of folds correlate with the outcome by construction: not a correlation.
    assert mean["r"]["value"] is None


@pytest.mark.shared
def test_baselines_on_real_labels_reach_the_known_errors(shared):
    readers = pytest.importorskip("pallor.cohort.readers", reason="no readers").READERS
    table = readers["mcd-rppg"](shared / "mcd_rppg").frame
    found = evaluate(table, bootstrap=200, repeats=1).metrics
    in_sample = {entry["name"]: entry["in_sample"]["mae"] for entry in found["baselines"]}
    assert found["participants"] == 300
    assert in_sample["mean"] == pytest.approx(1.30, abs=0.005)
    assert in_sample["sex"] == pytest.approx(0.98, abs=0.005)
    out_of_fold = {entry["name"]: entry["mae"]["value"] for entry in found["baselines"]}
    assert in_sample["sex"] < out_of_fold["sex"] < in_sample["sex"] + 0.03
