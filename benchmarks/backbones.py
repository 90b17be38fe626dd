"""Images a second of each backbone: ONNX Runtime, OpenVINO and torch in one run, as ratios.

    python benchmarks/backbones.py [--rounds 5] [--threads 2] [--backbones resnet152,...]

Each engine goes from 8-bit crops to embeddings, in batches of 16. The engines take turns, round
after round, so that a busy machine slows all of them alike; the median over the rounds counts.
Real weights are used where they are found, else random ones of the same shapes (from torch),
which is said. An engine that is not installed is left out and named. Torch and torchvision:
see tests/torch/install.sh.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
import time
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from pallor.errors import WeightsError
from pallor.features.backbones.backbone import Backbone
from pallor.features.backbones.graph import onnx_graph
from pallor.features.backbones.runtime import RUNTIMES
from pallor.features.backbones.table import BACKBONES
from pallor.weights.checkpoint import read_checkpoint
from pallor.weights.locate import read_weights

BATCH = 16
Engine = Callable[[np.ndarray], np.ndarray]


def installed(module: str) -> bool:
    """Say whether a module can be imported, without importing it."""
    return importlib.util.find_spec(module) is not None


def torch_module(name: str) -> Any:
    """Return the network as its own makers build it, with seeded random weights."""
    import torch

    torch.manual_seed(0)
    if name == "efficientnet_lite0":
        from efficientnet_lite_pytorch import EfficientNet

        return EfficientNet.from_name("efficientnet-lite0")
    # This torchvision is built for another torch; what fails to register is not used here.
    sys.modules.setdefault(
        "torchvision._meta_registrations", types.ModuleType("torchvision._meta_registrations")
    )
    import torchvision

    return getattr(torchvision.models, name)(weights=None)


def weights_of(backbone: Backbone) -> tuple[dict[str, np.ndarray], str] | None:
    """Return real weights, or random ones where torch can make them."""
    version = next(iter(backbone.weights.values()))
    try:
        content, located = read_weights(version.file)
        return read_checkpoint(content, str(located.path)), f"weights {located.path.name}"
    except WeightsError:
        if not installed("torch"):
            return None
        state = torch_module(backbone.name).state_dict()
        return {k: v.numpy() for k, v in state.items()}, "random weights"


def torch_engine(backbone: Backbone, state: dict[str, np.ndarray], threads: int) -> Engine:
    """Return the network under torch, eager."""
    import torch

    torch.set_num_threads(threads)
    module = torch_module(backbone.name).eval()
    module.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in state.items()})
    how = next(iter(backbone.weights.values())).preprocessing
    mean, std = torch.tensor(how.mean), torch.tensor(how.std)

    def run(crops: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            batch = ((torch.from_numpy(crops).float() - mean) / std).permute(0, 3, 1, 2)
            batch = batch.contiguous()
            if backbone.name == "resnet152":
                for part in ("conv1", "bn1", "relu", "maxpool"):
                    batch = getattr(module, part)(batch)
                for part in ("layer1", "layer2", "layer3", "layer4"):
                    batch = getattr(module, part)(batch)
            elif backbone.name == "mobilenet_v2":
                batch = module.features(batch)
            else:
                batch = module.extract_features(batch)
            return batch.mean(dim=(2, 3)).numpy()

    return run


def engines_of(backbone: Backbone, threads: int) -> tuple[dict[str, Engine], str]:
    """Return whatever can run the backbone here, and with which weights."""
    found = weights_of(backbone)
    if found is None:
        return {}, "no weights, and no torch to make random ones"
    state, what = found
    graph = onnx_graph(backbone, next(iter(backbone.weights.values())).preprocessing, state)
    engines: dict[str, Engine] = {}
    if installed("torch"):
        engines["torch eager"] = torch_engine(backbone, state, threads)
    engines["ONNX Runtime float32"] = RUNTIMES["float32"](graph, threads, backbone.name)
    try:
        engines["OpenVINO bfloat16"] = RUNTIMES["bfloat16"](graph, threads, backbone.name)
    except WeightsError as error:
        what += f"; no bfloat16: {error}"
    return engines, what


def pictures(count: int) -> np.ndarray:
    """Return crops with structure, not noise: smooth fields of color."""
    import cv2

    small = np.random.default_rng(0).integers(0, 256, (count, 14, 14, 3), dtype=np.uint8)
    return np.stack([cv2.resize(s, (224, 224), interpolation=cv2.INTER_CUBIC) for s in small])


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the cosine between rows."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def measure(backbone: Backbone, rounds: int, threads: int) -> None:
    """Time the engines of a backbone in turn and print what came out."""
    engines, what = engines_of(backbone, threads)
    print(f"\n{backbone.name} ({what}), {threads} threads, batches of {BATCH}")
    crops = pictures(BATCH)
    results = {name: engine(crops) for name, engine in engines.items()}  # also the warm-up
    times: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(rounds):
        for name, engine in engines.items():
            start = time.perf_counter()
            engine(crops)
            times[name].append(time.perf_counter() - start)
    base = times.get("torch eager")
    for name, spent in times.items():
        rate = BATCH / statistics.median(spent)
        ratio = ""
        if base is not None and name != "torch eager":
            ratios = [b / s for b, s in zip(base, spent, strict=True)]
            ratio = (
                f"  {statistics.median(ratios):5.2f} x torch eager"
                f" ({min(ratios):.2f}-{max(ratios):.2f} over {rounds} rounds)"
            )
        print(f"  {name:22} {rate:8.1f} images/s{ratio}")
    reference = results.get("ONNX Runtime float32")
    for name, embeddings in results.items():
        if reference is None or name == "ONNX Runtime float32":
            continue
        similarity = cosine(reference, embeddings)
        worst = np.abs(reference - embeddings).max() / np.abs(reference).max()
        print(
            f"  {name} against ONNX Runtime float32: cosine {similarity.mean():.6f} "
            f"(smallest {similarity.min():.6f}), largest difference {worst:.1e} of the scale"
        )


def main() -> None:
    """Read the options and go through the backbones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--backbones", default=",".join(BACKBONES))
    asked = parser.parse_args()
    for name in ("torch", "openvino"):
        if not installed(name):
            print(f"{name} is not installed and left out")
    for name in asked.backbones.split(","):
        measure(BACKBONES[name], asked.rounds, asked.threads)


if __name__ == "__main__":
    main()
