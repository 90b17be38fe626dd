"""MobileNetV2 as torchvision builds and publishes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pallor.features.backbones.backbone import Backbone, BackboneWeights, imagenet
from pallor.features.backbones.torchvision_file import torchvision_file

if TYPE_CHECKING:
    from pallor.features.backbones.builder import GraphBuilder

_GROUPS: Final = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Expansion, channels, blocks, stride of the first block (table 2 of the paper)."""


def _layers(builder: GraphBuilder, x: str) -> str:
    x = builder.conv_norm(
        x,
        "features.0.0",
        "features.0.1",
        32,
        kernel=3,
        stride=2,
        padding=1,
        activation="relu6",
    )
    number = 1
    for expansion, channels, blocks, first_stride in _GROUPS:
        for block in range(blocks):
            stride = first_stride if block == 0 else 1
            x = _inverted_residual(builder, x, f"features.{number}", expansion, channels, stride)
            number += 1
    last = f"features.{number}"
    x = builder.conv_norm(x, f"{last}.0", f"{last}.1", 1280, activation="relu6")
    return builder.global_mean(x, "pooled")


def _inverted_residual(
    builder: GraphBuilder, x: str, name: str, expansion: int, channels: int, stride: int
) -> str:
    inputs = builder.channels(x)
    wide = inputs * expansion
    y, part = x, 0
    if expansion != 1:
        y = builder.conv_norm(y, f"{name}.conv.0.0", f"{name}.conv.0.1", wide, activation="relu6")
        part = 1
    y = builder.conv_norm(
        y,
        f"{name}.conv.{part}.0",
        f"{name}.conv.{part}.1",
        wide,
        kernel=3,
        stride=stride,
        padding=1,
        groups=wide,
        activation="relu6",
    )
    # The projection and its norm are not a pair in torchvision's numbering.
    y = builder.conv_norm(y, f"{name}.conv.{part + 1}", f"{name}.conv.{part + 2}", channels)
    return builder.add(x, y, f"{name}.sum") if stride == 1 and inputs == channels else y


_MAX_BYTES: Final = 20_000_000

BACKBONE: Final = Backbone(
    name="mobilenet_v2",
    dimension=1280,
    layers=_layers,
    classifier=("classifier.1.weight", "classifier.1.bias"),
    weights={
        "v2": BackboneWeights(
            "v2",
            torchvision_file("mobilenet_v2", "v2", "7ebf99e0", _MAX_BYTES),
            imagenet(232),
            0.72154,
        ),
        "v1": BackboneWeights(
            "v1",
            torchvision_file(
                "mobilenet_v2",
                "v1",
                "b0353104",
                _MAX_BYTES,
                "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
            ),
            imagenet(256),
            0.71878,
        ),
    },
    reference="Sandler et al. 2018, arXiv:1801.04381",
)
