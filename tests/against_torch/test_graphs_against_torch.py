"""Needs torch, torchvision and efficientnet-lite-pytorch; ``--junitxml`` keeps the figures."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
import torchvision
from efficientnet_lite_pytorch import EfficientNet

from pallor.features.backbones.backbone import BackboneWeights
from pallor.features.backbones.classification import central_crop, known_pictures
from pallor.features.backbones.graph import onnx_graph
from pallor.features.backbones.table import BACKBONES

LIMIT = 1e-4
"""Of the largest number in the reference's output: single precision over up to 155 layers."""

Reference = tuple[Any, Callable[[Any], Any]]


def mobilenet_v2() -> Reference:
    model = torchvision.models.mobilenet_v2(weights=None)
    return model, lambda x: model.features(x).mean((2, 3))


def resnet152() -> Reference:
    model = torchvision.models.resnet152(weights=None)
    trunk = torch.nn.Sequential(*list(model.children())[:-1])
    return model, lambda x: trunk(x).flatten(1)


def efficientnet_lite0() -> Reference:
    model = EfficientNet.from_name("efficientnet-lite0")
    return model, lambda x: model.extract_features(x).mean((2, 3))


REFERENCES = {f.__name__: f for f in (mobilenet_v2, resnet152, efficientnet_lite0)}


def randomize(model: Any, seed: int) -> None:
    """Give every tensor numbers of its own, such that a mistake in any of them shows."""
    torch.manual_seed(seed)
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
        elif isinstance(module, torch.nn.BatchNorm2d):
            # At the end of a residual branch less, or the sum over 50 blocks explodes.
            branch_end = name.endswith("bn3")
            torch.nn.init.uniform_(module.weight, *((0.1, 0.4) if branch_end else (0.5, 1.5)))
            torch.nn.init.normal_(module.bias, 0.0, 0.3)
            torch.nn.init.normal_(module.running_mean, 0.0, 0.3)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
        elif isinstance(module, torch.nn.Linear):
            torch.nn.init.normal_(module.weight, 0.0, 0.05)
            torch.nn.init.normal_(module.bias, 0.0, 0.5)


def standardized(crops: np.ndarray, weights: BackboneWeights) -> Any:
    """As torchvision and the original evaluation state it, independently of the graph."""
    pixels = torch.from_numpy(crops).permute(0, 3, 1, 2).to(torch.float32)
    if weights.file.name.startswith("efficientnet_lite0"):
        return (pixels - 127.0) / 128.0
    means, stds = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    return torchvision.transforms.functional.normalize(pixels / 255.0, means, stds)


def compare(
    name: str, reference: Reference, crops: np.ndarray, record: Callable[[str, object], None]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return outputs of the graph and of torch, after recording and checking the difference."""
    model, embed = reference
    model.eval()
    weights = next(iter(BACKBONES[name].weights.values()))
    state = {key: value.numpy() for key, value in model.state_dict().items()}
    graph = onnx_graph(BACKBONES[name], weights.preprocessing, state, classifier=True)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    ours = dict(
        zip(
            ("embedding", "logits"),
            session.run(["embedding", "logits"], {"crops": crops}),
            strict=True,
        )
    )
    with torch.inference_mode():
        x = standardized(crops, weights)
        theirs = {"embedding": embed(x).numpy(), "logits": model(x).numpy()}
    for output, expected in theirs.items():
        assert expected.shape == ours[output].shape
        scale = float(np.abs(expected).max())
        # The comparison is worth something only if crops and channels differ.
        assert 0 < scale < np.inf
        assert float(expected.std(axis=0).max()) > 0.01 * scale
        difference = float(np.abs(ours[output] - expected).max()) / scale
        record(f"{name}_{output}", difference)
        assert difference <= LIMIT
    return {output: (ours[output], expected) for output, expected in theirs.items()}


@pytest.mark.parametrize("name", REFERENCES)
def test_a_graph_computes_what_torch_computes(
    name: str, record_property: Callable[[str, object], None]
) -> None:
    reference = REFERENCES[name]()
    randomize(reference[0], seed=1)
    crops = np.random.default_rng(2).integers(0, 256, (4, 224, 224, 3), dtype=np.uint8)
    # Noise alone averages out over a picture: let level and contrast differ by picture.
    levels = np.array([0.15, 0.4, 0.7, 1.0]).reshape(-1, 1, 1, 1)
    compare(name, reference, (crops * levels).astype(np.uint8), record_property)


def test_real_weights_see_in_the_graph_what_they_see_in_torch(
    record_property: Callable[[str, object], None],
) -> None:
    weights = BACKBONES["efficientnet_lite0"].weights["v1"]
    carrier = weights.file.carrier
    assert carrier is not None
    found = find_spec(carrier.package)
    if found is None or found.origin is None:
        pytest.skip(f"the weights come with {carrier.pin}, which is not installed")
    reference = efficientnet_lite0()
    path = Path(found.origin).parent / carrier.path
    reference[0].load_state_dict(torch.load(path, weights_only=True))
    pictures = known_pictures()
    crops = np.stack([central_crop(p.rgb, weights.preprocessing.resize) for p in pictures])
    outputs = compare("efficientnet_lite0", reference, crops, record_property)
    for picture, *both in zip(pictures, *outputs["logits"], strict=True):
        for logits in both:
            assert int(np.argmax(logits)) in picture.classes
    # The two pictures' embeddings lie far apart, so that agreement says something.
    first, second = outputs["embedding"][1]
    assert float(np.corrcoef(first, second)[0, 1]) < 0.9


@pytest.mark.parametrize("name", REFERENCES)
def test_the_checkpoint_has_the_tensors_of_the_network_and_no_other(name: str) -> None:
    model, _ = REFERENCES[name]()
    state = {key: value.numpy() for key, value in model.state_dict().items()}
    backbone = BACKBONES[name]
    weights = next(iter(backbone.weights.values()))
    assert onnx_graph(backbone, weights.preprocessing, state)
