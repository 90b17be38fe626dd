from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from pallor.errors import UsageError, WeightsError
from pallor.features.backbones.backbone import Backbone, Preprocessing, imagenet
from pallor.features.backbones.builder import GraphBuilder, fold_norm, same_padding
from pallor.features.backbones.classification import (
    accuracy_on_sample,
    central_crop,
    known_pictures,
    top_class,
)
from pallor.features.backbones.graph import GRAPH_VERSION, onnx_graph
from pallor.features.backbones.table import BACKBONES
from pallor.weights.weight_file import WeightFile
from random_weights import State, weights_for

Logits = Callable[[NDArray[np.uint8]], NDArray[np.float32]]

PARAMETERS = {
    # torchvision's documentation of the weights; the size of the published checkpoint.
    "mobilenet_v2": 3_504_872,
    "resnet152": 60_192_808,
    "efficientnet_lite0": 4_652_008,
}


NAMES = [
    pytest.param(name, marks=pytest.mark.slow if name == "resnet152" else ()) for name in BACKBONES
]


def _tiny_layers(builder: GraphBuilder, x: str) -> str:
    x = builder.conv_norm(
        x, "a.0", "a.1", 4, kernel=5, stride=2, padding="same", eps=1e-3, activation="relu6"
    )
    x = builder.max_pool(x, "pool", kernel=3, stride=2, padding=1)
    y = builder.conv_norm(x, "b.0", "b.1", 4, kernel=3, padding=1, groups=2, activation="relu")
    return builder.global_mean(builder.add(x, y, "sum"), "pooled")


TINY = Backbone("tiny", 4, _tiny_layers, ("fc.weight", "fc.bias"), {}, "")
NETWORKS = {**BACKBONES, "tiny": TINY}
TINY_PREPROCESSING = Preprocessing((100.0, 110.0, 120.0), (50.0, 60.0, 70.0), 256)


@cache
def random_state(name: str, seed: int = 0) -> State:
    return weights_for(NETWORKS[name], seed)


def session(graph: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])


def build(backbone: Backbone, state: State, *, classifier: bool = False) -> bytes:
    return onnx_graph(backbone, imagenet(232), state, classifier=classifier)


def random_crops(n: int, seed: int = 5) -> NDArray[np.uint8]:
    """Noise at levels of its own for each crop."""
    rng = np.random.default_rng(seed)
    crops = rng.integers(0, 256, (n, 224, 224, 3)) * rng.uniform(0.2, 1, (n, 1, 1, 3))
    return crops.astype(np.uint8)


# Arithmetic.


