"""CP-AnemiC from its published folder to an estimate: real stills, real copies."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pallor.cohort.feature_table import load_features
from pallor.cohort.folds import components
from pallor.evaluation.protocol import evaluate
from pallor.evaluation.task import fused_regressor

pytestmark = [pytest.mark.slow, pytest.mark.shared, pytest.mark.xdist_group("cp_anemic")]


def pallor(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pallor", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def made(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cp_anemic")
    read = pallor("cohort", "cp-anemic", shared / "cp_anemic", "-o", folder / "cohort.csv")
    assert read.returncode == 0, read.stderr
    assert "copies of one another" in read.stderr
    extracted = pallor("extract", folder / "cohort.csv", "-o", folder / "features")
    assert extracted.returncode == 0, extracted.stderr
    assert "read 567 = done 567 + failed 0" in extracted.stdout
    return folder


@pytest.fixture(scope="module")
def table(made: Path) -> pd.DataFrame:
    return load_features(made / "features")


def test_copies_are_counted_and_kept_together(table: pd.DataFrame) -> None:
    # 224 rows share their bytes with another, as counted independently of this package.
    assert table["file_sha256"].duplicated(keep=False).sum() == 224
    number = pd.Series(components(table))
    for column in ("file_sha256", "content_sha256"):
        assert number.groupby(table[column].to_numpy()).nunique().max() == 1


@dataclass
class Watched:
    """The stacked regressor, and a record of the rows that each of its inner folds saw."""

    inside: Any
    seen: list[tuple[pd.Series, list[tuple[np.ndarray, np.ndarray]]]]

    def fit(self, X: pd.DataFrame, y: np.ndarray, groups: np.ndarray) -> None:
        self.inside.fit(X, y, groups=groups)
        self.seen.append((pd.Series(y, X.index), self.inside.inner_folds_))

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return self.inside.predict(X)


def test_no_participant_or_copy_straddles_a_fold_inside_or_outside(table: pd.DataFrame) -> None:
    # The order in which an evaluation takes the rows.
    rows = table.sort_values(["participant_id", "clip"]).reset_index(drop=True)
    number = components(rows)
    seen: list[tuple[pd.Series, list[tuple[np.ndarray, np.ndarray]]]] = []

    def watched(
        modalities: tuple[str, ...], learners: tuple[str, ...], seed: int, quick: bool
    ) -> Watched:
        return Watched(fused_regressor(modalities, ("ridge", "svr"), seed, quick), seen)

    result = evaluate(
        rows, group="site", regressors=("stacking",), quick=True, model_factory=watched
    )
    outer = result.predictions.set_index("participant_id")["fold"]
    by_component = pd.Series(outer.loc[rows["participant_id"]].to_numpy()).groupby(number)
    assert by_component.nunique().max() == 1
    # With the copies, the model, that with sex and age, and the control that sees what is known
    # of the pictures, for each of the 8 hospitals. (The scores without copies come from another
    # table, whose rows have other numbers.)
    with_copies = [(y, folds) for y, folds in seen if len(y) > 400]
    assert len(with_copies) == 24
    for y, folds in with_copies:
        index = y.index
        assert (y == rows.loc[index, "hemoglobin_g_dl"]).all()
        assert len(folds) >= 2
        tested = np.concatenate([test for _, test in folds])
        assert sorted(tested) == list(range(len(index)))
        for train, test in folds:
            assert not set(number[index[train]]) & set(number[index[test]])


def test_color_beats_the_mean_in_hospitals_never_seen(made: Path) -> None:
    run = pallor(
        *("evaluate", made / "features", "-o", made / "run"),
        *("--group", "site", "--regressors", "stacking", "--quick"),
    )
    assert run.returncode == 0, run.stderr
    metrics = json.loads((made / "run" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["duplicates"]["rows"] >= 224
    assert len(metrics["duplicates"]["conflicting"]) > 50
    unique = metrics["without_duplicates"]
    assert unique["clips"] <= 567 - 224
    for scores in (metrics, unique):
        color = next(m for m in scores["models"] if m["modalities"] == ["color"])
        mean = next(b for b in scores["baselines"] if b["name"] == "mean")
        assert color["r2"]["low"] > mean["r2"]["high"]
        assert color["mae"]["high"] < mean["mae"]["value"]


def test_train_and_predict(made: Path, shared: Path) -> None:
    model = made / "model.pallor"
    trained = pallor("train", made / "features", "-o", model, "--quick")
    assert trained.returncode == 0, trained.stderr
    assert "SIMULATED" not in trained.stdout + trained.stderr
    still = shared / "cp_anemic" / "Anemic" / "Image_001.png"
    video = shared / "face_clips" / "sample_video_1.mp4"
    run = pallor("predict", model, still, video, "--json")
    assert run.returncode == 1
    estimate, refused = (json.loads(line) for line in run.stdout.splitlines())
    assert estimate["usable"] is True
    assert estimate["simulated"] is False
    low, value, high = (
        estimate[k] for k in ("interval_low_g_dl", "hemoglobin_g_dl", "interval_high_g_dl")
    )
    assert 3 < low < value < high < 20
    assert refused["usable"] is False
    assert refused["hemoglobin_g_dl"] is None
    assert refused["reasons"][0]["code"] == "outside_model"
