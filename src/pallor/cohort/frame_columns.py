"""Frame embeddings beside the features: fixed-size list columns of the feature table.

``<modality>_frames`` holds ``(frames, d)`` float32 a clip, ``frame_time_s`` the presentation
times. A clip with fewer frames than the longest is filled up with NaN. The names have no dot:
what has one is a feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from pallor.cohort.table_layout import TableLayout
from pallor.errors import FeatureTableError

if TYPE_CHECKING:
    from pallor.cohort.clip_outcome import ClipOutcome

TIMES: Final = "frame_time_s"
SUFFIX: Final = "_frames"


def frame_fields(layout: TableLayout) -> list[Any]:
    """Return the `pyarrow.Field` of each column of frames; none where no frames are kept."""
    import pyarrow as pa

    if not layout.times:
        return []
    times = pa.field(TIMES, pa.list_(pa.float64(), layout.times))
    return [times] + [
        pa.field(name + SUFFIX, pa.list_(pa.list_(pa.float32(), depth), layout.times))
        for name, depth in layout.frames.items()
    ]


def frame_columns(outcomes: Sequence[ClipOutcome], layout: TableLayout) -> list[Any]:
    """Return the `pyarrow.FixedSizeListArray` of each of `frame_fields`.

    Parameters
    ----------
    outcomes
        One a row; a clip may have no frames.
    layout
        Of the whole table.
    """
    import pyarrow as pa

    if not layout.times:
        return []
    times = np.full((len(outcomes), layout.times), np.nan)
    for row, outcome in enumerate(outcomes):
        if outcome.frame_time_s is not None:
            times[row, : len(outcome.frame_time_s)] = outcome.frame_time_s
    columns = [pa.FixedSizeListArray.from_arrays(pa.array(times.ravel()), layout.times)]
    for name, depth in layout.frames.items():
        values = np.full((len(outcomes), layout.times, depth), np.nan, dtype=np.float32)
        for row, outcome in enumerate(outcomes):
            if name in outcome.frames:
                values[row, : len(outcome.frames[name])] = outcome.frames[name]
        flat = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), depth)
        columns.append(pa.FixedSizeListArray.from_arrays(flat, layout.times))
    return columns


def load_frames(folder: str | Path, modality: str) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """Load the frame embeddings that ``pallor extract --keep-frames`` kept.

    Parameters
    ----------
    folder
        Of the feature table.
    modality
        Such as ``resnet152``.

    Returns
    -------
    frames
        ``(rows, frames, d)`` float32, rows as in the feature table; NaN where a clip has fewer.
    time_s
        ``(rows, frames)``, presentation times in seconds.

    Raises
    ------
    FeatureTableError
        If the folder holds none of this modality, or the table cannot be read.
    """
    from pallor.cohort.stored_table import open_table

    table = open_table(Path(folder))
    column = modality + SUFFIX
    if column not in table.schema.names or TIMES not in table.schema.names:
        raise FeatureTableError(
            f"{folder}: holds no frames of {modality!r}: extract it with --keep-frames"
        )
    kind = table.schema.field(column).type
    frames, depth = kind.list_size, kind.value_type.list_size
    values = np.empty((table.rows, frames, depth), dtype=np.float32)
    times = np.empty((table.rows, frames))
    start = 0
    for part in table.read([column, TIMES]):
        rows = slice(start, start + len(part))
        flat = part[column].combine_chunks().flatten().flatten()
        values[rows] = flat.to_numpy(zero_copy_only=False).reshape(-1, frames, depth)
        shown = part[TIMES].combine_chunks().flatten()
        times[rows] = shown.to_numpy(zero_copy_only=False).reshape(-1, frames)
        start = rows.stop
    return values, times
