from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from pallor.features.registry import compute_features
from pallor.models.core import CORE, core_columns
from pallor.models.fusion import FusedRegressor
from pallor.models.regressors import REGRESSORS
from pallor.video.recording import InputKind, Recording
from pallor.video.traces import Traces

REGIONS = ("forehead", "left_cheek", "lips", "sclera")


def _names(noise: int) -> list[str]:
    core = [f"color.{region}.{q}.mean" for region in REGIONS for q in ("log_rg", "log_gb")]
    return [*core, *(f"color.chin.noise{i}.p50" for i in range(noise))]


def _cohort(people: int, noise: int, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Two regions show blood and white balance in unlike weights; the rest shows nothing."""
    rng = np.random.default_rng(seed)
    y = rng.normal(13.5, 1.5, people)
    light, melanin = rng.normal(0, 1.0, (2, people))
    values = rng.normal(0, 1.0, (people, 8 + noise))
    for i in range(8):
        values[:, i] = (0.2 + 0.1 * i) * (y - 13.5) + light + (i % 3) * melanin
        values[:, i] += rng.normal(0, 0.02, people)
    return pd.DataFrame(values, columns=_names(noise)), y


def test_core_columns_are_means_of_logarithms_of_face_regions():
    names = [
        "color.lips.log_rg.mean", "color.lips.log_rg.p50", "color.background.log_rg.mean",
        "color.lips_minus_sclera.log_rg.mean", "color.tissue.log_gb.mean",
        "color.lips.log_rb.mean", "pulse.face.green.ac_dc",
    ]  # fmt: skip
    assert core_columns("color", names).tolist() == [0, 4]
    assert core_columns("resnet152", names).size == 0


@pytest.mark.parametrize(
    ("kind", "modality", "count"),
    [
        (InputKind.FACE_VIDEO, "color", 16),
        (InputKind.FACE_VIDEO, "pulse", 4),
        (InputKind.REGION_STILL, "color", 4),
    ],
)
def test_every_core_pattern_finds_features_that_exist(kind, modality, count):
    empty = np.zeros((0, 0), np.float32)
    traces = Traces((), np.zeros(0), np.zeros((0, 0, 3), np.float32), empty, empty, empty)
    recording = Recording("a.mp4", kind, False, 1, 0.0, 30.0, 1.0, traces, (), "", "")
    names = list(compute_features(recording, [modality]))
    found = core_columns(modality, names)
    assert len(found) == count
    assert all(re.fullmatch(CORE[modality], names[i]) for i in found)


def test_a_modality_without_core_columns_has_no_chromophore_member():
    table, y = _cohort(40, 5, 0)
    table = table.rename(columns=lambda name: name.replace("color.", "resnet152."))
    model = FusedRegressor(("resnet152",), ("ridge", "chromophore"), quick=True)
    assert model.fit(table, y, np.arange(40)).member_names_ == ["resnet152/ridge"]
    alone = FusedRegressor(("resnet152",), ("chromophore",), quick=True)
    predicted = alone.fit(table, y, np.arange(40)).predict(table)
    assert np.allclose(predicted, y.mean())


def test_core_columns_that_do_not_vary_leave_the_other_learners():
    table, y = _cohort(40, 5, 0)
    table.iloc[:, :8] = 0.5
    model = FusedRegressor(("color",), ("ridge", "chromophore"), quick=True)
    model.fit(table, y, np.arange(40))
    assert model.member_names_ == ["color/ridge"]
    assert np.isfinite(model.predict(table)).all()


def test_a_chromophore_member_sees_nothing_but_the_core():
    table, y = _cohort(60, 30, 1)
    model = FusedRegressor(("color",), ("chromophore",)).fit(table, y, np.arange(60))
    changed = table.copy()
    changed.iloc[:, 8:] += 100.0
    assert np.array_equal(model.predict(table), model.predict(changed))
    changed.iloc[:, 0] += 1.0
    assert not np.array_equal(model.predict(table), model.predict(changed))


def test_few_people_and_many_columns_do_not_hide_what_the_core_shows():
    train, y = _cohort(60, 600, 2)
    test, truth = _cohort(400, 600, 3)

    def r2(learners: tuple[str, ...]) -> float:
        model = FusedRegressor(("color",), learners).fit(train, y, np.arange(60))
        return float(1 - np.square(model.predict(test) - truth).mean() / truth.var())

    linear = tuple(name for name in ("svr", "ridge", "pls") if name in REGRESSORS["stacking"])
    assert r2((*linear, "chromophore")) > 0.9
    assert r2(linear) < 0.6
