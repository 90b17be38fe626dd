from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from pallor.errors import FeatureTableError, UsageError
from pallor.models import preprocessing
from pallor.models.applicability import check_applicability
from pallor.models.preprocessing import lean_matrix, matrix, varying_columns, with_demographics
from pallor.models.training import select_rows, train
from pallor.models.training_summary import internal_metrics, scores


def cohort(people: int = 40, clips: int = 1, seed: int = 0, simulated: bool = True) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    sex = rng.integers(0, 2, people)
    blood = rng.normal(size=people)
    person = np.repeat(np.arange(people), clips)
    table = pd.DataFrame(
        {
            "participant_id": [f"p{p:03d}" for p in person],
            "clip": [f"clips/p{p:03d}_{i % clips}.mp4" for i, p in enumerate(person)],
            "hemoglobin_g_dl": (13.2 + 1.5 * sex + 1.1 * blood)[person],
            "reference_method": "simulated",
            "sex": np.where(sex == 1, "male", "female")[person],
            "age_years": rng.uniform(20, 60, people)[person],
            "camera": ["a" if i % 2 else "b" for i in range(len(person))],
            "input_kind": "face_video",
            "simulated": simulated,
            "file_sha256": [f"f{i}" for i in range(len(person))],
            "content_sha256": [f"c{i}" for i in range(len(person))],
        }
    )
    for name in ("color", "pulse"):
        for index in range(6):
            base = 0.7 * blood if index < 3 else np.zeros(people)
            values = (base + rng.normal(size=people))[person]
            table[f"{name}.face.q{index}.mean"] = values.astype(np.float32)
    table.attrs["extraction"] = {"precision": "float32", "samples": 16, "odd": float("nan")}
    return table


def test_a_model_knows_what_it_was_trained_on():
    table = cohort()
    model = train(table, quick=True)
    facts = model.metadata
    assert model.modalities == ["color", "pulse"]
    assert model.simulated is True
    assert facts["input_kind"] == "face_video"
    assert facts["precision"] == "float32"
    assert facts["extraction"]["samples"] == 16
    assert facts["extraction"]["odd"] is None
    assert facts["cohort"]["participants"] == facts["cohort"]["clips"] == 40
    assert sum(facts["cohort"]["sex"].values()) == 40
    ages = table["age_years"]
    assert facts["cohort"]["age_years"] == {"min": ages.min(), "max": ages.max()}
    assert facts["cohort"]["reference_methods"] == {"simulated": 40}
    assert facts["cohort"]["hemoglobin_g_dl"]["mean"] == pytest.approx(
        table["hemoglobin_g_dl"].mean()
    )
    assert model.feature_names == [
        name for name in table.columns if name.startswith(("color.", "pulse."))
    ]
    assert {"numpy", "scikit-learn", "xgboost", "skops"} <= set(facts["versions"])
    assert facts["metrics"]["validation"].startswith("internal cross-validation")
    assert set(facts["metrics"]["baselines"]) == {"mean", "sex"}
    assert len(model.intervals.scores) == 40
    json.dumps(facts, allow_nan=False)
    assert "SIMULATED" in model.summary()


def test_metrics_are_those_of_the_out_of_fold_predictions():
    table = cohort().sort_values(["participant_id", "clip"])
    model = train(table, regressor="random_forest", modalities=["color"], quick=True)
    error = table["hemoglobin_g_dl"].to_numpy() - model.estimator.oof_prediction_
    assert model.metadata["metrics"]["mae"] == pytest.approx(np.abs(error).mean())
    assert np.allclose(model.intervals.scores, np.sort(np.abs(error)))
    assert (
        np.abs(error).mean()
        > np.abs(table["hemoglobin_g_dl"] - model.estimator.predict(table)).mean()
    )


