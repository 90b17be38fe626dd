"""From the tensors of a checkpoint to an ONNX graph that takes crops as they are."""

from __future__ import annotations

from typing import Final

from pallor.features.backbones.backbone import Backbone, Preprocessing
from pallor.features.backbones.builder import SIDE, GraphBuilder, State

__all__ = ["CLASSES", "GRAPH_VERSION", "GraphBuilder", "onnx_graph"]

GRAPH_VERSION: Final = 1
"""Raised whenever the same checkpoint gives another graph."""

CLASSES: Final = 1000
"""Of ImageNet."""

# Read by every onnxruntime since 1.13 and by OpenVINO; nothing newer is needed.
_OPSET: Final = 17
_IR_VERSION: Final = 8


def onnx_graph(
    backbone: Backbone,
    preprocessing: Preprocessing,
    state: State,
    *,
    classifier: bool = False,
    source: str = "",
) -> bytes:
    """Build the network of a checkpoint as an ONNX model.

    Input ``crops``: 8-bit RGB ``(N, 224, 224, 3)``, any `N`. Output ``embedding``: float32
    ``(N, dimension)``. Batch normalization is folded into the convolutions in double precision,
    so every runtime starts from the same numbers.

    Parameters
    ----------
    backbone
        The architecture.
    preprocessing
        That of the checkpoint's training; part of the graph.
    state
        Tensors of the checkpoint by their names, those of the classifier among them.
    classifier
        Whether there is a second output ``logits``, float32 ``(N, 1000)``.
    source
        SHA-256 of the checkpoint, for the model's metadata.

    Returns
    -------
    bytes
        The same for the same arguments.

    Raises
    ------
    WeightsError
        If a tensor is absent, too many, of another shape, or not finite.
    """
    from onnx import TensorProto, helper

    builder = GraphBuilder(f"weights of {backbone.name}", state)
    crops = builder.standardized("crops", preprocessing.mean, preprocessing.std)
    pooled = backbone.layers(builder, crops)
    if builder.channels(pooled) != backbone.dimension:
        raise ValueError(f"{backbone.name}: {builder.channels(pooled)} numbers in the embedding")
    builder.output(pooled, "embedding")
    outputs = {"embedding": backbone.dimension}
    weight, bias = backbone.classifier
    if classifier:
        builder.output(builder.linear(pooled, weight, bias, CLASSES, "classifier"), "logits")
        outputs["logits"] = CLASSES
    else:
        # Not needed, but a checkpoint without them is not the one that was published.
        builder.linear_tensors(weight, bias, CLASSES, backbone.dimension)
    builder.check_all_used()

    entry = helper.make_tensor_value_info("crops", TensorProto.UINT8, ["N", SIDE, SIDE, 3])
    model = helper.make_model(
        helper.make_graph(
            builder.nodes,
            backbone.name,
            [entry],
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", width])
                for name, width in outputs.items()
            ],
            list(builder.initializers.values()),
        ),
        producer_name="pallor",
        ir_version=_IR_VERSION,
        opset_imports=[helper.make_opsetid("", _OPSET)],
    )
    helper.set_model_props(
        model,
        {
            "backbone": backbone.name,
            "weights": _weights_name(backbone, source),
            "checkpoint_sha256": source,
            "graph_version": str(GRAPH_VERSION),
        },
    )
    return bytes(model.SerializeToString(deterministic=True))


def _weights_name(backbone: Backbone, source: str) -> str:
    """Return the name of the weights with that hash, empty if there are none."""
    for weights in backbone.weights.values():
        known = weights.file.sha256 or weights.file.sha256_prefix
        if known and source.startswith(known):
            return weights.file.name
    return ""
