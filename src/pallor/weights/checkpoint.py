"""Read a checkpoint of PyTorch without torch and without executing anything it names.

The file is a state dict in one of the two formats of ``torch.save``, the zip format
(`pallor.weights.checkpoint_zip`) or the legacy one (`pallor.weights.checkpoint_legacy`). Its
object part is what Python would unpickle. It is not unpickled here: a stack machine of our own
(`pallor.weights.checkpoint_opcodes`) carries out the few opcodes that weights need, because an
allow-list keeps Python's unpickler from calling foreign code but not from crashing, hanging or
filling the memory.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from pallor.errors import WeightsError
from pallor.weights import checkpoint_legacy, checkpoint_zip
from pallor.weights.checkpoint_arrays import array_bytes, array_of
from pallor.weights.checkpoint_records import Tensor

MAX_GROWTH = 4
"""The arrays may take this many times the bytes of the file: bfloat16 doubles, and layers may
share a storage; views with a stride of zero could otherwise grow without limit."""

_SLACK_BYTES = 2**20


def read_checkpoint(content: bytes, name: str) -> dict[str, NDArray[Any]]:
    """Return the tensors of a checkpoint.

    Parameters
    ----------
    content
        The whole file, a state dict or a dictionary with one under ``state_dict``.
    name
        What messages call the file.

    Returns
    -------
    dict[str, NDArray]
        Name to array, in the order of the file; each C-contiguous and aligned, of the dtype it
        was saved in (bfloat16 as float32). Arrays that needed no copy look into ``content``
        and cannot be written.

    Raises
    ------
    WeightsError
        If the file is damaged, or holds anything but tensors and plain values.
    """
    try:
        value, stored = _parts(content)
        tensors = _tensors(value)
        total = sum(map(array_bytes, tensors.values()))
        if total > MAX_GROWTH * len(content) + _SLACK_BYTES:
            raise ValueError(
                f"its tensors would take {total} bytes, more than {MAX_GROWTH} times the file"
            )
        return {key: _array(key, tensor, stored) for key, tensor in tensors.items()}
    except ValueError as error:
        raise WeightsError(f"{name} is not a checkpoint of weights: {error}") from None


def _parts(content: bytes) -> tuple[object, dict[str, memoryview]]:
    if content.startswith(checkpoint_zip.SIGNATURE):
        return checkpoint_zip.read_zip(content)
    if content.startswith(checkpoint_legacy.SIGNATURE):
        return checkpoint_legacy.read_legacy(content)
    raise ValueError("it begins as neither format of torch.save does")


def _tensors(value: object) -> dict[str, Tensor]:
    if not isinstance(value, dict):
        raise ValueError(f"it holds a {type(value).__name__} instead of a dictionary")
    inner = value.get("state_dict")
    if isinstance(inner, dict):
        beside = {key: item for key, item in value.items() if key != "state_dict"}
        if _only_tensors(beside):
            raise ValueError("it holds tensors beside its state_dict")
        value = inner
    tensors = _only_tensors(value)
    if not tensors:
        raise ValueError("it holds no tensor")
    return tensors


def _only_tensors(entries: dict[str, object]) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for key, item in entries.items():
        if isinstance(item, Tensor):
            tensors[key] = item
        elif not (item is None or isinstance(item, bool | int | float | str)):
            raise ValueError(
                f"its entry {key[:80]!a} is a {type(item).__name__}, neither a tensor nor a "
                "plain value"
            )
    return tensors


def _array(key: str, tensor: Tensor, stored: dict[str, memoryview]) -> NDArray[Any]:
    try:
        return array_of(tensor, stored[tensor.storage.key])
    except ValueError as error:
        raise ValueError(f"its tensor {key[:80]!a} {error}") from None
