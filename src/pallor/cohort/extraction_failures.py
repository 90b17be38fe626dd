"""``failures.csv``: which clips could not be measured, and why."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pallor.cohort.atomic import write_text
from pallor.cohort.clip_outcome import ClipFailure

if TYPE_CHECKING:
    import pandas as pd

_TOLD = ("hemoglobin_g_dl", "sex")


def write_failures(failures: Sequence[ClipFailure], rows: pd.DataFrame, path: Path) -> None:
    """Write what failed and why, with the labels of the lost, in one step.

    Parameters
    ----------
    failures
        One a failed clip.
    rows
        Rows of the cohort of these clips, in the same order. Their hemoglobin and sex are
        listed, since clips that fail may not be a random part of the cohort.
    path
        Of the CSV file.
    """
    told = [name for name in _TOLD if name in rows.columns]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["participant_id", "clip", "code", "text", *told])
    labels = rows[told].astype(object).where(rows[told].notna(), "").to_numpy().tolist()
    for failure, known in zip(failures, labels, strict=True):
        writer.writerow([failure.participant_id, failure.clip, failure.code, failure.text, *known])
    write_text(path, text.getvalue())
