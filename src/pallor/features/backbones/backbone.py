"""What a backbone is: a pre-trained image network that ends at its pooled embedding."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pallor.features.backbones.builder import GraphBuilder
    from pallor.weights.weight_file import WeightFile

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Preprocessing:
    """``(pixel - mean) / std`` for each of R, G, B, pixels 0..255.

    Attributes
    ----------
    mean, std
        On the scale of 8-bit pixels.
    resize
        Shorter side in pixels to which the publishers resized pictures before they cut out
        the central 224x224. Aligned crops are 224x224 already and are not resized.
    """

    mean: Triple
    std: Triple
    resize: int


def imagenet(resize: int) -> Preprocessing:
    """Return torchvision's usual standardization, stated for 8-bit pixels."""
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    r, g, b = (255.0 * value for value in mean)
    sr, sg, sb = (255.0 * value for value in std)
    return Preprocessing((r, g, b), (sr, sg, sb), resize)


@dataclass(frozen=True)
class BackboneWeights:
    """One set of weights of a backbone.

    Attributes
    ----------
    version
        Such as ``v2``.
    file
        The checkpoint.
    preprocessing
        That of its training.
    top1
        Accuracy on the ImageNet validation set that its publisher states, 0..1.
    """

    version: str
    file: WeightFile
    preprocessing: Preprocessing
    top1: float


@dataclass(frozen=True)
class Backbone:
    """A network by its architecture, and the weights that there are for it.

    Attributes
    ----------
    name
        Also that of the modality.
    dimension
        Length of the embedding.
    layers
        Adds everything between the standardized picture ``(N, 3, 224, 224)`` and the pooled
        embedding ``(N, dimension)`` to a graph: ``(builder, input name) -> output name``.
    classifier
        Names of weight and bias of the last linear layer in the checkpoint.
    weights
        Version to weights; the first is the default.
    reference
        Paper of the architecture.
    """

    name: str
    dimension: int
    layers: Callable[[GraphBuilder, str], str]
    classifier: tuple[str, str]
    weights: Mapping[str, BackboneWeights]
    reference: str
