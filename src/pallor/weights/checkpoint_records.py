"""What a checkpoint of weights may name, and the inert records it becomes.

Nothing here does more than check its arguments and keep them. The records are turned into
arrays later, by `pallor.weights.checkpoint_arrays`, when the bytes of the storages are at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

MAX_ELEMENTS = 2**40
"""Of one storage; also the largest extent, stride and offset that is looked at."""

MAX_DIMENSIONS = 16


@dataclass(frozen=True)
class StorageType:
    """One of torch's typed storages.

    Attributes
    ----------
    name
        Such as ``FloatStorage``.
    stored
        NumPy type of the bytes in the file, little-endian.
    """

    name: str
    stored: str

    @property
    def item_bytes(self) -> int:
        """Bytes of one element in the file."""
        return int(self.stored[-1])


@dataclass(frozen=True)
class Storage:
    """A run of elements that stands elsewhere in the file, under ``key``."""

    key: str
    type: StorageType
    count: int


@dataclass(frozen=True)
class Tensor:
    """A view of a storage; offset and strides count elements."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True)
class Rebuild:
    """A function of ours that stands for a callable the file names."""

    function: Callable[[tuple[object, ...]], object]


def _is_extent(value: object) -> bool:
    # type() and not isinstance: True is no extent.
    return type(value) is int and 0 <= value <= MAX_ELEMENTS


def _extents(value: object, what: str) -> tuple[int, ...]:
    if not isinstance(value, tuple) or len(value) > MAX_DIMENSIONS:
        raise ValueError(f"the {what} of a tensor is not a tuple of at most {MAX_DIMENSIONS}")
    extents = tuple(item for item in value if isinstance(item, int) and _is_extent(item))
    if len(extents) != len(value):
        raise ValueError(f"the {what} of a tensor holds more than integers from 0 to 2^40")
    return extents


def _check_hooks(requires_grad: object, hooks: object) -> None:
    if not isinstance(requires_grad, bool) or not (hooks is None or hooks == {}):
        raise ValueError("a tensor carries hooks; weights need none")


def ordered_dict(arguments: tuple[object, ...]) -> dict[str, object]:
    """Stand for ``collections.OrderedDict()``; its items are set afterwards."""
    if arguments:
        # As Python 2 wrote it; a list used many times over would make many dictionaries.
        raise ValueError("an OrderedDict is made with arguments; save it with Python 3")
    return {}


def rebuild_tensor(arguments: tuple[object, ...]) -> Tensor:
    """Stand for ``torch._utils._rebuild_tensor_v2``.

    Parameters
    ----------
    arguments
        Storage, offset, size, stride, requires_grad, hooks, and since torch 2.0 metadata
        (such as a pending negation), of which there must be none.
    """
    if len(arguments) not in (6, 7):
        raise ValueError(f"a tensor is made of {len(arguments)} values instead of 6")
    storage, offset, size, stride, requires_grad, hooks = arguments[:6]
    if not isinstance(storage, Storage):
        raise ValueError("a tensor is made of something other than a storage")
    _check_hooks(requires_grad, hooks)
    if not (len(arguments) == 6 or arguments[6] is None or arguments[6] == {}):
        raise ValueError("a tensor carries metadata, such as a pending negation")
    if not isinstance(offset, int) or not _is_extent(offset):
        raise ValueError("the offset of a tensor is not an integer from 0 to 2^40")
    record = Tensor(storage, offset, _extents(size, "size"), _extents(stride, "stride"))
    if len(record.size) != len(record.stride):
        raise ValueError("size and stride of a tensor differ in their number of dimensions")
    return record


def rebuild_parameter(arguments: tuple[object, ...]) -> Tensor:
    """Stand for ``torch._utils._rebuild_parameter``: tensor, requires_grad, hooks."""
    if len(arguments) != 3 or not isinstance(arguments[0], Tensor):
        raise ValueError("a Parameter is made of something other than a tensor")
    _check_hooks(arguments[1], arguments[2])
    return arguments[0]


_STORED = {
    "Float": "<f4",
    "Double": "<f8",
    "Half": "<f2",
    "BFloat16": "<u2",  # the upper half of a float32; NumPy has no such type
    "Long": "<i8",
    "Int": "<i4",
    "Short": "<i2",
    "Byte": "|u1",
    "Char": "|i1",
    "Bool": "|b1",
}

ALLOWED: dict[tuple[str, str], StorageType | Rebuild] = {
    ("collections", "OrderedDict"): Rebuild(ordered_dict),
    ("torch._utils", "_rebuild_tensor_v2"): Rebuild(rebuild_tensor),
    ("torch._utils", "_rebuild_parameter"): Rebuild(rebuild_parameter),
    **{
        ("torch", f"{name}Storage"): StorageType(f"{name}Storage", stored)
        for name, stored in _STORED.items()
    },
}
"""Module and name of every global that a checkpoint may name, and what it becomes."""


def storage_of(identity: object) -> Storage:
    """Read a persistent id: ``("storage", type, key, location, count)``.

    The legacy format adds a sixth entry, the view of another storage, which torch has left
    None since before 1.0. The location (``cpu``, ``cuda:0``) says where the storage once was.
    """
    if (
        not isinstance(identity, tuple)
        or len(identity) not in (5, 6)
        or not (isinstance(identity[0], str) and identity[0] == "storage")
    ):
        raise ValueError("it refers to something other than a storage")
    _, kind, key, location, count = identity[:5]
    if len(identity) == 6 and identity[5] is not None:
        raise ValueError("it refers to a view of a storage, which torch no longer writes")
    if not isinstance(kind, StorageType) or not isinstance(key, str):
        raise ValueError("it refers to a storage without type or key")
    if not isinstance(location, str) or not isinstance(count, int) or not _is_extent(count):
        raise ValueError("it refers to a storage without location or number of elements")
    return Storage(key, kind, count)
