"""What the pipeline must find in simulated clips, and what it must not: a small edition.

The full one, with its commands, is in docs/simulation.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from pallor.cohort.extraction import extract
from pallor.cohort.feature_table import load_features
from pallor.cohort.table import read_cohort
from pallor.errors import FaceModelError
from pallor.evaluation.protocol import evaluate
from pallor.evaluation.result import Evaluation
from pallor.simulation.cohort import simulate_cohort
from pallor.simulation.settings import Settings
from pallor.video.face import FaceLandmarker

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("gates")]

PEOPLE, SECONDS = 40, 6.0


@dataclass(frozen=True)
class Made:
    settings: Settings
    truth: pd.DataFrame
    features: pd.DataFrame
    result: Evaluation
    run: Path


def make(folder: Path, preset: str) -> Made:
    try:
        FaceLandmarker()
    except FaceModelError as error:
        pytest.skip(error.text)
    settings = Settings(preset, seed=0, duration_s=SECONDS)
    table = simulate_cohort(folder / "cohort", settings, participants=PEOPLE, workers=2)
    extract(read_cohort(table), folder / "features", workers=2)
    features = load_features(folder / "features")
    result = evaluate(features, regressors=("stacking",), quick=True, workers=2)
    truth = pd.read_parquet(folder / "cohort" / "truth.parquet")
    return Made(settings, truth, features, result, result.save(folder / "run"))


@pytest.fixture(scope="module")
def easy(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(tmp_path_factory.mktemp("easy"), "easy")


@pytest.fixture(scope="module")
def null(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(tmp_path_factory.mktemp("null"), "null")


def test_nobody_is_lost(easy: Made, null: Made) -> None:
    for made in (easy, null):
        assert len(made.features) == PEOPLE
        assert made.features["usable_pulse"].all()


def test_the_heart_rate_is_that_of_the_beats(easy: Made) -> None:
    true = easy.truth.set_index("clip")["heart_rate_bpm"].loc[easy.features["clip"]]
    error = easy.features["heart_rate_bpm"].to_numpy() - true.to_numpy()
    assert pd.Series(error).abs().median() < 1.0


def test_easy_is_found_and_measured_against_the_oracle(easy: Made) -> None:
    from pallor.cli.oracle import ask_oracle

    answer = ask_oracle(easy.settings, participants=PEOPLE, run=easy.run).metrics
    observers = {entry["name"]: entry["cross_validated"]["r2"] for entry in answer["observers"]}
    models = {entry["name"]: entry for entry in answer["models"]}
    best = models["color:stacking"]
    # As few people teach little; the gate of 85 % is for 96 people and 10 s.
    assert best["r2"]["value"] > models["baseline:sex_age"]["r2"]["value"]
    assert best["r2"]["value"] > 0.2
    share = best["share_of_oracle_r2"]["value"]
    assert share == pytest.approx(best["r2"]["value"] / observers["color+sex"]["value"])
    assert answer["participants"] == PEOPLE


def test_null_gives_nothing_beyond_sex_and_age(null: Made) -> None:
    gain = null.result.metrics["incremental_r2"]
    assert gain["low"] <= 0.0


def test_another_cohorts_run_is_refused(easy: Made) -> None:
    from pallor.cli.oracle import ask_oracle
    from pallor.errors import UsageError

    with pytest.raises(UsageError, match="not an evaluation of this cohort"):
        ask_oracle(Settings("easy", seed=1), participants=PEOPLE, run=easy.run)
    with pytest.raises(UsageError, match="does not have"):
        ask_oracle(easy.settings, participants=PEOPLE - 1, run=easy.run)
