"""Frame embeddings beside the features: fixed-size list columns of the feature table.

``<modality>_frames`` holds ``(frames, d)`` float32 a clip, ``frame_time_s`` the presentation
times. A clip with fewer frames than the longest is filled up with NaN. The names have no dot:
what has one is a feature.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from pallor.errors import FeatureTableError

if TYPE_CHECKING:
    from pallor.cohort.clip_outcome import ClipOutcome

TIMES: Final = "frame_time_s"
SUFFIX: Final = "_frames"


class FrameColumns:
    """Collects the frames of clip after clip, in the order of the table's rows."""

    def __init__(self) -> None:
        self._frames: list[Mapping[str, NDArray[np.float32]]] = []
        self._times: list[NDArray[np.float64]] = []

    def add(self, outcome: ClipOutcome) -> None:
        """Add the next row's frames, which may be none."""
        self._frames.append(outcome.frames)
        times = outcome.frame_time_s
        self._times.append(np.empty(0) if times is None else times)

    def columns(self) -> dict[str, Any]:
        """Return column name to `pyarrow.FixedSizeListArray`; empty where nothing was kept."""
        import pyarrow as pa

        names = list(dict.fromkeys(name for frames in self._frames for name in frames))
        longest = max((len(times) for times in self._times), default=0)
        if not names or longest == 0:
            return {}
        times = np.full((len(self._times), longest), np.nan)
        for row, own in enumerate(self._times):
            times[row, : len(own)] = own
        columns = {TIMES: pa.FixedSizeListArray.from_arrays(pa.array(times.ravel()), longest)}
        for name in names:
            depth = next(frames[name].shape[1] for frames in self._frames if name in frames)
            values = np.full((len(self._frames), longest, depth), np.nan, dtype=np.float32)
            for row, frames in enumerate(self._frames):
                if name in frames:
                    values[row, : len(frames[name])] = frames[name]
            flat = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), depth)
            columns[name + SUFFIX] = pa.FixedSizeListArray.from_arrays(flat, longest)
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
        If the folder holds none of this modality.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from pallor.cohort.feature_table import TABLE, read_settings

    read_settings(Path(folder))
    path = Path(folder) / TABLE
    wanted = [modality + SUFFIX, TIMES]
    try:
        held = set(pq.read_schema(path).names)
        if not set(wanted) <= held:
            raise FeatureTableError(
                f"{path}: holds no frames of {modality!r}: extract it with --keep-frames"
            )
        table = pq.read_table(path, columns=wanted).combine_chunks()
    except (pa.ArrowException, OSError) as error:
        raise FeatureTableError(f"{path}: not a readable Parquet file ({error})") from error
    kind = table.schema.field(modality + SUFFIX).type
    frames, depth = kind.list_size, kind.value_type.list_size
    flat = table[modality + SUFFIX].combine_chunks().flatten().flatten()
    times = table[TIMES].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    values = flat.to_numpy(zero_copy_only=False).reshape(len(table), frames, depth)
    return values, times.reshape(len(table), frames)
