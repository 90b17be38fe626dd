"""A table of the report: one definition for the page and for the CSV file."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from pallor.report import words

Kind = Literal["text", "number", "interval"]

SIMULATED: Final = "SIMULATED"
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes
    ----------
    key
        Name in the file, with the unit; an interval fills ``key``, ``key_low`` and ``key_high``.
    label
        Heading on the page.
    kind
        ``text``; ``number``; or ``interval``, a mapping of ``value``, ``low`` and ``high``.
    digits, scale
        How a number is shown on the page: so many digits, times that. Files hold it as it is.
    signed
        Whether a plus sign is shown, as of differences.
    below
        Key of a text that stands small below, on the page.
    on_page, in_file
        Where the column stands.
    """

    key: str
    label: str
    kind: Kind = "text"
    digits: int = 2
    scale: float = 1.0
    signed: bool = False
    below: str = ""
    on_page: bool = True
    in_file: bool = True


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes
    ----------
    cells
        By the keys of the columns. None is undefined and shown as a dash; a key that is absent
        leaves the cell empty.
    main
        Whether it is about the main model.
    note
        What must be known to read it.
    aside
        More of it, for the page alone.
    digits, scale
        Instead of the columns' own.
    """

    cells: Mapping[str, Any]
    main: bool = False
    note: str = ""
    aside: str = ""
    digits: int | None = None
    scale: float | None = None


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes
    ----------
    name
        Of the file, without ending.
    caption
        What it shows and how to read it.
    columns, rows
        Its content; the first column on the page names the rows.
    """

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    @property
    def shown(self) -> tuple[Column, ...]:
        """The columns on the page."""
        return tuple(column for column in self.columns if column.on_page)


def cell_text(row: Row, column: Column) -> str:
    """Return what a cell shows on the page; of an interval the value without its ends."""
    if column.key not in row.cells:
        return ""
    content = row.cells[column.key]
    if column.kind == "text":
        return "–" if content is None else str(content)
    value = content["value"] if isinstance(content, Mapping) else content
    scale = column.scale if row.scale is None else row.scale
    digits = column.digits if row.digits is None else row.digits
    show = words.signed if column.signed else words.number
    return show(None if value is None else value * scale, digits)


def cell_ends(row: Row, column: Column) -> str:
    """Return the ends of an interval as a cell shows them; empty where there are none."""
    content = row.cells.get(column.key)
    if not isinstance(content, Mapping):
        return ""
    scale = column.scale if row.scale is None else row.scale
    ends = [content[end] for end in ("low", "high")]
    low, high = (None if end is None else end * scale for end in ends)
    return words.interval(
        {"low": low, "high": high}, column.digits if row.digits is None else row.digits
    )


def to_csv(table: Table, *, simulated: bool) -> str:
    """Write a table as CSV text, numbers as they are; what is undefined is empty.

    Parameters
    ----------
    table
        Any table of the report.
    simulated
        Adds a column ``simulated`` that says so in every row.

    Returns
    -------
    One line a row, with a heading. Text that a spreadsheet would run as a formula begins with
    an apostrophe.
    """
    noted = any(row.note for row in table.rows)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    columns = [column for column in table.columns if column.in_file]
    writer.writerow(
        [name for column in columns for name in _headings(column)]
        + ["note"] * noted
        + ["simulated"] * simulated
    )
    for row in table.rows:
        cells = [cell for column in columns for cell in _cells(row, column)]
        writer.writerow(cells + [_inert(row.note)] * noted + [SIMULATED] * simulated)
    return buffer.getvalue()


def _headings(column: Column) -> list[str]:
    ends = ("", "_low", "_high") if column.kind == "interval" else ("",)
    return [column.key + end for end in ends]


def _cells(row: Row, column: Column) -> list[object]:
    content = row.cells.get(column.key)
    if column.kind == "interval":
        content = content or {}
        return [_plain(content.get(end)) for end in ("value", "low", "high")]
    if column.kind == "text":
        return [_inert("" if content is None else str(content))]
    return [_plain(content)]


def _plain(value: float | None) -> object:
    return "" if value is None or not math.isfinite(value) else value


def _inert(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
