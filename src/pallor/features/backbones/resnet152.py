"""ResNet-152 as torchvision builds and publishes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pallor.features.backbones.backbone import Backbone, BackboneWeights, imagenet
from pallor.features.backbones.torchvision_file import torchvision_file

if TYPE_CHECKING:
    from pallor.features.backbones.builder import GraphBuilder

_STAGES: Final = ((64, 3, 1), (128, 8, 2), (256, 36, 2), (512, 3, 2))
"""Width, blocks, stride of the first block (table 1 of the paper)."""

_EXPANSION: Final = 4


def _layers(builder: GraphBuilder, x: str) -> str:
    x = builder.conv_norm(x, "conv1", "bn1", 64, kernel=7, stride=2, padding=3, activation="relu")
    x = builder.max_pool(x, "maxpool", kernel=3, stride=2, padding=1)
    for stage, (width, blocks, first_stride) in enumerate(_STAGES, start=1):
        for block in range(blocks):
            stride = first_stride if block == 0 else 1
            x = _bottleneck(builder, x, f"layer{stage}.{block}", width, stride, shortcut=block == 0)
    return builder.global_mean(x, "pooled")


def _bottleneck(
    builder: GraphBuilder, x: str, name: str, width: int, stride: int, *, shortcut: bool
) -> str:
    channels = width * _EXPANSION
    y = builder.conv_norm(x, f"{name}.conv1", f"{name}.bn1", width, activation="relu")
    # The paper has the stride in the 1x1 convolution before; torchvision has it here ("v1.5").
    y = builder.conv_norm(
        y,
        f"{name}.conv2",
        f"{name}.bn2",
        width,
        kernel=3,
        stride=stride,
        padding=1,
        activation="relu",
    )
    y = builder.conv_norm(y, f"{name}.conv3", f"{name}.bn3", channels)
    if shortcut:
        down = f"{name}.downsample"
        x = builder.conv_norm(x, f"{down}.0", f"{down}.1", channels, stride=stride)
    return builder.add(x, y, f"{name}.sum", activation="relu")


_MAX_BYTES: Final = 260_000_000

BACKBONE: Final = Backbone(
    name="resnet152",
    dimension=2048,
    layers=_layers,
    classifier=("fc.weight", "fc.bias"),
    weights={
        "v2": BackboneWeights(
            "v2",
            torchvision_file("resnet152", "v2", "f82ba261", _MAX_BYTES),
            imagenet(232),
            0.82284,
        ),
        "v1": BackboneWeights(
            "v1",
            torchvision_file(
                "resnet152",
                "v1",
                "394f9c45",
                _MAX_BYTES,
                "394f9c45966e3651a89bbb78a48410a6755854ce4a5ab64927cf1c7247f85e58",
            ),
            imagenet(256),
            0.78312,
        ),
    },
    reference="He et al. 2016, arXiv:1512.03385",
)
