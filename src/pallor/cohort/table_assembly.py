"""From single clips to the parts of the feature table, one part in memory at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from pallor.cohort.clip_outcome import ClipOutcome
from pallor.cohort.feature_folder import MEASURED_COLUMNS
from pallor.cohort.frame_columns import frame_columns, frame_fields
from pallor.cohort.table_layout import TableLayout

if TYPE_CHECKING:
    import pandas as pd

ROWS_A_PART: Final = 4096
"""Most rows of a part."""
CELLS_A_PART: Final = 2**23
"""Most numbers of a part, 32 MiB of float32: wide tables get parts of fewer rows."""

_NUMBERS = ("duration_s", "fps", "face_coverage", "heart_rate_bpm", "snr_db")
_TRUTHS = ("simulated", "usable_pulse")

Measured = tuple[int, ClipOutcome]
"""Row position in the cohort, and the outcome of its clip."""


def rows_a_part(cells: int) -> int:
    """Return how many rows a part has, where a row holds so many numbers."""
    return max(1, min(ROWS_A_PART, CELLS_A_PART // max(1, cells)))


def assemble(cohort: pd.DataFrame, outcomes: Iterable[Measured], layout: TableLayout) -> Any:
    """Put measured clips beside their rows of the cohort, all at once.

    Parameters
    ----------
    cohort
        Rows of a validated cohort.
    outcomes
        Of each clip that was measured, in ascending order of the rows.
    layout
        Which features and frames the table has; those of the clips are among them.

    Returns
    -------
    pyarrow.Table
        The cohort's columns, the measured ones, float32 features, and frames where they are
        kept; a feature that a clip's kind of input does not have is missing. ``simulated`` is
        true where the file, the cohort or its reference method says so.
    """
    return _assemble(cohort, list(outcomes), layout, table_schema(cohort, layout))


def assemble_parts(
    cohort: pd.DataFrame, outcomes: Iterable[Measured], layout: TableLayout
) -> Iterator[Any]:
    """Put measured clips beside their rows, part by part; see `assemble`.

    Yields
    ------
    pyarrow.Table
        Of `rows_a_part` rows, the last of fewer; all of one schema.
    """
    schema = table_schema(cohort, layout)
    most = rows_a_part(layout.cells)
    left = iter(outcomes)
    for first in left:
        yield _assemble(cohort, chain([first], islice(left, most - 1)), layout, schema)


def table_schema(cohort: pd.DataFrame, layout: TableLayout) -> Any:
    """Return the `pyarrow.Schema` of every part.

    The types of the cohort's columns are those of the whole cohort: a part in which a column
    has no value could not tell.
    """
    import pyarrow as pa

    own = pa.Table.from_pandas(_own_columns(cohort), preserve_index=False).schema
    # What is known of nobody is text without a value: not every reader has a type for nothing.
    kept = [
        field.with_type(pa.string()) if pa.types.is_null(field.type) else field for field in own
    ]
    kinds = dict.fromkeys(_NUMBERS, pa.float64()) | dict.fromkeys(_TRUTHS, pa.bool_())
    return pa.schema(
        [
            *kept,
            *(pa.field(name, kinds.get(name, pa.string())) for name in MEASURED_COLUMNS),
            *(pa.field(name, pa.float32()) for name in layout.features),
            *frame_fields(layout),
        ]
    )


def _assemble(
    cohort: pd.DataFrame, outcomes: Iterable[Measured], layout: TableLayout, schema: Any
) -> Any:
    import pandas as pd
    import pyarrow as pa

    rows: list[int] = []
    measured: list[dict[str, Any]] = []
    kept: list[ClipOutcome] = []
    names: list[tuple[str, ...]] = []
    values: list[NDArray[np.float32]] = []
    known: dict[tuple[str, ...], tuple[str, ...]] = {}
    for row, outcome in outcomes:
        rows.append(row)
        measured.append({name: outcome.measured.get(name) for name in MEASURED_COLUMNS})
        # The outcome itself holds an object a number; what is kept of it is small.
        own = tuple(outcome.features)
        names.append(known.setdefault(own, own))
        values.append(outcome.values())
        if layout.times:
            kept.append(outcome)
    left = cohort.iloc[rows].reset_index(drop=True)
    middle = _typed(pd.DataFrame(measured, columns=list(MEASURED_COLUMNS)))
    middle["simulated"] = middle["simulated"] | _simulated(left)
    labels = pd.concat([_own_columns(left), middle], axis="columns")
    matrix = _matrix(names, values, layout.features)
    columns = [
        *pa.Table.from_pandas(
            labels, schema=pa.schema(list(schema)[: labels.shape[1]]), preserve_index=False
        ).columns,
        # Undefined is NaN for NumPy and a missing value for those who tell the two apart.
        *(pa.array(column, pa.float32(), from_pandas=True) for column in matrix),
        *frame_columns(kept, layout),
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _matrix(
    names: list[tuple[str, ...]], values: list[NDArray[np.float32]], columns: tuple[str, ...]
) -> NDArray[np.float32]:
    """Return ``(columns, rows)``, NaN where a row does not have the column."""
    place = {name: index for index, name in enumerate(columns)}
    places = {own: np.array([place[name] for name in own], dtype=np.intp) for own in set(names)}
    matrix = np.full((len(columns), len(values)), np.nan, dtype=np.float32)
    for row, (own, numbers) in enumerate(zip(names, values, strict=True)):
        matrix[places[own], row] = numbers
    return matrix


def _own_columns(cohort: pd.DataFrame) -> pd.DataFrame:
    return cohort.drop(columns="simulated", errors="ignore")


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
