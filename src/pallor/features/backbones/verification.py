"""Whether weights that load also see: classification with a checkpoint's own classifier."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pallor.features.backbones.classification import (
    Logits,
    Progress,
    SampleAccuracy,
    accuracy_on_sample,
    known_pictures,
    top_class,
)

if TYPE_CHECKING:
    from pallor.features.backbones.backbone import Backbone, BackboneWeights

TOLERATED_SHORTFALL = 0.02
"""A sample's interval this much below the published accuracy is called too low: pictures are
scaled a little differently here than by the publishers."""


@dataclass(frozen=True)
class Seen:
    """What the network says of a known picture.

    Attributes
    ----------
    picture
        Its name.
    shows
        What it shows, in words.
    top_class
        Index of the most probable class.
    right
        Whether that is one of the right ones.
    """

    picture: str
    shows: str
    top_class: int
    right: bool


def owner_of(file_name: str) -> tuple[Backbone, BackboneWeights] | None:
    """Return the backbone that a file of weights is for, by `WeightFile.name`; None for none."""
    from pallor.features.backbones.table import BACKBONES

    for backbone in BACKBONES.values():
        for weights in backbone.weights.values():
            if weights.file.name == file_name:
                return backbone, weights
    return None


def classifier(backbone: Backbone, weights: BackboneWeights, threads: int) -> Logits:
    """Load a checkpoint with its classifier.

    Parameters
    ----------
    backbone, weights
        Which.
    threads
        To compute on.

    Returns
    -------
    callable
        Crops ``(N, 224, 224, 3)`` uint8 RGB to ``(N, 1000)``.

    Raises
    ------
    WeightsError
        If the file is absent, altered or of another network.
    """
    from pallor.features.backbones.graph import onnx_graph
    from pallor.features.backbones.runtime import onnx_runtime
    from pallor.weights.checkpoint import read_checkpoint
    from pallor.weights.locate import read_weights

    content, located = read_weights(weights.file)
    state = read_checkpoint(content, str(located.path))
    graph = onnx_graph(
        backbone, weights.preprocessing, state, classifier=True, source=located.sha256
    )
    return onnx_runtime(graph, threads, weights.file.file, output="logits")


def see_pictures(weights: BackboneWeights, logits: Logits) -> list[Seen]:
    """Classify the known pictures."""
    resize = weights.preprocessing.resize
    return [
        Seen(picture.name, picture.shows, found, found in picture.classes)
        for picture in known_pictures()
        for found in (top_class(logits, picture.rgb, resize),)
    ]


def see_sample(
    weights: BackboneWeights, logits: Logits, folder: Path, progress: Progress | None = None
) -> tuple[SampleAccuracy, bool]:
    """Measure the accuracy on a sample of ImageNet.

    Returns
    -------
    accuracy
        With its interval.
    low
        Whether the interval lies below the published accuracy.
    """
    accuracy = accuracy_on_sample(folder, logits, weights.preprocessing.resize, progress)
    return accuracy, accuracy.high < weights.top1 - TOLERATED_SHORTFALL
