"""Clips that occur more than once: listed, counted, and taken out for a second scoring."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

_HASHES: Final = ("file_sha256", "content_sha256")
_TOLD: Final = ("hemoglobin_g_dl", "sex", "age_years", "site")
"""Columns in which two rows of one content contradict each other when they differ."""


def copy_groups(table: pd.DataFrame) -> list[NDArray[np.intp]]:
    """Rows that share content, by the bytes of the file or by what it decodes to.

    Parameters
    ----------
    table
        One row a clip, with ``file_sha256`` and ``content_sha256`` where known.

    Returns
    -------
    Row positions of each group of two or more, in order of their first row.
    """
    parent = np.arange(len(table))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = int(parent[row])
        return row

    for column in _HASHES:
        if column not in table.columns:
            continue
        first: dict[str, int] = {}
        for row, value in enumerate(table[column].to_list()):
            # An unknown hash (NaN, None, empty) says nothing about sameness.
            if isinstance(value, str) and value:
                ends = sorted((root(first.setdefault(value, row)), root(row)))
                parent[ends[1]] = ends[0]
    roots = np.array([root(row) for row in range(len(table))], dtype=np.intp)
    return [
        np.flatnonzero(roots == value)
        for value, count in zip(*np.unique(roots, return_counts=True), strict=True)
        if count > 1
    ]


def _differ(values: pd.Series) -> bool:
    known = values.dropna()
    return bool((known != known.iloc[0]).any()) if len(known) else False


def _contradictions(rows: pd.DataFrame) -> list[str]:
    return [name for name in _TOLD if name in rows.columns and _differ(rows[name])]


def _plain(value: Any) -> Any:
    """Return a cell as JSON knows it."""
    if value is None or value != value:
        return None
    return value.item() if isinstance(value, np.generic) else value


def describe_copies(table: pd.DataFrame, groups: list[NDArray[np.intp]]) -> dict[str, Any]:
    """Count the copies and list those whose labels contradict each other.

    Returns
    -------
    ``groups``, ``rows`` (in these groups), ``across_participants`` (groups that span several
    participants) and ``conflicting``: for each group with contradictory labels its
    ``participants``, ``clips``, ``differs_in`` and ``hemoglobin_g_dl``, in order of rows.
    """
    across, conflicting = 0, []
    for group in groups:
        rows = table.iloc[group]
        across += int(_differ(rows["participant_id"]))
        differs = _contradictions(rows)
        if differs:
            conflicting.append(
                {
                    "participants": [str(value) for value in rows["participant_id"]],
                    "clips": [str(value) for value in rows["clip"]] if "clip" in rows else [],
                    "differs_in": differs,
                    "hemoglobin_g_dl": [_plain(value) for value in rows["hemoglobin_g_dl"]],
                }
            )
    return {
        "groups": len(groups),
        "rows": int(sum(len(group) for group in groups)),
        "across_participants": across,
        "conflicting": conflicting,
    }


def without_copies(table: pd.DataFrame, groups: list[NDArray[np.intp]]) -> NDArray[np.bool_]:
    """Rows to keep when copies are taken out, ``(rows,)``.

    A content that stands under several participants, or with contradictory labels, is
    dropped altogether: nobody can tell whose it is. A content that one participant has
    several times, with one label, is kept once.
    """
    keep = np.ones(len(table), dtype=bool)
    for group in groups:
        rows = table.iloc[group]
        ambiguous = _differ(rows["participant_id"]) or bool(_contradictions(rows))
        keep[group if ambiguous else group[1:]] = False
    return keep