def test_training_is_repeatable_and_blind_to_row_order():
    table = cohort(clips=2)
    options = {"regressor": "random_forest", "quick": True, "demographics": True}
    first = train(table, **options)
    shuffled = table.sample(frac=1.0, random_state=1)
    shuffled.attrs = table.attrs
    second = train(shuffled, **options)
    assert first.intervals == second.intervals
    assert first.metadata["metrics"] == second.metadata["metrics"]
    assert first.modalities == ["demographics", "color", "pulse"]


def test_rows_without_hemoglobin_or_features_are_left_out_and_counted():
    table = cohort()
    table.loc[0:2, "hemoglobin_g_dl"] = np.nan
    table.loc[3:4, [c for c in table.columns if c.startswith(("color.", "pulse."))]] = np.nan
    rows = select_rows(table)
    assert len(rows.table) == 35
    assert rows.left_out == {"no hemoglobin": 3, "no feature is defined": 2}
    assert any("3 clips left out" in note for note in rows.notes)


def test_copies_with_contradictory_labels_are_left_out_and_others_stay_together():
    table = cohort()
    table.loc[1, "content_sha256"] = table.loc[0, "content_sha256"]
    agreeing = ["hemoglobin_g_dl", "sex", "age_years"]
    table.loc[3, "file_sha256"] = table.loc[2, "file_sha256"]
    table.loc[3, agreeing] = table.loc[2, agreeing]
    rows = select_rows(table)
    left = set(rows.table["participant_id"])
    assert not left & {"p000", "p001"}
    assert {"p002", "p003"} <= left
    assert rows.left_out == {
        "copies of one clip under several participants, with different labels": 2
    }
    people = rows.table["participant_id"].to_numpy()
    same = rows.components[people == "p002"][0] == rows.components[people == "p003"][0]
    assert same


def test_clips_of_one_person_give_one_residual():
    model = train(cohort(20, 3), regressor="random_forest", modalities=["color"], quick=True)
    assert len(model.intervals.scores) == 20
    assert model.metadata["metrics"]["units"] == 20
    assert model.metadata["cohort"]["clips"] == 60


def test_unfit_tables_are_refused_with_advice():
    table = cohort()
    with pytest.raises(FeatureTableError, match="at least 10"):
        train(table.head(8))
    mixed = table.copy()
    mixed.loc[0, "input_kind"] = "face_still"
    with pytest.raises(FeatureTableError, match="mixes kinds"):
        train(mixed)
    with pytest.raises(FeatureTableError, match="hemoglobin_g_dl"):
        train(table.drop(columns="hemoglobin_g_dl"))
    with pytest.raises(FeatureTableError, match="resnet152"):
        train(table, modalities=["resnet152"])
    with pytest.raises(FeatureTableError, match="equal"):
        train(table.assign(hemoglobin_g_dl=13.0))
    with pytest.raises(FeatureTableError, match="sex"):
        train(table.drop(columns=["sex", "age_years"]), demographics=True)
    with pytest.raises(UsageError, match="stacking"):
        train(table, regressor="catboost")
    with pytest.raises(UsageError, match="coverage"):
        train(table, coverage=90)


def test_scores_have_their_closed_forms():
    truth, prediction = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 2.0, 3.0, 6.0])
    found = scores(truth, prediction)
    assert found["mae"] == 0.5
    assert found["rmse"] == 1.0
    assert found["r2"] == pytest.approx(1 - 4 / 5)
    assert found["r"] == pytest.approx(np.corrcoef(truth, prediction)[0, 1])
    assert np.isnan(scores(truth, np.full(4, 2.0))["r"])
    assert np.isnan(scores(np.ones(4), truth)["r2"])


def test_baselines_use_training_rows_of_each_fold_alone():
    table = pd.DataFrame({"participant_id": list("abcd"), "sex": ["male", "male", "female", None]})
    y = np.array([16.0, 14.0, 12.0, 13.0])
    folds = [(np.array([1, 2, 3]), np.array([0])), (np.array([0]), np.array([1, 2, 3]))]
    found = internal_metrics(table, y, y, folds)["baselines"]
    assert found["mean"]["mae"] == pytest.approx((3 + 2 + 4 + 3) / 4)
    # Row a: the men among b, c, d average 14; c's sex is new to its fold, so the mean stands in.
    assert found["sex"]["mae"] == pytest.approx((2 + 2 + 4 + 3) / 4)


