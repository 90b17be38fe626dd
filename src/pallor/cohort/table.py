"""The cohort table: participants and their clips, read, checked, normalized, written."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from pallor.cohort.address import (
    AddressError,
    called,
    is_address,
    joined,
    parent,
    shown,
    shown_address,
    usable_address,
)
from pallor.cohort.atomic import write_with
from pallor.cohort.hemoglobin_units import (
    PLAUSIBLE_G_DL,
    UNITS,
    doubtful_unit,
    is_plausible,
    wrong_unit,
)
from pallor.cohort.table_checks import contradictions
from pallor.cohort.table_columns import RULES, BadCellError, is_missing
from pallor.cohort.table_text import (
    KNOWN_COLUMNS,
    MAX_BYTES,
    RawTable,
    cell_text,
    from_frame,
    read_raw,
)
from pallor.errors import ClipError, CohortError

if TYPE_CHECKING:
    import pandas as pd

Value = str | float | bool

_SHOWN_PROBLEMS = 20


class CohortProblemsError(CohortError):
    """A cohort table with problems in its rows; the message shows the first twenty.

    Attributes
    ----------
    problems
        Every problem, one sentence each, in order of the rows.
    """

    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cohort:
    """Participants and clips, validated.

    Attributes
    ----------
    frame
        One row a clip, in the order of the source. ``participant_id`` and ``clip`` are text;
        ``hemoglobin_g_dl`` in g/dL, ``sex`` ``female`` or ``male``, ``age_years``,
        ``altitude_m`` and ``bmi`` numbers, ``simulated`` truth values, the other known
        columns text; all are NaN where not known. Columns that are not known are carried.
    root
        Folder that relative clip paths start from.
    notes
        What a user should know about the table, one sentence each.
    base
        Address of the folder that relative clip paths start from instead of ``root``, where
        the table was read from an address; else empty.
    """

    frame: pd.DataFrame
    root: Path
    notes: list[str] = field(default_factory=list)
    base: str = ""

    def __len__(self) -> int:
        return len(self.frame)

    def clip_paths(self) -> list[Path]:
        """Return the path of each row's clip; an absolute path is taken as it is.

        Raises
        ------
        CohortError
            If a clip lies at an address.
        """
        away = next((c for c in self.frame["clip"] if self.base or is_address(c)), None)
        if away is not None:
            raise CohortError(
                f"clip {shown(away)!r} lies at an address, which only extraction reads: copy it "
                "and give its path"
            )
        return [self.root / clip for clip in self.frame["clip"]]

    def clip_places(self) -> list[str]:
        """Return the absolute path or the address of each row's clip."""
        return [self._place(clip) for clip in self.frame["clip"]]

    def _place(self, clip: str) -> str:
        if is_address(clip):
            return clip
        return joined(self.base, clip) if self.base else str((self.root / clip).absolute())


def read_cohort(path: str | Path, check_files: bool = False) -> Cohort:
    """Read and validate a cohort table.

    Parameters
    ----------
    path
        CSV (UTF-8, with or without byte-order mark; comma, semicolon or tab) or Parquet, as
        a path or an address. Needed: ``participant_id``, ``clip`` (relative to the table's
        folder; absolute paths, ``..`` and addresses are taken as given). Hemoglobin in one of
        ``hemoglobin_g_dl``, ``hemoglobin_g_l``, ``hemoglobin_mmol_l``; it is converted to g/dL.
    check_files
        Whether a clip that is not there is a problem of the table; those at addresses are
        not asked for.

    Returns
    -------
    Cohort
        The normalized table.

    Raises
    ------
    CohortError
        If the file cannot be read, or (as `CohortProblemsError`) rows have problems: all of
        them are listed with their rows as a spreadsheet counts them, the header being row 1.
    UsageError
        If the address is none that can be used.
    """
    if is_address(str(path)):
        return _read_from_address(usable_address(str(path), "the cohort table"))
    path = Path(path)
    raw = read_raw(path)
    cohort = _parse(raw, path.parent, str(path))
    if check_files:
        absent = [
            (row, f"clip {clip!r} is not there")
            for row, clip, file in zip(
                raw.row_numbers, cohort.frame["clip"], cohort.clip_places(), strict=True
            )
            if not is_address(file) and not Path(file).is_file()
        ]
        _refuse(absent, [], str(path))
    return cohort


