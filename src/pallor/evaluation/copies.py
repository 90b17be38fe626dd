"""Clips that occur more than once: what is said of them, and the rows that remain without."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pallor.cohort.duplicates import Duplicates
from pallor.evaluation.unit import OUTCOME

if TYPE_CHECKING:
    import pandas as pd


def describe_copies(table: pd.DataFrame, duplicates: Duplicates) -> dict[str, Any]:
    """Count the copies and list those whose labels contradict one another.

    Parameters
    ----------
    table
        The rows that the duplicates were found in.
    duplicates
        Result of ``pallor.cohort.duplicates.duplicates_of_table``.

    Returns
    -------
    ``groups``, ``rows`` (in these groups), ``across_participants`` (groups that several
    participants share) and ``conflicting``: for each group with contradictory labels its
    ``participants``, ``clips``, ``conflicts`` and, row by row, ``hemoglobin_g_dl``.
    """
    described = duplicates.as_dict()
    for entry, group in zip(described["conflicting"], duplicates.conflicting, strict=True):
        values = table[OUTCOME].iloc[list(group.rows)]
        entry[OUTCOME] = [float(value) for value in values]
    return described


def without_copies(duplicates: Duplicates) -> NDArray[np.bool_]:
    """Mark the rows to keep when copies are taken out, ``(rows,)``.

    A content that stands under several participants, or with contradictory labels, is
    dropped altogether: nobody can tell whose it is. A content that one participant has
    several times, with the same labels, is kept once.
    """
    keep = np.ones(duplicates.total, dtype=bool)
    for group in duplicates.groups:
        ambiguous = group.across_participants or bool(group.conflicts)
        keep[list(group.rows if ambiguous else group.rows[1:])] = False
    return keep
