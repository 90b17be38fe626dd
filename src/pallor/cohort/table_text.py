"""From a file to named columns of cells: CSV of any common dialect, or Parquet."""

from __future__ import annotations

import csv
import difflib
import io
import math
import numbers
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pallor.errors import CohortError

if TYPE_CHECKING:
    import pandas as pd

KNOWN_COLUMNS: tuple[str, ...] = (
    "participant_id",
    "clip",
    "hemoglobin_g_dl",
    "hemoglobin_g_l",
    "hemoglobin_mmol_l",
    "reference_method",
    "sex",
    "age_years",
    "session",
    "camera",
    "site",
    "pregnancy",
    "altitude_m",
    "smoking",
    "fold",
    "bmi",
    "simulated",
)
"""Columns with a meaning; all others are carried along."""

REQUIRED_COLUMNS = ("participant_id", "clip")

_BLANKS = " \t\r\n\f\v\u00a0\ufeff\u200b"
MAX_BYTES = 512 * 2**20
"""Size of the largest table file that is read."""


@dataclass(frozen=True)
class RawTable:
    """Cells as found, before any of them is understood.

    Attributes
    ----------
    frame
        One column a header cell, names canonical; cells are text (CSV) or what the Parquet
        file or the caller's table held.
    row_numbers
        Row of each record as a spreadsheet counts, the header being row 1.
    notes
        What was repaired in passing.
    """

    frame: pd.DataFrame
    row_numbers: list[int]
    notes: list[str]


def read_raw(path: Path) -> RawTable:
    """Read a table file without interpreting its cells.

    Parameters
    ----------
    path
        ``*.parquet`` or, whatever else the name ends in, delimited text: UTF-8 with or
        without byte-order mark, separated by comma, semicolon or tab.

    Raises
    ------
    CohortError
        If the file is absent, unreadable, without header, or has ragged rows.
    """
    if path.is_dir():
        raise CohortError(f"{path}: this is a folder; name the table file (CSV or Parquet)")
    if not path.is_file():
        raise CohortError(f"{path}: there is no such file")
    if path.stat().st_size > MAX_BYTES:
        raise CohortError(f"{path}: larger than {MAX_BYTES // 2**20} MiB; is this a cohort table?")
    if path.suffix.lower() in {".parquet", ".pq"}:
        return _read_parquet(path)
    return _read_delimited(path)


def from_frame(frame: pd.DataFrame, where: str) -> RawTable:
    """Take a table that is in memory already, as if it had been read from a file.

    Raises
    ------
    CohortError
        If two columns have one name.
    """
    raw = frame.reset_index(drop=True).copy(deep=False)
    raw.columns = _header([str(name) for name in frame.columns], where)
    return RawTable(raw, list(range(2, len(raw) + 2)), _misspelled(list(raw.columns)))