def _read_from_address(address: str) -> Cohort:
    from tempfile import TemporaryDirectory

    from pallor.cohort.remote_file import fetch

    name = shown_address(address)
    with TemporaryDirectory(prefix="pallor-") as folder:
        # A name is told by its end whether it is Parquet.
        copy = Path(folder) / f"cohort{Path(name.removesuffix('?...')).suffix}"
        try:
            with copy.open("w+b") as file:
                fetch(address, file, MAX_BYTES)
        except ClipError as error:
            raise CohortError(error.text) from error
        with called(copy, name):
            raw = read_raw(copy)
            cohort = _parse(raw, Path(), name)
    cohort = replace(cohort, base=parent(address))
    problems = []
    for row, clip in zip(raw.row_numbers, cohort.frame["clip"], strict=True):
        try:
            if not is_address(clip):
                joined(cohort.base, clip)
        except AddressError as error:
            problems.append((row, f"clip {error}"))
    _refuse(problems, [], name)
    return cohort


def cohort_from_frame(
    frame: pd.DataFrame, root: str | Path, name: str = "table", notes: list[str] | None = None
) -> Cohort:
    """Validate a table that is in memory, with the same rules as `read_cohort`.

    Parameters
    ----------
    frame
        Columns as in a cohort table.
    root
        Folder that relative clip paths start from.
    name
        How messages call the table.
    notes
        Notes to put before those of the validation.

    Raises
    ------
    CohortError
        As `read_cohort`; rows are numbered as if the table had been written to a file.
    """
    cohort = _parse(from_frame(frame, name), Path(root), name)
    return replace(cohort, notes=[*(notes or []), *cohort.notes])


def write_cohort(table: Cohort | pd.DataFrame, path: str | Path) -> Path:
    """Write a cohort table; CSV, or Parquet where the name ends in ``.parquet``.

    Parameters
    ----------
    table
        A cohort, whose relative clip paths are rewritten to be relative to the new table's
        folder; or a table, whose cells are written as they are.
    path
        Where to write; folders are made as needed. The file appears in one step.

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    CohortError
        If the file cannot be written.
    """
    path = Path(path)
    frame = _relative_to(table, path.parent) if isinstance(table, Cohort) else table

    def fill(temporary: Path) -> None:
        if path.suffix.lower() in {".parquet", ".pq"}:
            frame.to_parquet(temporary, index=False)
        else:
            frame.to_csv(temporary, index=False, encoding="utf-8", lineterminator="\n")

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_with(path, fill)
    except OSError as error:
        raise CohortError(f"{path}: cannot be written ({error.strerror or error})") from error
    return path


def _relative_to(cohort: Cohort, folder: Path) -> pd.DataFrame:
    start = folder.resolve()

    def relative(clip: str) -> str:
        if is_address(clip) or Path(clip).is_absolute():
            return clip
        if cohort.base:
            return joined(cohort.base, clip)
        target = Path(os.path.abspath(cohort.root / clip))  # noqa: PTH100 - keeps symbolic links
        try:
            return Path(os.path.relpath(target, start)).as_posix()
        except ValueError:  # another drive
            return target.as_posix()

    return cohort.frame.assign(clip=[relative(clip) for clip in cohort.frame["clip"]])


def _parse(raw: RawTable, root: Path, where: str) -> Cohort:
    import pandas as pd

    if raw.frame.empty:
        raise CohortError(f"{where}: there is a header but no row; one row a clip is needed")
    problems: list[tuple[int, str]] = []
    whole: list[str] = []
    notes = list(raw.notes)
    columns: dict[str, pd.Series] = {}
    for column in map(str, raw.frame.columns):
        if column not in RULES:
            columns[column] = _carried(raw.frame[column])
            continue
        values, bad = _cells(raw, column)
        problems += bad
        if column in UNITS:
            numbers = [value if isinstance(value, float) else math.nan for value in values]
            notes += filter(None, [doubtful_unit(column, numbers)])
            values, bad, sentences = _hemoglobin(column, numbers, raw.row_numbers)
            problems += bad
            whole += sentences
            column = "hemoglobin_g_dl"
        columns[column] = _SERIES[RULES[column].kind](values)
    given = [column for column in UNITS if column in raw.frame]
    if len(given) > 1:
        whole.append(f"hemoglobin is given by {', '.join(given)}: keep one of the columns")
    frame = pd.DataFrame(columns)
    problems += contradictions(_without_missing_keys(frame), raw.row_numbers)
    _refuse(problems, whole, where)
    return Cohort(_in_order(frame), root, notes)


