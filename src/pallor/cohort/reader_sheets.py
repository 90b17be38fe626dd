"""What the readers of published data sets share: their sheets as text, and short lists."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pallor.errors import CohortError

if TYPE_CHECKING:
    import pandas as pd


def read_sheet(path: Path, needed: Sequence[str]) -> pd.DataFrame:
    """Read a comma-separated sheet as text, stray blanks and byte-order mark removed.

    Parameters
    ----------
    path
        The sheet.
    needed
        Columns that must be there.

    Raises
    ------
    CohortError
        If the sheet is absent, unreadable, or lacks a column.
    """
    import pandas as pd

    if not path.is_file():
        raise CohortError(f"{path}: there is no such file; name the folder of the data set")
    try:
        sheet = pd.read_csv(
            path, dtype=str, keep_default_na=False, encoding="utf-8-sig", index_col=False
        )
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise CohortError(f"{path}: not a readable CSV file ({error})") from error
    sheet.columns = [str(name).strip() for name in sheet.columns]
    missing = [name for name in needed if name not in sheet.columns]
    if missing:
        raise CohortError(f"{path}: the columns {', '.join(missing)} are absent")
    if sheet.empty:
        raise CohortError(f"{path}: the sheet has no rows")
    for name in sheet.columns:
        sheet[name] = sheet[name].str.strip()
    return sheet


def first_few(names: Sequence[str], most: int = 5) -> str:
    """Return the first names of a list and how many follow."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
