"""The format of a checkpoint before torch 1.6: five object parts, then the storages."""

from __future__ import annotations

import struct

from pallor.weights.checkpoint_opcodes import read_object
from pallor.weights.checkpoint_records import Storage

MAGIC = 0x1950A86A20F9469CFC6C
VERSION = 1001
SIGNATURE = b"\x80\x02\x8a\x0a" + MAGIC.to_bytes(10, "little") + b"."
"""The first object part, whole."""

_COUNT = struct.Struct("<Q")


def _stored(
    content: bytes, position: int, keys: object, storages: dict[str, Storage]
) -> dict[str, memoryview]:
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise ValueError("its list of storages is not a list of keys")
    if len(keys) != len(storages) or set(keys) != storages.keys():
        raise ValueError("its list of storages is not the list of those that its tensors use")
    stored: dict[str, memoryview] = {}
    for key in keys:
        start = position + _COUNT.size
        position = start + storages[key].count * storages[key].type.item_bytes
        if position > len(content):
            raise ValueError(f"it ends within its storage {key[:40]!a}")
        if _COUNT.unpack_from(content, start - _COUNT.size)[0] != storages[key].count:
            raise ValueError(f"its storage {key[:40]!a} does not have the length it says")
        stored[key] = memoryview(content)[start:position]
    return stored


def read_legacy(content: bytes) -> tuple[object, dict[str, memoryview]]:
    """Read a checkpoint in the legacy format.

    Parameters
    ----------
    content
        The file, which begins with `SIGNATURE`.

    Returns
    -------
    tuple[object, dict[str, memoryview]]
        The object part, of plain values and inert records; and the bytes of each storage that
        it refers to, of the length that the storage claims.

    Raises
    ------
    ValueError
        If it is damaged, or holds something that weights do not need.
    """
    end = len(content)
    version = read_object(content, len(SIGNATURE), end)
    if version.value != VERSION:
        raise ValueError(f"its format is not version {VERSION}")
    system = read_object(content, version.end, end)
    if not isinstance(system.value, dict) or system.value.get("little_endian") is not True:
        raise ValueError("its numbers are not little-endian; save it on another machine")
    part = read_object(content, system.end, end)
    keys = read_object(content, part.end, end)
    return part.value, _stored(content, keys.end, keys.value, part.storages)
