"""A small ONNX network, as a user's own file would be: mean color of the picture, mixed."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def write_tiny_network(
    path: Path,
    *,
    dimension: int = 5,
    seed: int = 0,
    shape: tuple[object, ...] = ("N", 3, 224, 224),
    kind: str = "FLOAT",
    maps: bool = False,
    metadata: dict[str, str] | None = None,
) -> np.ndarray:
    """Write the network and return its matrix, ``(3, dimension)``.

    The output is (mean over the picture of what goes in) @ matrix; with ``maps`` the average
    is left to the reader of the output.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    matrix = np.random.default_rng(seed).normal(size=(3, dimension)).astype(np.float32)
    last = shape[-1] == 3
    nodes = [helper.make_node("Cast", ["pictures"], ["real"], to=TensorProto.FLOAT)]
    now = "real"
    if last:
        nodes.append(helper.make_node("Transpose", [now], ["first"], perm=[0, 3, 1, 2]))
        now = "first"
    kernel = numpy_helper.from_array(matrix.T.reshape(dimension, 3, 1, 1).copy(), "kernel")
    nodes.append(helper.make_node("Conv", [now, "kernel"], ["mixed"]))
    if maps:
        nodes.append(helper.make_node("Identity", ["mixed"], ["embedding"]))
    else:
        nodes.append(helper.make_node("GlobalAveragePool", ["mixed"], ["pooled"]))
        nodes.append(helper.make_node("Flatten", ["pooled"], ["embedding"]))
    size = ["N", dimension, 224, 224] if maps else ["N", dimension]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("pictures", getattr(TensorProto, kind), list(shape))],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, size)],
        [kernel],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    for key, value in (metadata or {}).items():
        model.metadata_props.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())
    assert onnx.checker.check_model(model) is None
    return matrix