def _metadata(**changes):
    facts = {
        "input_kind": "face_video",
        "precision": "float32",
        "modalities": ["color"],
        "simulated": False,
        "cohort": {"age_years": {"min": 20.0, "max": 60.0}, "sex": {"female": 10, "male": 0}},
    }
    return {**facts, **changes}


def test_a_person_and_clip_like_the_training_need_no_word():
    fit = check_applicability(
        _metadata(), input_kind="face_video", age_years=40, sex="female", simulated=False
    )
    assert not fit.refusals
    assert not fit.warnings
    assert not fit.blocking


@pytest.mark.parametrize(
    ("given", "refused", "word"),
    [
        ({"input_kind": "region_still"}, True, "region_still"),
        ({"feature_precision": "bf16"}, True, "bf16"),
        ({"modalities": ["pulse"]}, True, "color"),
        ({"age_years": 70}, True, "20 to 60"),
        ({"age_years": 63}, False, "20 to 60"),
        ({"age_years": 18}, False, "20 to 60"),
        ({"age_years": 2}, True, "20 to 60"),
        ({"sex": "male"}, False, "male"),
        ({"simulated": True}, False, "simulated"),
    ],
)
def test_outside_of_the_training_is_refused_or_said(given, refused, word):
    fit = check_applicability(_metadata(), **{"input_kind": "face_video", **given})
    said = fit.refusals if refused else fit.warnings
    assert len(said) == 1
    assert word in said[0].text
    assert said[0].code == "outside_model"
    assert fit.blocking is refused


def test_what_simulation_taught_is_said_of_every_clip_not_known_to_be_simulated():
    trained = _metadata(simulated=True)
    for clip, count in ((False, 1), (None, 1), (True, 0)):
        fit = check_applicability(trained, clip="a.mp4", input_kind="face_video", simulated=clip)
        assert len(fit.warnings) == count
        assert all(w.text.startswith("a.mp4: ") for w in fit.warnings)


def test_single_precision_in_memory_changes_no_bit_of_the_model():
    table = cohort()
    features = [name for name in table.columns if "." in name]
    single = table.astype(dict.fromkeys(features, np.float32))
    double = single.astype(dict.fromkeys(features, np.float64))
    assert lean_matrix(single, features).dtype == np.float32
    assert lean_matrix(double, features).dtype == np.float64
    np.testing.assert_array_equal(lean_matrix(single, features), matrix(double, features))
    for demographics in (False, True):
        one, other = (train(t, demographics=demographics, quick=True) for t in (single, double))
        assert one.metadata["metrics"] == other.metadata["metrics"]
        asked = with_demographics(double)
        np.testing.assert_array_equal(one.estimator.predict(asked), other.estimator.predict(asked))


def test_a_matrix_is_the_same_in_pieces(monkeypatch):
    table = pd.DataFrame(np.arange(21.0).reshape(7, 3), columns=["a", "b", "c"])
    table.loc[2, "a"], table.loc[5, "b"], table.loc[6, "c"] = np.inf, -np.inf, np.nan
    expected = table.to_numpy(copy=True)
    expected[~np.isfinite(expected)] = np.nan
    for rows in (1, 3, 7, 100):
        monkeypatch.setattr(preprocessing, "_ROWS_AT_A_TIME", rows)
        np.testing.assert_array_equal(matrix(table, ["a", "b", "c"]), expected)
    assert varying_columns(expected[2:3]) == 0
    assert varying_columns(expected) == 3
    assert varying_columns(np.full((3, 2), np.nan)) == 0
    assert varying_columns(np.array([[np.nan, 1.0], [2.0, 1.0], [3.0, np.nan]])) == 1
