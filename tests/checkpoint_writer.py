"""Write checkpoints in both formats of torch.save, from the description of the formats.

Classes and functions stand in for torch's under torch's names; the bytes are those of Python's
own pickler, protocol 2, which torch.save uses.
"""

from __future__ import annotations

import io
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import numpy as np

# dtype that torch saves -> name of its storage
STORAGES = {
    "float32": "FloatStorage",
    "float64": "DoubleStorage",
    "float16": "HalfStorage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "int16": "ShortStorage",
    "uint8": "ByteStorage",
    "int8": "CharStorage",
    "bool": "BoolStorage",
    "bfloat16": "BFloat16Storage",
}
MAGIC = 0x1950A86A20F9469CFC6C
SYSTEM = {
    "protocol_version": 1001,
    "little_endian": True,
    "type_sizes": {"short": 2, "int": 4, "long": 4},
}


@dataclass(frozen=True, eq=False)
class Stored:
    """A flat storage; ``kind`` is needed for bfloat16 alone, whose bits come as uint16."""

    flat: np.ndarray
    kind: str = ""

    @property
    def storage_name(self) -> str:
        return STORAGES[self.kind or self.flat.dtype.name]


@dataclass(frozen=True, eq=False)
class View:
    """A tensor: a view of a storage, in elements; what is left out is the whole storage."""

    stored: Stored
    size: Any = None
    stride: Any = (1,)
    offset: Any = 0
    parameter: bool = False
    more: tuple[Any, ...] = ()
    hooks: Any = field(default_factory=OrderedDict)


def whole(array: np.ndarray) -> View:
    """Return the tensor that holds the array."""
    contiguous = np.ascontiguousarray(array)
    strides = tuple(step // array.itemsize for step in contiguous.strides)
    return View(Stored(contiguous.reshape(-1)), array.shape, strides if array.ndim else ())


def _function(module: str, name: str) -> Any:
    def stand_in(*_: object) -> None:
        raise AssertionError("only its name is written")

    stand_in.__module__, stand_in.__name__, stand_in.__qualname__ = module, name, name
    return stand_in


REBUILD = _function("torch._utils", "_rebuild_tensor_v2")
PARAMETER = _function("torch._utils", "_rebuild_parameter")
CLASSES = {name: type(name, (), {"__module__": "torch"}) for name in STORAGES.values()}


@contextmanager
def _torch_by_name() -> Iterator[None]:
    # The pickler looks up what it names.
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    vars(torch).update(CLASSES, _utils=utils)
    vars(utils).update(_rebuild_tensor_v2=REBUILD, _rebuild_parameter=PARAMETER)
    with mock.patch.dict(sys.modules, {"torch": torch, "torch._utils": utils}):
        yield


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, view_metadata: tuple[Any, ...]) -> None:
        super().__init__(file, protocol=2)
        self.view_metadata = view_metadata
        self.keys: dict[Stored, str] = {}

    def persistent_id(self, obj: Any) -> Any:
        if not isinstance(obj, Stored):
            return None
        key = self.keys.setdefault(obj, str(len(self.keys)))
        kind = CLASSES[obj.storage_name]
        return ("storage", kind, key, "cpu", obj.flat.size, *self.view_metadata)

    def reducer_override(self, obj: Any) -> Any:
        if not isinstance(obj, View):
            return NotImplemented
        size = (obj.stored.flat.size,) if obj.size is None else obj.size
        arguments = (obj.stored, obj.offset, size, obj.stride, False, obj.hooks, *obj.more)
        if obj.parameter:
            plain = View(obj.stored, obj.size, obj.stride, obj.offset)
            return PARAMETER, (plain, True, OrderedDict())
        return REBUILD, arguments


def pickled(
    value: Any, view_metadata: tuple[Any, ...] = ()
) -> tuple[bytes, dict[str, bytes], dict[str, int]]:
    """Return the object part, the bytes of its storages and their numbers of elements."""
    file = io.BytesIO()
    pickler = _Pickler(file, view_metadata)
    with _torch_by_name():
        pickler.dump(value)
    little = {
        key: stored.flat.astype(stored.flat.dtype.newbyteorder("<")).tobytes()
        for stored, key in pickler.keys.items()
    }
    return file.getvalue(), little, {key: s.flat.size for s, key in pickler.keys.items()}


def zip_file(
    content: bytes,
    storages: Mapping[str, bytes],
    *,
    root: str = "archive",
    byteorder: bytes | None = b"little",
    compression: int = zipfile.ZIP_STORED,
    more: Mapping[str, bytes] | None = None,
) -> bytes:
    """Return a zip checkpoint around an object part."""
    members = {"data.pkl": content}
    if byteorder is not None:
        members["byteorder"] = byteorder
    members |= {f"data/{key}": flat for key, flat in storages.items()}
    members |= {"version": b"3\n", **(more or {})}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, member in members.items():
            archive.writestr(f"{root}/{name}", member)
    return file.getvalue()


def legacy_file(
    content: bytes,
    storages: Mapping[str, bytes],
    counts: Mapping[str, int],
    *,
    system: Any = SYSTEM,
    version: Any = 1001,
    keys: Any = None,
) -> bytes:
    """Return a legacy checkpoint around an object part."""
    head = [MAGIC, version, system]
    listed = list(storages) if keys is None else keys
    return b"".join(
        [
            *(pickle.dumps(item, protocol=2) for item in head),
            content,
            pickle.dumps(listed, protocol=2),
            *(struct.pack("<Q", counts[key]) + flat for key, flat in storages.items()),
        ]
    )


def save_zip(value: Any, **options: Any) -> bytes:
    """Return what torch.save writes since 1.6."""
    content, storages, _ = pickled(value)
    return zip_file(content, storages, **options)


def save_legacy(value: Any, **options: Any) -> bytes:
    """Return what torch.save wrote before 1.6."""
    return legacy_file(*pickled(value, (None,)), **options)


SAVE: dict[str, Callable[..., bytes]] = {"zip": save_zip, "legacy": save_legacy}


def sample_state() -> dict[str, Any]:
    """Return a small state dict with views, a shared storage, a scalar and a Parameter."""
    rng = np.random.default_rng(0)
    shared = Stored(rng.normal(size=24).astype(np.float32))
    state = OrderedDict(
        {
            "conv.weight": whole(rng.normal(size=(4, 3, 2, 2)).astype(np.float32)),
            "conv.transposed": View(shared, (6, 4), (1, 6)),
            "conv.half": View(shared, (3,), (2,), 5),
            "bn.num_batches_tracked": whole(np.array(7, np.int64)),
            "fc.bias": View(Stored(np.arange(3.0)), parameter=True),
        }
    )
    # As torch.nn.Module.state_dict does it.
    state._metadata = OrderedDict({"": {"version": 1}, "conv": {"version": 2}})  # type: ignore[attr-defined]  # an attribute of the instance
    return state
