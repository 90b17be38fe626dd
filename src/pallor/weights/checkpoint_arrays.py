"""The arrays that the records of a checkpoint stand for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pallor.weights.checkpoint_records import MAX_ELEMENTS, Tensor


def array_bytes(tensor: Tensor) -> int:
    """Bytes of the array that `array_of` returns for the record."""
    item = 4 if tensor.storage.type.name == "BFloat16Storage" else tensor.storage.type.item_bytes
    return math.prod(tensor.size) * item


def array_of(tensor: Tensor, stored: memoryview) -> NDArray[Any]:
    """Return the array of a record.

    Parameters
    ----------
    tensor
        Offset, size and strides in elements, as the file gives them.
    stored
        The bytes of its storage, of exactly the length that its number of elements asks for.

    Returns
    -------
    NDArray
        Of the tensor's size, C-contiguous, aligned; bfloat16 becomes float32. It looks into
        ``stored``, and then cannot be written, wherever no copy is needed.

    Raises
    ------
    ValueError
        If the view reaches outside of its storage.
    """
    kind = tensor.storage.type
    name = kind.name
    # A byte that is neither 0 nor 1 must not become a bool of NumPy.
    dtype = np.dtype("|u1" if name == "BoolStorage" else kind.stored)
    if math.prod(max(extent, 1) for extent in tensor.size) > MAX_ELEMENTS:
        raise ValueError("has more than 2^40 elements")
    if 0 in tensor.size:
        array: NDArray[Any] = np.empty(tensor.size, dtype)
    else:
        pairs = list(zip(tensor.size, tensor.stride, strict=True))
        last = tensor.offset + sum((extent - 1) * stride for extent, stride in pairs)
        if last >= tensor.storage.count:
            raise ValueError("reaches outside of its storage")
        strides = [dtype.itemsize * stride for stride in tensor.stride]
        view: NDArray[Any] = np.ndarray(
            tensor.size, dtype, stored, tensor.offset * dtype.itemsize, strides
        )
        array = np.require(view, requirements=["C", "A"])
    if name == "BoolStorage":
        array = np.not_equal(array, 0)
    elif name == "BFloat16Storage":
        array = np.left_shift(array.astype("<u4"), np.uint32(16)).view("<f4")
    return array
