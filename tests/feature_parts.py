"""Feature tables on disk for tests: read as bytes, and written from a table in memory."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pyarrow as pa

from pallor.cohort.extraction_record import write_record
from pallor.cohort.feature_folder import FORMAT, MEASURED_COLUMNS
from pallor.cohort.table_layout import modality_of
from pallor.cohort.table_parts import write_parts


def parts_of(folder: Path) -> dict[str, bytes]:
    """The bytes of every part of a feature folder."""
    return {part.name: part.read_bytes() for part in (folder / "features.parquet").iterdir()}


def write_store(table: pd.DataFrame, folder: Path, *, rows: int = 1000, **settings: object) -> Path:
    """Write a feature table as ``pallor extract`` does, ``rows`` a part; measured columns that
    the table lacks are made up."""
    folder.mkdir()
    known = {"input_kind": "face_video", "simulated": False, "usable_pulse": True, "warnings": ""}
    lacking = [name for name in MEASURED_COLUMNS if name not in table.columns]
    table = table.assign(**{name: known.get(name, 20.0) for name in lacking})
    record = {
        "format": FORMAT,
        "complete": True,
        "modalities": list(dict.fromkeys(modality_of(n) for n in table.columns if "." in n)),
        "input_kinds": ["face_video"],
        "counts": {"read": len(table), "done": len(table), "failed": 0, "participants": 1},
        "failures": [],
        **settings,
    }
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    slices = (arrow.slice(start, rows) for start in range(0, len(arrow), rows))
    record["parts"] = [asdict(part) for part in write_parts(folder, slices, record)]
    write_record(folder, record)
    return folder
