"""A network of the user's own, from the file to the feature table and the estimate."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from feature_parts import parts_of
from pallor.cli import app
from pallor.cohort.extraction import extract
from pallor.cohort.feature_table import load_features
from pallor.cohort.frame_columns import load_frames
from pallor.cohort.table import read_cohort
from pallor.errors import FeatureTableError, UsageError, WeightsError
from pallor.features.backbones.backbone import imagenet
from pallor.features.backbones.network import load_network, network_of
from pallor.features.backbones.own_graph import inspect_graph
from pallor.features.backbones.prepared import prepare
from pallor.features.registry import compute_features, match_doc
from pallor.features.settings import FeatureSettings, backbone_files, named_values
from pallor.models.bundle import load_model, save_model
from pallor.models.prediction import predict
from pallor.models.training import train
from pallor.video.recorder import record
from tiny_network import write_tiny_network

PEOPLE = 12


def own(path: Path, **more: object) -> FeatureSettings:
    return FeatureSettings(files={"custom": str(path)}, **more)


def crops(count: int = 3, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 224, 224, 3), np.uint8)


def run(path: Path, pictures: np.ndarray, threads: int = 1) -> np.ndarray:
    return load_network(prepare("custom", own(path)), "float32", threads)(pictures)


def standardized(pictures: np.ndarray) -> np.ndarray:
    usual = imagenet(224)
    return (pictures.astype(np.float64) - usual.mean) / usual.std


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        (("N", 3, 224, 224), "FLOAT"),
        (("N", 224, 224, 3), "FLOAT"),
        (("N", 3, "H", "W"), "FLOAT"),
        (("N", 224, 224, 3), "UINT8"),
        (("N", 3, 224, 224), "UINT8"),
        ((1, 3, 224, 224), "FLOAT"),
    ],
)
@pytest.mark.parametrize("maps", [False, True])
def test_every_usual_input_and_output_is_understood(tmp_path, shape, kind, maps):
    path = tmp_path / "own.onnx"
    matrix = write_tiny_network(path, shape=shape, kind=kind, maps=maps and shape[0] != 1)
    pictures = crops(3)
    seen = pictures.astype(np.float64) if kind == "UINT8" else standardized(pictures)
    np.testing.assert_allclose(
        run(path, pictures), seen.mean(axis=(1, 2)) @ matrix, rtol=1e-4, atol=1e-4
    )


def test_the_files_own_standardization_is_used(tmp_path):
    path = tmp_path / "own.onnx"
    matrix = write_tiny_network(path, metadata={"mean": "127,127,127", "std": "128,128,128"})
    pictures = crops(2)
    expected = ((pictures.astype(np.float64) - 127) / 128).mean(axis=(1, 2)) @ matrix
    np.testing.assert_allclose(run(path, pictures), expected, rtol=1e-4, atol=1e-4)


def test_batches_and_threads_do_not_change_the_embedding(tmp_path):
    path = tmp_path / "own.onnx"
    write_tiny_network(path)
    pictures = crops(18)
    whole = run(path, pictures, threads=2)
    single = np.concatenate([run(path, one[None]) for one in pictures])
    np.testing.assert_allclose(whole, single, rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: p.write_bytes(b"no such thing" * 99), "not an ONNX model|inputs"),
        (lambda p: p.write_bytes(b""), "0 inputs"),
        (lambda p: write_tiny_network(p, shape=("N", 3, 96, 96)), "its input has the shape"),
        (lambda p: write_tiny_network(p, shape=(7, 3, 224, 224)), "of any number or of one"),
        (lambda p: write_tiny_network(p, metadata={"mean": "1,2"}), "not three numbers"),
        (lambda p: write_tiny_network(p, metadata={"mean": "1,2,nan"}), "not three numbers"),
        (lambda p: write_tiny_network(p, metadata={"std": "1,0,1"}), "not positive"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path, make, words):
    path = tmp_path / "own.onnx"
    make(path)
    with pytest.raises(WeightsError, match=words) as caught:
        prepare("custom", own(path))
    assert "own.onnx" in caught.value.text


def test_a_graph_that_names_other_files_is_refused(tmp_path):
    import onnx

    path = tmp_path / "own.onnx"
    write_tiny_network(path)
    model = onnx.load(path)
    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes(60))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=str(secret))
    path.write_bytes(model.SerializeToString())
    with pytest.raises(WeightsError, match="cannot load"):
        run(path, crops(1))


def test_values_that_are_not_finite_are_refused(tmp_path):
    path = tmp_path / "own.onnx"
    write_tiny_network(path, metadata={"std": "1e-45,1e-45,1e-45"})
    with pytest.raises(WeightsError, match="not finite"):
        run(path, crops(1))


def test_missing_files_and_names_are_told(tmp_path):
    with pytest.raises(WeightsError, match="no such file"):
        prepare("custom", own(tmp_path / "absent.onnx"))
    with pytest.raises(UsageError, match="--backbone-file"):
        prepare("custom", FeatureSettings())
    with pytest.raises(UsageError, match="no weights 'v9'"):
        prepare("resnet152", FeatureSettings(weights={"resnet152": "v9"}))


def test_the_options_are_read():
    assert backbone_files(["a=b.onnx"]) == {"custom": "a=b.onnx"}
    assert backbone_files(["resnet152=r.pth", "x.onnx"]) == {
        "resnet152": "r.pth",
        "custom": "x.onnx",
    }
    with pytest.raises(UsageError, match="twice"):
        backbone_files(["a.onnx", "custom=b.onnx"])
    with pytest.raises(UsageError, match="NAME=VALUE"):
        named_values(["resnet152"], "--weights")
    with pytest.raises(UsageError, match="precision"):
        FeatureSettings(precision="float16")


def region_still(path: Path, redness: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pixels = np.empty((60, 80, 4), np.uint8)
    pixels[..., 3] = 255
    pixels[..., :3] = np.clip(
        rng.normal([120 + 8 * redness, 90, 80], 6.0, (60, 80, 3)), 30, 220
    ).astype(np.uint8)
    pixels[:20, :20, 3] = 0
    Image.fromarray(pixels, "RGBA").save(path)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    write_tiny_network(folder / "own.onnx")
    rows = []
    for person in range(PEOPLE):
        region_still(folder / f"{person}.png", person / 3, person)
        rows.append(f"p{person:02d},{person}.png,{10 + person / 3}")
    table = "participant_id,clip,hemoglobin_g_dl\n" + "\n".join(rows) + "\n"
    (folder / "cohort.csv").write_text(table)
    extract(
        read_cohort(folder / "cohort.csv"),
        folder / "features",
        modalities=["color", "custom"],
        settings=own(folder / "own.onnx", keep_frames=True),
        workers=2,
    )
    return folder


def test_the_table_holds_features_identity_and_frames(made):
    table = load_features(made / "features")
    names = [name for name in table.columns if name.startswith("custom.")]
    assert names == [f"custom.mean.{index:04d}" for index in range(5)]
    assert (table[names].dtypes == "float32").all()
    settings = json.loads((made / "features" / "extraction.json").read_text())
    assert settings["precision"] == "float32"
    assert settings["networks"]["custom"]["file"] == "own.onnx"
    assert len(settings["networks"]["custom"]["sha256"]) == 64
    frames, time_s = load_frames(made / "features", "custom")
    assert frames.shape == (PEOPLE, 1, 5)
    assert time_s.shape == (PEOPLE, 1)
    np.testing.assert_array_equal(frames[:, 0], table[names].to_numpy())
    assert match_doc(names[0]).pattern == "custom.mean.{index}"


def test_the_table_holds_what_the_network_says_of_the_crop(made):
    crop = record(made / "3.png", crops=True).samples[0].crop
    expected = run(made / "own.onnx", crop[None])[0]
    table = load_features(made / "features")
    row = table.loc[table["clip"] == "3.png", [f"custom.mean.{i:04d}" for i in range(5)]]
    np.testing.assert_allclose(row.to_numpy()[0], expected, rtol=1e-5)


def test_a_second_run_measures_nothing_anew_wherever_the_file_lies(made):
    moved = made / "elsewhere.onnx"
    moved.write_bytes((made / "own.onnx").read_bytes())
    before = parts_of(made / "features")
    # Under its old name in another folder: the same network.
    other = made / "other"
    other.mkdir(exist_ok=True)
    moved.rename(other / "own.onnx")
    result = extract(
        read_cohort(made / "cohort.csv"),
        made / "features",
        modalities=["color", "custom"],
        settings=own(other / "own.onnx", keep_frames=True),
        workers=1,
    )
    assert result.resumed == PEOPLE
    assert parts_of(made / "features") == before


def test_another_network_is_not_mixed_in(made, tmp_path):
    write_tiny_network(tmp_path / "own.onnx", seed=1)
    with pytest.raises(FeatureTableError, match="networks custom"):
        extract(
            read_cohort(made / "cohort.csv"),
            made / "features",
            modalities=["color", "custom"],
            settings=own(tmp_path / "own.onnx", keep_frames=True),
        )


def test_no_frames_were_kept_unless_asked(made, tmp_path):
    extract(read_cohort(made / "cohort.csv"), tmp_path / "plain", modalities=["color"])
    with pytest.raises(FeatureTableError, match="--keep-frames"):
        load_frames(tmp_path / "plain", "custom")


def test_a_missing_network_is_told_before_any_clip_is_read(made, tmp_path):
    with pytest.raises(WeightsError, match="no such file"):
        extract(
            read_cohort(made / "cohort.csv"),
            tmp_path / "out",
            modalities=["custom"],
            settings=own(tmp_path / "absent.onnx"),
        )
    assert not (tmp_path / "out").exists()


def test_a_file_for_a_modality_that_is_not_asked_for_is_told(made, tmp_path):
    with pytest.raises(UsageError, match="not among the modalities"):
        extract(
            read_cohort(made / "cohort.csv"),
            tmp_path / "out",
            modalities=["color"],
            settings=own(made / "own.onnx"),
        )


@pytest.fixture(scope="module")
def model(made):
    path = save_model(train(load_features(made / "features"), quick=True), made / "m.pallor")
    return load_model(path)


def test_the_model_knows_its_network_and_estimates_with_it(made, model):
    estimate = predict(model, made / "3.png", backbone_files={"custom": str(made / "own.onnx")})
    assert estimate.usable
    row = load_features(made / "features").query("clip == '3.png'")
    expected = model.estimator.predict(row[list(model.feature_names)])[0]
    assert estimate.hemoglobin_g_dl == pytest.approx(expected, abs=1e-3)


def test_another_network_or_precision_at_prediction_is_an_error(made, model, tmp_path):
    write_tiny_network(tmp_path / "own.onnx", seed=1)
    with pytest.raises(WeightsError, match="was trained with sha256"):
        predict(model, made / "3.png", backbone_files={"custom": str(tmp_path / "own.onnx")})
    with pytest.raises(WeightsError, match="precision float32, and bfloat16"):
        predict(
            model,
            made / "3.png",
            precision="bfloat16",
            backbone_files={"custom": str(made / "own.onnx")},
        )
    with pytest.raises(UsageError, match="--backbone-file"):
        predict(model, made / "3.png")


def test_the_command_line_goes_all_the_way(made, tmp_path):
    runner = CliRunner()
    network = f"custom={made / 'own.onnx'}"
    arguments = ["extract", str(made / "cohort.csv"), "-o", str(tmp_path / "f"), "--modalities",
                 "color,custom", "--backbone-file", network, "--workers", "1"]  # fmt: skip
    done = runner.invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "custom.mean.0000" in pd.read_parquet(tmp_path / "f" / "features.parquet").columns
    wrong = runner.invoke(app, [*arguments, "--weights", "x"])
    assert "NAME=VALUE" in str(wrong.exception)


def test_a_recording_without_crops_says_so(made):
    with pytest.raises(UsageError, match="with crops"):
        compute_features(record(made / "3.png"), ["custom"], own(made / "own.onnx"))


def test_networks_are_loaded_once(made):
    settings = own(made / "own.onnx")
    assert network_of("custom", settings) is network_of("custom", settings)


def test_how_a_graph_takes_pictures_is_told(tmp_path):
    path = tmp_path / "own.onnx"
    write_tiny_network(path, shape=("N", 224, 224, 3), kind="UINT8")
    how = inspect_graph(path.read_bytes(), "own.onnx")
    assert how.bytes_in
    assert not how.channels_first
    assert not how.single
