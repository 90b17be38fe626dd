"""An ONNX file of the user's own as a backbone: how it takes pictures, and how they are fed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pallor.errors import WeightsError
from pallor.features.backbones.backbone import Preprocessing, imagenet

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pallor.features.backbones.runtime import Run

SIDE = 224
MAX_DIMENSION = 16_384


@dataclass(frozen=True)
class GraphInput:
    """How a graph wants its pictures.

    Attributes
    ----------
    channels_first
        ``(N, 3, 224, 224)``; else ``(N, 224, 224, 3)``.
    bytes_in
        uint8 as they are; else float32, standardized here.
    single
        One picture at a time.
    preprocessing
        Of float32 input.
    """

    channels_first: bool
    bytes_in: bool
    single: bool
    preprocessing: Preprocessing


def inspect_graph(content: bytes, name: str) -> GraphInput:
    """Find out how an ONNX model takes pictures.

    Parameters
    ----------
    content
        The file.
    name
        Its name, for the messages.

    Returns
    -------
    GraphInput
        ``mean`` and ``std`` are read from the model's metadata (three numbers each, R, G, B,
        for pixels of 0..255, separated by commas), and ImageNet's where there are none.

    Raises
    ------
    WeightsError
        If it is no ONNX model, or does not have one input of 224x224 pictures and an output.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.ModelProto.FromString(content)
    except DecodeError as error:
        raise WeightsError(f"{name}: not an ONNX model ({error})") from error
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1 or not graph.output:
        raise WeightsError(
            f"{name}: has {len(inputs)} inputs and {len(graph.output)} outputs; one input, the "
            "pictures, and the embedding as the first output are needed"
        )
    tensor = inputs[0].type.tensor_type
    kinds = {onnx.TensorProto.UINT8: True, onnx.TensorProto.FLOAT: False}
    shape = [axis.dim_value or None for axis in tensor.shape.dim]
    sides = {None, SIDE}
    if len(shape) == 4 and shape[1] == 3 and set(shape[2:]) <= sides:
        channels_first = True
    elif len(shape) == 4 and shape[3] == 3 and set(shape[1:3]) <= sides:
        channels_first = False
    else:
        raise WeightsError(
            f"{name}: its input has the shape {shape}; (N, 3, {SIDE}, {SIDE}) or "
            f"(N, {SIDE}, {SIDE}, 3) is needed"
        )
    if tensor.elem_type not in kinds or shape[0] not in (None, 1):
        raise WeightsError(f"{name}: its input must be float32 or uint8, of any number or of one")
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    return GraphInput(
        channels_first, kinds[tensor.elem_type], shape[0] == 1, _preprocessing(metadata, name)
    )


def feed(run: Run, how: GraphInput, crops: NDArray[np.uint8], name: str) -> NDArray[np.float32]:
    """Embed crops with a graph of the user's own.

    Parameters
    ----------
    run
        The graph.
    how
        What `inspect_graph` found.
    crops
        ``(N, 224, 224, 3)`` uint8 RGB.
    name
        Of the file, for the messages.

    Returns
    -------
    ndarray
        ``(N, d)`` float32. A map ``(N, d, h, w)`` is averaged over its places.

    Raises
    ------
    WeightsError
        If the output has another shape, or is not finite.
    """
    import numpy as np

    batch: NDArray[Any] = crops
    if not how.bytes_in:
        mean = np.asarray(how.preprocessing.mean, dtype=np.float32)
        std = np.asarray(how.preprocessing.std, dtype=np.float32)
        with np.errstate(over="ignore"):  # what is not finite is refused at the end
            batch = (crops.astype(np.float32) - mean) / std
    if how.channels_first:
        batch = np.ascontiguousarray(batch.transpose(0, 3, 1, 2))
    parts = [batch[i : i + 1] for i in range(len(batch))] if how.single else [batch]
    out = np.concatenate([run(part) for part in parts])
    if out.ndim == 4:
        out = out.mean(axis=(2, 3))
    if out.ndim != 2 or len(out) != len(crops) or not 1 <= out.shape[1] <= MAX_DIMENSION:
        raise WeightsError(
            f"{name}: {len(crops)} pictures gave an output of shape {out.shape}; "
            f"({len(crops)}, d) with d of at most {MAX_DIMENSION} is needed"
        )
    return np.asarray(out, dtype=np.float32)


def _preprocessing(metadata: dict[str, str], name: str) -> Preprocessing:
    usual = imagenet(SIDE)
    mean = _triple(metadata, "mean", usual.mean, name)
    std = _triple(metadata, "std", usual.std, name)
    if min(std) <= 0.0:
        raise WeightsError(f"{name}: std in its metadata is not positive")
    return Preprocessing(mean, std, SIDE)


def _triple(
    metadata: dict[str, str], key: str, usual: tuple[float, float, float], name: str
) -> tuple[float, float, float]:
    if key not in metadata:
        return usual
    import math

    try:
        values: Sequence[float] = [float(part) for part in metadata[key].split(",")]
    except ValueError:
        values = []
    if len(values) != 3 or not all(map(math.isfinite, values)):
        raise WeightsError(f"{name}: {key} in its metadata is not three numbers: {metadata[key]!r}")
    return values[0], values[1], values[2]
