"""The hold-out protocol through the whole evaluation: many seeds, and where the paper falls."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pallor.errors import FeatureTableError
from pallor.evaluation.bootstrap import auc_with_interval, resample_counts
from pallor.evaluation.prior_work import reported
from pallor.evaluation.task import fused_regressor
from planted import Nearest, Ridge, by_name, cheap, features
from test_scores import REFERENCES

SEEDS = 6
OF_EVERYBODY = (
    "held_out", "agreement", "error_by_hemoglobin", "screening", "subgroups", "coverage",
    "quality", "permutation_within_sex", "explanation",
)  # fmt: skip


def with_resnet(table):
    table["resnet152.mean.0000"] = table["color.lips.log_rg.mean"]
    return table


@pytest.fixture(scope="module")
def table():
    return with_resnet(features(people=60, clips=2))


@pytest.fixture(scope="module")
def result(table):
    return cheap(table, protocol="holdout", repeats=SEEDS, regressors=["xgboost", "stacking"])


def test_each_seed_tests_a_fifth_and_nothing_is_missing(result, table):
    assert result.metrics["protocol"] == "holdout"
    assert result.metrics["splits"]["repeats"] == SEEDS
    assert not result.predictions.isna().any().any()
    tested = [set(part["participant_id"]) for _, part in result.predictions.groupby("repeat")]
    assert [len(people) for people in tested] == [12] * SEEDS
    assert len({frozenset(people) for people in tested}) == SEEDS
    assert len(result.predictions) == 12 * SEEDS


def test_a_hundred_seeds_are_the_default(table):
    found = cheap(table[[c for c in table if c.count(".") != 3]].iloc[:, :8], protocol="holdout")
    assert found.metrics["splits"]["repeats"] == 100
    assert found.predictions["repeat"].nunique() == 100


def test_scores_are_means_over_seeds_of_what_each_seed_tests(result):
    parts = [part for _, part in result.predictions.groupby("repeat")]
    for entry in result.metrics["models"]:
        for score, reference in REFERENCES.items():
            values = [reference(part["hemoglobin_g_dl"], part[entry["name"]]) for part in parts]
            assert entry[score]["value"] == pytest.approx(np.mean(values), abs=1e-9), score


def test_the_figures_of_the_paper_are_placed_among_those_of_the_seeds(result):
    parts = [part for _, part in result.predictions.groupby("repeat")]
    placed = {entry["key"]: entry for entry in result.metrics["reproduction"]}
    assert {key: entry["model"] for key, entry in placed.items()} == {
        "gunes2026_stacking": "color+pulse+resnet152:stacking",
        "gunes2026_resnet152_xgboost": "resnet152:xgboost",
    }
    for key, entry in placed.items():
        assert entry["seeds"] == SEEDS
        for figure in entry["figures"]:
            score = figure["score"]
            values = [
                REFERENCES[score](part["hemoglobin_g_dl"], part[entry["model"]]) for part in parts
            ]
            assert entry["by_seed"][score] == pytest.approx(values, abs=1e-9)
            published = getattr(reported(key), score)
            assert figure["published"] == published
            assert figure["percentile"] == pytest.approx(
                100 * np.mean(np.array(values) < published)
            )
            assert figure["median"] == pytest.approx(np.median(values))


def test_without_the_networks_of_the_paper_only_its_stacking_is_placed():
    found = cheap(features(people=30), protocol="holdout", repeats=2, bootstrap=0).metrics
    assert [entry["key"] for entry in found["reproduction"]] == ["gunes2026_stacking"]
    none = cheap(
        features(people=30), protocol="holdout", repeats=2, bootstrap=0, regressors=["xgboost"]
    )
    assert none.metrics["reproduction"] is None
    assert cheap(features(people=30), bootstrap=0).metrics["reproduction"] is None


def test_what_needs_everybody_tested_is_left_open(result):
    for key in OF_EVERYBODY:
        assert result.metrics[key] is None, key
    assert result.metrics["incremental_r2"]["low"] > 0
    assert any("tests about 12 participants" in note for note in result.metrics["notes"])


def test_sex_is_probed_in_what_each_seed_tests(result, table):
    # Hemoglobin goes with sex, color with hemoglobin: sex can be told from color.
    nested = {entry["modality"]: entry for entry in cheap(table, bootstrap=0).metrics["sex_probe"]}
    for entry in result.metrics["sex_probe"]:
        assert entry["auc"]["low"] < entry["auc"]["value"] < entry["auc"]["high"]
        expected = nested[entry["modality"]]["auc"]["value"]
        assert expected > 0.65
        assert entry["auc"]["value"] == pytest.approx(expected, abs=0.12)


def test_area_of_each_repeat_is_that_of_the_units_it_tests():
    rng = np.random.default_rng(0)
    positive = rng.random(40) < 0.5
    scores = rng.normal(size=(3, 40)) + positive
    tested = rng.random((3, 40)) < 0.6
    person, everything = np.arange(40), np.where(tested, scores, np.nan)
    found = auc_with_interval(everything, positive, person, resample_counts(40, 200, 1))
    expected = [
        roc_auc_score(positive[one], row[one]) for row, one in zip(scores, tested, strict=True)
    ]
    assert found.value == pytest.approx(np.mean(expected), abs=1e-12)
    assert found.low < found.value < found.high


def test_quick_still_probes_every_seed():
    table = features(people=30)
    found = cheap(table, protocol="holdout", repeats=4, quick=True).metrics["sex_probe"]
    slow = cheap(table, protocol="holdout", repeats=4).metrics["sex_probe"]
    assert found == slow


def test_the_default_models_are_held_out_as_well(monkeypatch):
    from pallor.models.regressors import REGRESSORS

    monkeypatch.setitem(REGRESSORS, "stacking", ("ridge", "chromophore"))
    found = cheap(
        features(people=40), protocol="holdout", repeats=3, quick=True,
        model_factory=fused_regressor,
    )  # fmt: skip
    assert not found.predictions.isna().any().any()
    models = by_name(found.metrics["models"])
    assert models["color+pulse:stacking"]["r2"]["value"] > 0.5
    assert found.metrics["coverage"] is None


def test_memory_of_people_does_not_pay_here_either():
    table = features(signal=0.0, clips=3)
    columns = [name for name in table if name.startswith(("color.", "pulse."))]
    table[columns] = table.groupby("participant_id")[columns].transform("first")
    found = cheap(table, model_factory=Nearest, protocol="holdout", repeats=8).metrics
    assert by_name(found["models"])["color+pulse:stacking"]["r2"]["value"] < 0


def test_site_that_leaves_a_single_participant_is_refused_with_advice():
    table = features(people=10, clips=1)
    table["site"] = ["A"] * 9 + ["B"]
    with pytest.raises(FeatureTableError, match="without A a single participant"):
        cheap(table, group="site", model_factory=Ridge)