def cell_text(value: object) -> str:
    """Return a cell as stripped text; whatever stands for a missing value becomes empty."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip(_BLANKS).strip()
    if isinstance(value, numbers.Integral) or type(value).__name__ in {"bool", "bool_"}:
        return str(value).lower()
    if isinstance(value, numbers.Real):
        number = float(value)
        if math.isnan(number):
            return ""
        # A column of whole numbers becomes float as soon as one of them is missing.
        return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)
    text = str(value).strip(_BLANKS).strip()
    return "" if text in {"<NA>", "NaT"} else text


def _read_delimited(path: Path) -> RawTable:
    text = _decode(path)
    records, row_numbers = _records(text, path)
    if not records:
        raise CohortError(
            f"{path}: the file is empty; a header with participant_id, clip is needed"
        )
    head, body = records[0], records[1:]
    notes: list[str] = []
    while head and not head[-1]:
        head.pop()
    names = _header(head, str(path))
    width = len(names)
    ragged: list[str] = []
    cells: list[list[str]] = []
    for record, row in zip(body, row_numbers[1:], strict=True):
        extra = record[width:]
        if any(extra) or len(record) < width:
            ragged.append(f"row {row} has {len(record)} cells")
        cells.append(record[:width])
    if ragged:
        raise CohortError(
            f"{path}: the header has {width} cells, but {_listed(ragged)}: "
            "quote cells that contain the separator, and write decimals with a point"
        )
    import pandas as pd

    columns: dict[str, list[str]] = {}
    for index, name in enumerate(names):
        values = [record[index] for record in cells]
        if name:
            columns[name] = values
        elif any(values):
            notes.append(f"column {index + 1} has no name and was left out")
    frame = pd.DataFrame(columns, columns=[name for name in names if name], dtype=object)
    return RawTable(frame, row_numbers[1:], notes + _misspelled(list(columns)))


def _decode(path: Path) -> str:
    data = path.read_bytes()
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        raise CohortError(f"{path}: the file is UTF-16; save it as CSV UTF-8")
    if data[:4] == b"PK\x03\x04":
        raise CohortError(f"{path}: this is a spreadsheet file; export it as CSV UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        raise CohortError(f"{path}: line {row} is not UTF-8; save the file as CSV UTF-8") from error


def _records(text: str, path: Path) -> tuple[list[list[str]], list[int]]:
    """Return the records that are not blank, cells stripped, and their row numbers."""
    first = next((line for line in text.splitlines() if line.strip(_BLANKS)), "")
    separator = max(",;\t", key=lambda mark: _known_names(first, mark))
    records, rows = [], []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        for row, record in enumerate(reader, start=1):
            cells = [cell_text(cell) for cell in record]
            if any(cells):
                records.append(cells)
                rows.append(row)
    except csv.Error as error:
        raise CohortError(f"{path}: line {reader.line_num} is not valid CSV ({error})") from error
    return records, rows


def _known_names(header: str, separator: str) -> tuple[int, int]:
    cells = [_canonical(cell.strip(_BLANKS + '"')) for cell in header.split(separator)]
    return sum(cell in KNOWN_COLUMNS for cell in cells), len(cells)


def _read_parquet(path: Path) -> RawTable:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        names = _header([str(name) for name in table.column_names], str(path))
        frame = table.rename_columns(names).replace_schema_metadata(None).to_pandas()
    except (pa.ArrowException, OSError, ValueError, OverflowError, NotImplementedError) as error:
        raise CohortError(f"{path}: not a readable Parquet file ({error})") from error
    # Made by pandas out of a named index; it carries nothing.
    frame = frame.drop(columns=[name for name in names if name.startswith("__index_level_")])
    return RawTable(frame, list(range(2, len(frame) + 2)), _misspelled(list(frame.columns)))


def _header(cells: list[str], where: str) -> list[str]:
    names = [_canonical(cell_text(cell)) for cell in cells]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise CohortError(f"{where}: column {_listed(twice)} occurs twice: rename or drop one")
    missing = [name for name in REQUIRED_COLUMNS if name not in names]
    if missing:
        found = _listed([name for name in names if name][:12]) or "nothing"
        raise CohortError(
            f"{where}: the header lacks {_listed(missing)} (found: {found}): one row a clip, "
            "columns participant_id and clip"
        )
    return names


def _canonical(name: str) -> str:
    key = re.sub(r"[\s\-]+", "_", name.strip()).lower()
    return key if key in KNOWN_COLUMNS else name


def _misspelled(names: list[str]) -> list[str]:
    notes = []
    for name in names:
        if name in KNOWN_COLUMNS:
            continue
        close = difflib.get_close_matches(name.lower(), KNOWN_COLUMNS, n=1, cutoff=0.75)
        if close and close[0] not in names:
            notes.append(f"column {name} is not known and only carried along: {close[0]} is meant?")
    return notes


def _listed(items: list[str], most: int = 20) -> str:
    shown = ", ".join(items[:most])
    return shown if len(items) <= most else f"{shown} and {len(items) - most} more"
