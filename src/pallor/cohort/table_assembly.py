"""From single clips to the feature table and the list of failures."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pallor.cohort.atomic import write_text, write_with
from pallor.cohort.clip_outcome import ClipFailure, ClipOutcome
from pallor.cohort.feature_table import MEASURED_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

_NUMBERS = ("duration_s", "fps", "face_coverage", "heart_rate_bpm", "snr_db")
_TRUTHS = ("simulated", "usable_pulse")
_TOLD_OF_FAILURES = ("hemoglobin_g_dl", "sex")


def assemble(cohort: pd.DataFrame, outcomes: Iterable[tuple[int, ClipOutcome]]) -> pd.DataFrame:
    """Put measured clips beside their rows of the cohort.

    Parameters
    ----------
    cohort
        Rows of a validated cohort.
    outcomes
        Row position and outcome of each clip that was measured, in ascending order.

    Returns
    -------
    pandas.DataFrame
        The cohort's columns, the measured ones, and float32 features in the order of the
        registry; a feature that a clip's kind of input does not have is NaN. ``simulated``
        is true where the file, the cohort or its reference method says so.
    """
    import pandas as pd

    rows: list[int] = []
    measured: list[dict[str, Any]] = []
    names: dict[tuple[str, ...], tuple[str, ...]] = {}
    values: list[tuple[tuple[str, ...], NDArray[np.float32]]] = []
    for row, outcome in outcomes:
        rows.append(row)
        measured.append({name: outcome.measured.get(name) for name in MEASURED_COLUMNS})
        own = tuple(outcome.features)
        # Thousands of clips share a handful of lists of thousands of names.
        values.append((names.setdefault(own, own), outcome.values()))
    left = cohort.iloc[rows].reset_index(drop=True)
    middle = _typed(pd.DataFrame(measured, columns=list(MEASURED_COLUMNS)))
    middle["simulated"] = middle["simulated"] | _simulated(left)
    columns = _in_registry_order(dict.fromkeys(name for own in names for name in own))
    place = {name: index for index, name in enumerate(columns)}
    matrix = np.full((len(rows), len(columns)), np.nan, dtype=np.float32)
    places = {own: np.array([place[name] for name in own], dtype=np.intp) for own in names}
    for index, (own, numbers) in enumerate(values):
        matrix[index, places[own]] = numbers
    features = pd.DataFrame(matrix, columns=columns)
    return pd.concat(
        [left.drop(columns="simulated", errors="ignore"), middle, features], axis="columns"
    )


def write_table(table: pd.DataFrame, path: Path, more: Mapping[str, Any] | None = None) -> None:
    """Write a feature table as Parquet, in one step.

    Parameters
    ----------
    table
        What `assemble` made.
    path
        Of the file.
    more
        Name to Arrow array of columns to stand after the table's own.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    def fill(temporary: Path) -> None:
        arrow = pa.Table.from_pandas(table, preserve_index=False)
        for name, values in (more or {}).items():
            arrow = arrow.append_column(name, values)
        pq.write_table(arrow, temporary)

    write_with(path, fill)


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
    told = [name for name in _TOLD_OF_FAILURES if name in rows.columns]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["participant_id", "clip", "code", "text", *told])
    labels = rows[told].astype(object).where(rows[told].notna(), "").to_numpy().tolist()
    for failure, known in zip(failures, labels, strict=True):
        writer.writerow([failure.participant_id, failure.clip, failure.code, failure.text, *known])
    write_text(path, text.getvalue())


def _typed(measured: pd.DataFrame) -> pd.DataFrame:
    from pallor.cohort.table import text_series

    numbers = {name: measured[name].astype("float64") for name in _NUMBERS}
    truths = {name: measured[name].astype("bool") for name in _TRUTHS}
    texts = {
        name: text_series(measured[name].tolist())
        for name in MEASURED_COLUMNS
        if name not in numbers and name not in truths
    }
    return measured.assign(**numbers, **truths, **texts)


def _simulated(cohort: pd.DataFrame) -> NDArray[np.bool_]:
    said = np.zeros(len(cohort), dtype=np.bool_)
    if "simulated" in cohort.columns:
        said |= cohort["simulated"].to_numpy(dtype=np.bool_)
    if "reference_method" in cohort.columns:
        said |= (cohort["reference_method"] == "simulated").to_numpy(dtype=np.bool_)
    return said


def _in_registry_order(names: Iterable[str]) -> list[str]:
    from pallor.features.registry import MODALITIES

    order = {name: index for index, name in enumerate(MODALITIES)}
    return sorted(names, key=lambda name: order.get(name.partition(".")[0], len(order)))
