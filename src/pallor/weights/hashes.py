"""Whether a SHA-256 is the right one: by the whole hash, or by its beginning and a record.

Of some files the publisher states only the first eight hex digits. The whole hash of the
first such file that is used is therefore written down in the cache, and the file must have
it ever after, wherever it lies. The record is a line of ``sha256sum``, so that
``sha256sum -c FILE.sha256``, called in the cache folder, checks the file without pallor.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from pallor.errors import WeightsError
from pallor.weights.cache import cache_dir, replacing
from pallor.weights.regular_file import read_file
from pallor.weights.weight_file import WeightFile

# A hash and a path; no path is longer on the usual systems.
RECORD_BYTES = 8192

_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *][^\r\n\0]+\r?\n?")


def record_path(weight: WeightFile) -> Path:
    """Return where the hash of the file is written down."""
    return cache_dir() / f"{weight.file}.sha256"


def recorded_sha256(weight: WeightFile) -> str | None:
    """Return the hash that was written down, 64 hex digits; None where none was.

    Raises
    ------
    WeightsError
        If the record is there but is anything else than one line of ``sha256sum``.
    """
    path = record_path(weight)
    if not os.path.lexists(path):
        return None
    line = _LINE.fullmatch(read_file(path, RECORD_BYTES).decode("utf-8", "replace"))
    if line is None:
        raise WeightsError(
            f"{path}: not a line of sha256sum; remove it if you did not mean it to be there: the "
            f"hash of {weight.file} is then written down again at its next use"
        )
    return line[1].lower()


def record(weight: WeightFile, path: Path, sha256: str) -> None:
    """Write down the hash of a right file, if the cache can be written.

    Parameters
    ----------
    path
        Where the file is; beside the record it is named alone, else with its whole path.
    sha256
        64 hex digits.
    """
    target = record_path(weight)
    name = path.name if path.parent == target.parent else path.absolute().as_posix()
    line = f"{sha256}  {name}\n"
    # Names that sha256sum would have to escape are not worth a second format.
    if _LINE.fullmatch(line) is None or "\\" in name or len(os.fsencode(line)) > RECORD_BYTES:
        line = f"{sha256}  {weight.file}\n"
    with contextlib.suppress(OSError), replacing(target) as stream:
        stream.write(os.fsencode(line))


def objection(weight: WeightFile, sha256: str) -> str | None:
    """Say what is wrong with the hash of a file; None where it is the right one.

    Parameters
    ----------
    sha256
        Of the file, 64 hex digits.

    Raises
    ------
    WeightsError
        If the record that decides cannot be read.
    """
    found = f"not {weight.file}: its SHA-256 is {sha256}, expected"
    if weight.sha256 is not None:
        return None if sha256 == weight.sha256.lower() else f"{found} {weight.sha256}"
    prefix = weight.sha256_prefix.lower()
    if not prefix:
        return f"no hash of {weight.file} is known, so it cannot be trusted"
    if not sha256.startswith(prefix):
        return f"{found} one that begins with {prefix}"
    recorded = recorded_sha256(weight)
    if recorded in (None, sha256):
        return None
    return (
        f"{found} {recorded} as written down in {record_path(weight)} (remove that record only if "
        "you know this file to be the right one)"
    )
