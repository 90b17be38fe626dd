"""Seeded random weights of the shapes that a backbone has: for its time, not for its features."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pallor.features.backbones.backbone import Backbone
from pallor.features.backbones.builder import GraphBuilder

State = dict[str, NDArray[Any]]


class RandomState(GraphBuilder):
    """Gives every tensor that is asked for, and keeps it."""

    def __init__(self, seed: int) -> None:
        super().__init__("random", {})
        self.state: State = {}
        self._rng = np.random.default_rng(seed)

    def take(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
        rng = self._rng
        if name.endswith("running_var"):
            array = rng.uniform(0.5, 1.5, shape)
        elif name.endswith(".weight") and len(shape) == 1:
            # At the end of a residual branch less, or the sum over 50 blocks explodes.
            array = rng.uniform(0.5, 1.5, shape) * (0.25 if ".bn3." in name else 1.0)
        elif len(shape) > 1:
            array = rng.standard_normal(shape, dtype=np.float32)
            array *= np.float32(math.sqrt(2 / math.prod(shape[1:])))
        else:
            array = rng.normal(0, 0.3, shape)
        self.state[name] = array.astype(np.float32)
        return self.state[name].astype(np.float64)


def weights_for(backbone: Backbone, seed: int = 0) -> State:
    """Return every tensor that the backbone and its classifier ask for."""
    builder = RandomState(seed)
    pooled = backbone.layers(builder, builder.standardized("crops", (0, 0, 0), (1, 1, 1)))
    builder.linear(pooled, *backbone.classifier, 1000, "classifier")
    return builder.state
