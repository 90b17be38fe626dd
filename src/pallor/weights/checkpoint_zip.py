"""The zip format of a checkpoint, which torch writes since 1.6."""

from __future__ import annotations

import io
import re
import struct
import zipfile

from pallor.weights.checkpoint_opcodes import read_object

SIGNATURE = b"PK\x03\x04"
MAX_MEMBERS = 20_000

_DIRECTORY_ENTRY = b"PK\x01\x02"
_LOCAL_HEADER = struct.Struct("<4s22xHH")


def _directory(content: bytes) -> dict[str, zipfile.ZipInfo]:
    # Before anything is allocated for an entry; weights hold this pattern by chance at most
    # once in four gigabytes.
    if content.count(_DIRECTORY_ENTRY) > MAX_MEMBERS:
        raise ValueError(f"it has more than {MAX_MEMBERS} members")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
    except (
        zipfile.BadZipFile,
        NotImplementedError,
        EOFError,
        OSError,
        OverflowError,
        ValueError,
        struct.error,
    ) as error:
        raise ValueError(f"its zip directory is damaged ({type(error).__name__})") from None
    members = {entry.filename: entry for entry in entries}
    if len(members) != len(entries):
        raise ValueError("two of its members have the same name")
    return members


def _span(content: bytes, members: dict[str, zipfile.ZipInfo], member: str) -> tuple[int, int]:
    """Return where the bytes of a member begin and end in the file."""
    entry = members.get(member)
    if entry is None:
        raise ValueError(f"its member {member[:100]!a} is missing")
    # torch stores; what is not compressed cannot unpack to more than the file.
    if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
        raise ValueError(f"its member {member[:100]!a} is compressed or encrypted")
    header = entry.header_offset
    if not 0 <= header <= len(content) - _LOCAL_HEADER.size:
        raise ValueError(f"its member {member[:100]!a} lies outside of the file")
    signature, name_bytes, extra_bytes = _LOCAL_HEADER.unpack_from(content, header)
    start = header + _LOCAL_HEADER.size + name_bytes + extra_bytes
    end = start + entry.file_size
    if signature != SIGNATURE or entry.file_size != entry.compress_size or end > len(content):
        raise ValueError(f"its member {member[:100]!a} lies outside of the file")
    return start, end


def read_zip(content: bytes) -> tuple[object, dict[str, memoryview]]:
    """Read a checkpoint in the zip format.

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
    members = _directory(content)
    roots = [name for name in members if re.fullmatch(r"[^/]+/data\.pkl", name)]
    if len(roots) != 1:
        raise ValueError(f"it has {len(roots)} members <folder>/data.pkl instead of one")
    root = roots[0].removesuffix("data.pkl")
    if f"{root}byteorder" in members:
        start, end = _span(content, members, f"{root}byteorder")
        if content[start : min(end, start + 7)] != b"little":
            raise ValueError("its numbers are not little-endian; save it on another machine")
    part = read_object(content, *_span(content, members, roots[0]))
    stored: dict[str, memoryview] = {}
    for key, storage in part.storages.items():
        start, end = _span(content, members, f"{root}data/{key}")
        if end - start != storage.count * storage.type.item_bytes:
            raise ValueError(f"its storage {key[:40]!a} does not have the length it says")
        stored[key] = memoryview(content)[start:end]
    return part.value, stored
