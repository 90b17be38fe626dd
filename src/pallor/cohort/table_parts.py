"""The parts of a feature table as files: written all or none, checked when they are read.

Everything that writes a table goes through `write_parts` and `remove_parts`; a table is finished
when ``extraction.json``, written last, says so and lists the parts.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from pallor.cohort.atomic import remove_folder, replace_folder
from pallor.cohort.feature_folder import IDENTITY, TABLE, part_name, settings_digest
from pallor.errors import FeatureTableError

KEY: Final = b"pallor"
"""Key of a part's own record in the metadata of its Parquet file; the value is JSON."""


@dataclass(frozen=True)
class Part:
    """What ``extraction.json`` knows of a part.

    Attributes
    ----------
    rows
        How many.
    content
        SHA-256 of its columns and values, hexadecimal; its own record holds it, too.
    simulated
        Whether any of its clips is.
    """

    rows: int
    content: str
    simulated: bool


def write_parts(
    folder: Path, tables: Iterable[Any], settings: Mapping[str, Any]
) -> tuple[Part, ...]:
    """Write a table part by part in place of the one that the folder holds.

    Parameters
    ----------
    folder
        FEATURES.
    tables
        A `pyarrow.Table` a part, all of one schema; one is held at a time.
    settings
        What every part tells of the extraction: the settings that decide what features mean,
        ``versions``, and a digest of the former.

    Returns
    -------
    tuple of Part
        One a part.

    Raises
    ------
    OSError
        If it cannot be written; the earlier table is then untouched.
    """
    told = {name: settings.get(name) for name in (*IDENTITY, "versions")}
    told["settings_sha256"] = settings_digest(settings)
    written: list[Part] = []

    def fill(temporary: Path) -> None:
        for number, table in enumerate(tables):
            part = Part(len(table), _content(table), _any_simulated(table))
            _write(table, told | asdict(part) | {"part": number}, temporary / part_name(number))
            written.append(part)

    replace_folder(folder / TABLE, fill)
    return tuple(written)


def remove_parts(folder: Path) -> None:
    """Remove the table of a folder, if it holds one."""
    remove_folder(folder / TABLE)


def check_names(folder: Path, parts: Sequence[Part]) -> None:
    """Refuse a table that lacks a part or holds a file that is none.

    Raises
    ------
    FeatureTableError
        If so, or if the table is the single file of an earlier version.
    """
    path = folder / TABLE
    if path.is_file():
        raise FeatureTableError(
            f"{path}: this is a single file, and a feature table is a folder of parts: extract "
            "again with --overwrite"
        )
    if not path.is_dir():
        raise FeatureTableError(f"{folder}: {TABLE} is absent: extract again with --overwrite")
    # Names that begin so are left out by all readers of Parquet folders.
    held = {entry.name for entry in path.iterdir() if entry.name[0] not in "._"}
    named = [part_name(number) for number in range(len(parts))]
    missing = [name for name in named if name not in held]
    if missing:
        raise FeatureTableError(
            f"{path}: {len(missing)} of {len(named)} parts are absent, the first is {missing[0]}: "
            "run the same pallor extract again"
        )
    foreign = sorted(held - set(named))
    if foreign:
        raise FeatureTableError(
            f"{path}: {foreign[0]} is no part of this table: move it elsewhere, or run the same "
            "pallor extract again"
        )


def open_part(folder: Path, number: int, part: Part, settings: Mapping[str, Any]) -> Any:
    """Open a part, after checking that it belongs to the table.

    Parameters
    ----------
    folder
        FEATURES.
    number
        Of the part, from 0.
    part
        What ``extraction.json`` knows of it.
    settings
        ``extraction.json``.

    Returns
    -------
    pyarrow.dataset.ParquetFileFragment

    Raises
    ------
    FeatureTableError
        If it is damaged or of another table.
    """
    import pyarrow as pa
    import pyarrow.dataset as ds
    from pyarrow.fs import LocalFileSystem

    path = folder / TABLE / part_name(number)
    options = ds.ParquetFragmentScanOptions(page_checksum_verification=True)
    form = ds.ParquetFileFormat(default_fragment_scan_options=options)
    try:
        fragment = form.make_fragment(str(path), LocalFileSystem())
        metadata = fragment.metadata
        own = json.loads((metadata.metadata or {}).get(KEY, b"null"))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise unreadable(path, error) from error
    if not isinstance(own, dict):
        raise FeatureTableError(
            f"{path}: pallor extract did not write this: run the same pallor extract again"
        )
    if own.get("settings_sha256") != settings_digest(settings):
        other = [name for name in IDENTITY if own.get(name) != settings.get(name)]
        raise FeatureTableError(
            f"{path}: was extracted with other settings than extraction.json tells of "
            f"({', '.join(other) or 'settings_sha256'}): run the same pallor extract again"
        )
    if (own.get("part"), own.get("content"), metadata.num_rows) != (
        number,
        part.content,
        part.rows,
    ):
        raise FeatureTableError(
            f"{path}: is another part than extraction.json tells of: the files do not belong "
            "together, run the same pallor extract again"
        )
    return fragment


def unreadable(path: Path, error: Exception) -> FeatureTableError:
    """Return the error of a part that is damaged."""
    return FeatureTableError(
        f"{path}: not a readable Parquet file: run the same pallor extract again ({error})"
    )


def _write(table: Any, own: Mapping[str, Any], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    metadata = {**(table.schema.metadata or {}), KEY: json.dumps(own)}
    numbers = {f.name for f in table.schema if pa.types.is_float32(f.type)}
    labels = [name for name in table.column_names if name not in numbers]
    pq.write_table(
        table.replace_schema_metadata(metadata),
        path,
        # Features hardly repeat: a dictionary of them is larger than they are, and their
        # smallest and largest values would be most of the footer.
        use_dictionary=labels,
        write_statistics=labels,
        write_page_checksum=True,
    )


def _any_simulated(table: Any) -> bool:
    import pyarrow.compute as pc

    return bool(pc.any(table["simulated"]).as_py())


class _Digest(io.RawIOBase):
    """A file that keeps nothing but the hash of what is written to it."""

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.sha256.update(data)
        return memoryview(data).nbytes


def _content(table: Any) -> str:
    import pyarrow as pa

    digest = _Digest()
    with pa.PythonFile(digest, "w") as sink, pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return digest.sha256.hexdigest()