def convolve(
    x: NDArray[np.float64],
    weight: NDArray[np.float64],
    *,
    stride: int,
    pads: tuple[int, int],
    groups: int = 1,
) -> NDArray[np.float64]:
    """Convolution of ``(channels, h, w)`` by its definition, one product at a time."""
    outputs, per_group, kernel, _ = weight.shape
    padded = np.pad(x, [(0, 0), pads, pads])
    side = (padded.shape[1] - kernel) // stride + 1
    out = np.zeros((outputs, side, side))
    for o in range(outputs):
        first = (o // (outputs // groups)) * per_group
        for i in range(per_group):
            for r in range(kernel):
                for c in range(kernel):
                    window = padded[first + i, r:, c:][::stride, ::stride][:side, :side]
                    out[o] += weight[o, i, r, c] * window
    return out


def normalize(x: NDArray[np.float64], state: State, norm: str, eps: float) -> NDArray[np.float64]:
    scale, shift, mean, variance = (
        state[f"{norm}.{part}"].astype(np.float64).reshape(-1, 1, 1)
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    return (x - mean) / np.sqrt(variance + eps) * scale + shift


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_a_folded_norm_equals_convolution_then_norm(groups: int) -> None:
    rng = np.random.default_rng(groups)
    x = rng.normal(size=(4, 9, 9))
    weight = rng.normal(size=(8, 4 // groups, 3, 3))
    parts = {
        "n.weight": rng.uniform(-2, 2, 8),
        "n.bias": rng.normal(size=8),
        "n.running_mean": rng.normal(size=8),
        "n.running_var": rng.uniform(0, 2, 8),
    }
    expected = normalize(
        convolve(x, weight, stride=2, pads=(1, 1), groups=groups), parts, "n", 1e-3
    )
    folded, bias = fold_norm(weight, *parts.values(), 1e-3)
    found = convolve(x, folded, stride=2, pads=(1, 1), groups=groups) + bias.reshape(-1, 1, 1)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_same_padding_puts_the_odd_zero_after() -> None:
    assert same_padding(224, 3, 2) == (0, 1)
    assert same_padding(112, 5, 2) == (1, 2)
    assert same_padding(7, 5, 1) == (2, 2)
    assert same_padding(7, 1, 1) == (0, 0)
    assert same_padding(15, 3, 2) == (1, 1)
    assert same_padding(8, 1, 2) == (0, 0)


@given(st.integers(1, 300), st.integers(1, 9), st.integers(1, 4))
def test_same_padding_is_the_least_that_divides_the_side_by_the_stride(
    side: int, kernel: int, stride: int
) -> None:
    before, after = same_padding(side, kernel, stride)
    assert 0 <= before <= after <= before + 1
    wanted = -(-side // stride)

    def fits(total: int) -> bool:
        return side + total >= kernel and (side + total - kernel) // stride + 1 >= wanted

    total = before + after
    assert fits(total)
    assert total == 0 or not fits(total - 1)


def test_a_graph_computes_what_its_layers_are_by_definition() -> None:
    state = random_state("tiny", 3)
    crops = random_crops(2)
    graph = onnx_graph(TINY, TINY_PREPROCESSING, state, classifier=True)
    embedding, logits = session(graph).run(["embedding", "logits"], {"crops": crops})
    for crop, found, found_logits in zip(crops, embedding, logits, strict=True):
        x = (crop - np.array([100.0, 110.0, 120.0])) / np.array([50.0, 60.0, 70.0])
        x = x.transpose(2, 0, 1)
        weight = state["a.0.weight"].astype(np.float64)
        x = np.clip(normalize(convolve(x, weight, stride=2, pads=(1, 2)), state, "a.1", 1e-3), 0, 6)
        padded = np.pad(x, [(0, 0), (1, 1), (1, 1)], constant_values=-np.inf)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
        x = windows[:, ::2, ::2].max(axis=(-1, -2))
        assert x.shape == (4, 56, 56)
        weight = state["b.0.weight"].astype(np.float64)
        y = normalize(convolve(x, weight, stride=1, pads=(1, 1), groups=2), state, "b.1", 1e-5)
        expected = (x + np.maximum(y, 0)).mean(axis=(1, 2))
        np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-6)
        expected = state["fc.weight"].astype(np.float64) @ expected + state["fc.bias"]
        np.testing.assert_allclose(found_logits, expected, rtol=1e-5, atol=1e-5)


# Architectures.


@pytest.mark.parametrize("name", BACKBONES)
def test_an_architecture_has_as_many_parameters_as_published(name: str) -> None:
    state = random_state(name)
    learned = [array.size for key, array in state.items() if ".running_" not in key]
    assert sum(learned) == PARAMETERS[name]


@pytest.mark.parametrize("name", NAMES)
def test_a_graph_is_valid_and_tells_what_it_is(name: str) -> None:
    backbone = BACKBONES[name]
    for weights in backbone.weights.values():
        source = weights.file.sha256 or weights.file.sha256_prefix.ljust(64, "0")
        graph = onnx_graph(
            backbone, weights.preprocessing, random_state(name), classifier=True, source=source
        )
        model = onnx.load_from_string(graph)
        onnx.checker.check_model(model, full_check=True)
        # What onnxruntime 1.20 reads: IR version 10, opset 21.
        assert model.ir_version <= 10
        assert [o.version for o in model.opset_import] <= [21]
        assert {p.key: p.value for p in model.metadata_props} == {
            "backbone": name,
            "weights": weights.file.name,
            "checkpoint_sha256": source,
            "graph_version": str(GRAPH_VERSION),
        }


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_gives_what_its_crops_give_alone(name: str) -> None:
    backbone = BACKBONES[name]
    run = session(build(backbone, random_state(name), classifier=True))
    (entry,) = run.get_inputs()
    assert (entry.name, entry.type, entry.shape) == ("crops", "tensor(uint8)", ["N", 224, 224, 3])
    assert [o.name for o in run.get_outputs()] == ["embedding", "logits"]
    crops = random_crops(3)
    together = run.run(None, {"crops": crops})
    assert together[0].shape == (3, backbone.dimension)
    assert together[1].shape == (3, 1000)
    alone = [run.run(None, {"crops": crop[None]}) for crop in crops]
    for output, batch in enumerate(together):
        assert batch.dtype == np.float32
        assert np.isfinite(batch).all()
        single = np.concatenate([a[output] for a in alone])
        # Differences between crops are what matters; runtimes may add in another order.
        assert np.ptp(batch, axis=0).max() > 0.01 * np.abs(batch).max()
        assert np.abs(batch - single).max() <= 1e-5 * np.abs(batch).max()


def test_the_same_checkpoint_gives_the_same_bytes() -> None:
    state = random_state("mobilenet_v2")
    backward = dict(reversed(state.items()))
    assert build(BACKBONES["mobilenet_v2"], state) == build(BACKBONES["mobilenet_v2"], backward)


def test_without_classifier_there_is_one_output_and_the_same_embedding() -> None:
    backbone = BACKBONES["mobilenet_v2"]
    state = random_state("mobilenet_v2")
    short, long = (session(build(backbone, state, classifier=c)) for c in (False, True))
    assert [o.name for o in short.get_outputs()] == ["embedding"]
    crops = random_crops(1)
    np.testing.assert_array_equal(
        short.run(["embedding"], {"crops": crops})[0], long.run(["embedding"], {"crops": crops})[0]
    )


# Checkpoints that are not what they should be.


def altered(state: State, **changes: NDArray[Any] | None) -> State:
    new: State = {**state, **{k: v for k, v in changes.items() if v is not None}}
    return {k: v for k, v in new.items() if not (k in changes and changes[k] is None)}


@pytest.mark.parametrize("classifier", [False, True])
@pytest.mark.parametrize("missing", sorted(random_state("tiny")))
def test_a_missing_tensor_is_named(missing: str, classifier: bool) -> None:
    state = altered(random_state("tiny"), **{missing: None})
    with pytest.raises(WeightsError, match=f"no tensor {re.escape(missing)};"):
        build(TINY, state, classifier=classifier)


@pytest.mark.parametrize("name", sorted(random_state("tiny")))
def test_a_tensor_of_another_shape_is_named_with_both_shapes(name: str) -> None:
    right = random_state("tiny")[name]
    wrong = right[..., None]
    text = f"{name} has the shape {wrong.shape} instead of {right.shape}"
    with pytest.raises(WeightsError, match=re.escape(text)):
        build(TINY, altered(random_state("tiny"), **{name: wrong}))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", sorted(random_state("tiny")))
def test_a_tensor_that_is_not_finite_is_named(name: str, value: float) -> None:
    array = random_state("tiny")[name].copy()
    array.flat[-1] = value
    with pytest.raises(WeightsError, match=f"{re.escape(name)} holds NaN or infinity"):
        build(TINY, altered(random_state("tiny"), **{name: array}))


def test_tensors_without_a_place_are_named() -> None:
    extra = {f"head.{n}": np.zeros(1, np.float32) for n in range(5)}
    with pytest.raises(WeightsError, match=r"no place for head\.0, head\.1, head\.2 and 2 more;"):
        build(TINY, altered(random_state("tiny"), **extra))


def test_counters_of_norms_are_passed_over_and_no_others() -> None:
    counter = np.array(7, np.int64)
    state = altered(random_state("tiny"), **{"a.1.num_batches_tracked": counter})
    assert build(TINY, state) == build(TINY, random_state("tiny"))
    with pytest.raises(WeightsError, match=r"no place for c\.1\.num_batches_tracked;"):
        build(TINY, altered(state, **{"c.1.num_batches_tracked": counter}))


def test_numbers_of_a_wrong_kind_are_refused() -> None:
    state = random_state("tiny")
    whole = state["a.0.weight"].astype(np.int64)
    with pytest.raises(WeightsError, match=r"a\.0\.weight holds int64"):
        build(TINY, altered(state, **{"a.0.weight": whole}))
    with pytest.raises(WeightsError, match=r"a\.1\.running_var holds a negative variance"):
        build(TINY, altered(state, **{"a.1.running_var": -state["a.1.running_var"]}))
    huge = np.full_like(state["a.1.weight"], 3e38)
    tiny = np.zeros_like(state["a.1.running_var"])
    with pytest.raises(WeightsError, match="does not fit into single precision"):
        build(TINY, altered(state, **{"a.1.weight": huge, "a.1.running_var": tiny}))


def test_a_checkpoint_of_another_network_is_refused() -> None:
    with pytest.raises(WeightsError, match=r"weights of mobilenet_v2: there is no tensor features"):
        build(BACKBONES["mobilenet_v2"], random_state("efficientnet_lite0"))


# The table.


def test_the_table_agrees_with_itself() -> None:
    files: list[WeightFile] = []
    for name, backbone in BACKBONES.items():
        assert backbone.name == name
        for version, weights in backbone.weights.items():
            assert weights.version == version
            assert weights.preprocessing.resize >= 224
            files.append(weights.file)
        first = next(iter(backbone.weights.values()))
        assert first.file.name == name
    assert len({f.name for f in files}) == len({f.file for f in files}) == len(files)
    for file in files:
        assert file.sha256_prefix in file.file
        assert file.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", file.sha256)
        assert file.sha256 is None or file.sha256.startswith(file.sha256_prefix)
        assert file.url is None or file.url.endswith("/" + file.file)
        assert (file.url is None) == (file.carrier is not None)
        assert file.carrier is None or file.carrier.path.endswith("/" + file.file)


# Real weights.


def lite0_logits() -> Logits:
    weights = BACKBONES["efficientnet_lite0"].weights["v1"]
    carrier = weights.file.carrier
    assert carrier is not None
    found = find_spec(carrier.package)
    if found is None or found.origin is None:
        pytest.skip(f"the weights come with {carrier.pin}, which is not installed")
    from pallor.weights.checkpoint import read_checkpoint

    content = (Path(found.origin).parent / carrier.path).read_bytes()
    state = read_checkpoint(content, weights.file.file)
    run = session(
        onnx_graph(BACKBONES["efficientnet_lite0"], weights.preprocessing, state, classifier=True)
    )
    return lambda crops: run.run(["logits"], {"crops": crops})[0]


def test_the_lite_network_sees_a_cat_and_an_espresso() -> None:
    logits = lite0_logits()
    resize = BACKBONES["efficientnet_lite0"].weights["v1"].preprocessing.resize
    for picture in known_pictures():
        assert top_class(logits, picture.rgb, resize) in picture.classes, picture.name
        # The answer must hang on the picture.
        assert top_class(logits, np.zeros_like(picture.rgb), resize) not in picture.classes


# Labeled pictures.


def by_red(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Stand-in for a network: 40 classes for every 10 levels of red; JPEG moves them by 1."""
    classes = 40 * np.round(crops[..., 0].mean(axis=(1, 2)) / 10)
    return -np.abs(np.arange(1000)[None] - classes[:, None]).astype(np.float32)


def put(path: Path, red: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (300, 260), (red, 10, 20)).save(path)


def wilson(k: int, n: int) -> tuple[float, float]:
    z, p = 1.959963984540054, k / n
    center = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return center - half, center + half


def test_accuracy_counts_right_wrong_and_unreadable_pictures(tmp_path: Path) -> None:
    for n in range(20):
        put(tmp_path / "40" / f"{n:02}.png", 10)
    put(tmp_path / "40" / "wrong.png", 50)
    put(tmp_path / "0" / "dark.jpg", 0)
    put(tmp_path / "800" / "bright.JPEG", 200)
    (tmp_path / "40" / "torn.png").write_bytes((tmp_path / "40" / "00.png").read_bytes()[:100])
    (tmp_path / "0" / "notes.txt").write_text("not a picture")
    (tmp_path / "0" / "folder").mkdir()
    (tmp_path / "0" / ".hidden").write_text("passed over")
    (tmp_path / "readme.txt").write_text("passed over")
    seen: list[tuple[int, int, str]] = []
    found = accuracy_on_sample(tmp_path, by_red, 232, lambda *step: seen.append(step))
    assert (found.images, found.correct) == (23, 22)
    assert found.unreadable == ("0/folder", "0/notes.txt", "40/torn.png")
    assert found.accuracy == pytest.approx(22 / 23)
    assert (found.low, found.high) == pytest.approx(wilson(22, 23), abs=1e-9)
    assert [step[0] for step in seen] == list(range(1, 27))
    assert seen[-1] == (26, 26, "800/bright.JPEG")


def test_the_last_pictures_count_where_the_very_last_is_unreadable(tmp_path: Path) -> None:
    put(tmp_path / "40" / "a.png", 10)
    (tmp_path / "40" / "b.png").write_bytes(b"torn")
    found = accuracy_on_sample(tmp_path, by_red, 232)
    assert (found.images, found.correct, found.unreadable) == (1, 1, ("40/b.png",))


def test_synset_folders_stand_for_classes_in_their_order(tmp_path: Path) -> None:
    for n in range(1000):
        (tmp_path / f"n{1_000_000 + 37 * n:08}").mkdir()
    put(tmp_path / f"n{1_000_000 + 37 * 40:08}" / "a.jpeg", 10)
    put(tmp_path / f"n{1_000_000 + 37 * 400:08}" / "b.jpeg", 100)
    put(tmp_path / f"n{1_000_000 + 37 * 401:08}" / "c.jpeg", 100)
    found = accuracy_on_sample(tmp_path, by_red, 232)
    assert (found.images, found.correct) == (3, 2)


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], "found no folder"),
        (["n01440764", "n01443537"], "2 synset folders; only all 1000"),
        (["cats", "dogs"], "found a folder 'cats'"),
        (["7", "n01440764"], "found both kinds at once"),
        (["1000"], "found a folder '1000'"),
        (["7"], "no JPEG or PNG picture in its folders can be read"),
    ],
)
def test_another_layout_is_refused(tmp_path: Path, names: list[str], text: str) -> None:
    for name in names:
        (tmp_path / name).mkdir()
    with pytest.raises(UsageError, match=re.escape(text)) as caught:
        accuracy_on_sample(tmp_path, by_red, 232)
    assert str(tmp_path) in caught.value.text


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such folder"):
        accuracy_on_sample(tmp_path / "nowhere", by_red, 232)


@pytest.mark.parametrize(("height", "width"), [(256, 400), (400, 256), (256, 256), (257, 256)])
def test_a_picture_of_the_right_size_is_only_cut(height: int, width: int) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    top, left = round((height - 224) / 2), round((width - 224) / 2)
    np.testing.assert_array_equal(central_crop(rgb, 256), rgb[top : top + 224, left : left + 224])


def test_making_smaller_averages_instead_of_picking_pixels() -> None:
    # A checkerboard of single pixels: picked pixels would be black or white.
    board = (np.indices((1024, 1536)).sum(axis=0) % 2 * 255).astype(np.uint8)
    crop = central_crop(np.repeat(board[..., None], 3, axis=2), 256)
    assert crop.shape == (224, 224, 3)
    assert abs(crop.astype(int) - 127.5).max() < 4


def test_a_picture_that_would_be_smaller_than_the_crop_is_refused() -> None:
    with pytest.raises(UsageError, match="224"):
        central_crop(np.zeros((300, 300, 3), np.uint8), 200)


def test_a_result_cannot_be_changed(tmp_path: Path) -> None:
    put(tmp_path / "40" / "a.png", 10)
    found = accuracy_on_sample(tmp_path, by_red, 232)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.correct = 2  # type: ignore[misc] - that it is refused is the test