def _cells(raw: RawTable, column: str) -> tuple[list[Value | None], list[tuple[int, str]]]:
    """Return the values of a known column, None where missing or refused, and the problems."""
    rule = RULES[column]
    values: list[Value | None] = []
    problems = []
    for row, cell in zip(raw.row_numbers, raw.frame[column].tolist(), strict=True):
        text = cell_text(cell)
        value = None
        try:
            value = rule.parse(text) if rule.required or not is_missing(text) else None
        except BadCellError as error:
            problems.append((row, str(error)))
        values.append(value)
    return values, problems


def _hemoglobin(
    column: str, numbers: list[float], row_numbers: list[int]
) -> tuple[list[Value | None], list[tuple[int, str]], list[str]]:
    """Return values in g/dL, problems of rows, and problems of the whole column."""
    sentence = wrong_unit(column, numbers)
    if sentence is not None:
        return [None] * len(numbers), [], [sentence]
    unit = UNITS[column]
    low, high = (limit * unit.per_g_dl for limit in PLAUSIBLE_G_DL)
    problems = [
        (
            row,
            f"{column} {number:g} is outside {low:g} to {high:g} {unit.text}: "
            "check the value and its unit",
        )
        for row, number in zip(row_numbers, numbers, strict=True)
        if not math.isnan(number) and not is_plausible(unit.to_g_dl(number))
    ]
    return [unit.to_g_dl(number) for number in numbers], problems, []


def text_series(values: Sequence[object]) -> pd.Series:
    """Return a column of text; None is missing."""
    import pandas as pd

    # pandas 3 has a text type of its own; before, text is the type "object".
    kind = "str" if int(pd.__version__.split(".")[0]) >= 3 else "object"
    return pd.Series([math.nan if value is None else value for value in values], dtype=kind)


def _number_series(values: Sequence[object]) -> pd.Series:
    import pandas as pd

    return pd.Series([math.nan if value is None else value for value in values], dtype="float64")


def _truth_series(values: Sequence[object]) -> pd.Series:
    import pandas as pd

    return pd.Series([value is True for value in values], dtype="bool")


_SERIES: Mapping[str, Callable[[Sequence[object]], pd.Series]] = MappingProxyType(
    {"text": text_series, "number": _number_series, "truth": _truth_series}
)


def _carried(values: pd.Series) -> pd.Series:
    """Return an unknown column: text is stripped, empty text missing, the rest untouched."""
    from pandas.api.types import is_object_dtype, is_string_dtype

    cells = values.tolist()
    missing = values.isna().tolist()
    texts = all(isinstance(cell, str) or gap for cell, gap in zip(cells, missing, strict=True))
    if texts and (is_object_dtype(values.dtype) or is_string_dtype(values.dtype)):
        return text_series([cell_text(cell) or None for cell in cells])
    return values.reset_index(drop=True)


def _without_missing_keys(frame: pd.DataFrame) -> pd.DataFrame:
    keys = {name: frame[name].fillna("") for name in ("participant_id", "clip")}
    return frame.assign(**keys)


def _in_order(frame: pd.DataFrame) -> pd.DataFrame:
    known = [name for name in KNOWN_COLUMNS if name in frame]
    return frame[known + [name for name in frame.columns if name not in known]]


def _refuse(problems: list[tuple[int, str]], whole: list[str], where: str) -> None:
    """Raise if there is any problem."""
    sentences = whole + [f"row {row}: {text}" for row, text in sorted(problems)]
    if not sentences:
        return
    shown = "; ".join(sentences[:_SHOWN_PROBLEMS])
    if len(sentences) > _SHOWN_PROBLEMS:
        shown += f"; and {len(sentences) - _SHOWN_PROBLEMS} more"
    count = "1 problem" if len(sentences) == 1 else f"{len(sentences)} problems"
    error = CohortProblemsError(f"{where}: {count}: {shown}")
    error.problems = tuple(sentences)
    raise error
