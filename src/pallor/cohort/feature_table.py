"""The feature table on disk: a folder FEATURES with the table, its settings, its failures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pallor.cohort.address import called, is_address, shown_address, usable_address
from pallor.errors import FeatureTableError

if TYPE_CHECKING:
    import pandas as pd

TABLE = "features.parquet"
SETTINGS = "extraction.json"
FAILURES = "failures.csv"
CLIPS = "clips"

MEASURED_COLUMNS: tuple[str, ...] = (
    "input_kind",
    "simulated",
    "duration_s",
    "fps",
    "face_coverage",
    "heart_rate_bpm",
    "snr_db",
    "usable_pulse",
    "file_sha256",
    "content_sha256",
    "warnings",
)
"""What extraction adds to the cohort's columns, before the features."""


def load_features(path: str | Path) -> pd.DataFrame:
    """Load a finished feature table.

    Parameters
    ----------
    path
        Folder that ``pallor extract`` wrote, or its address.

    Returns
    -------
    pandas.DataFrame
        One row a clip that could be read: the cohort's columns, `MEASURED_COLUMNS`, and
        float32 features, NaN where undefined. ``attrs["extraction"]`` holds the settings.
        Frame embeddings are left out; `pallor.cohort.frame_columns.load_frames` reads them.

    Raises
    ------
    FeatureTableError
        If the folder is no feature table, the extraction was interrupted, nothing could be
        extracted, or files are damaged.
    UsageError
        If the address is none that can be used.
    """
    if is_address(str(path)):
        return _load_from_address(str(path))
    import pandas as pd
    import pyarrow as pa

    folder = Path(path)
    settings = read_settings(folder)
    if not settings.get("complete"):
        raise FeatureTableError(
            f"{folder}: the extraction was interrupted: run the same pallor extract again, it "
            "goes on where it stopped"
        )
    counts = settings.get("counts")
    done = counts.get("done") if isinstance(counts, dict) else None
    if done == 0:
        raise FeatureTableError(
            f"{folder}: no clip could be extracted; {FAILURES} says why for each"
        )
    table_path = folder / TABLE
    if not table_path.is_file():
        raise FeatureTableError(f"{folder}: {TABLE} is absent: extract again with --overwrite")
    try:
        table = pd.read_parquet(table_path, columns=_plain_columns(table_path))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise FeatureTableError(
            f"{table_path}: not a readable Parquet file: extract again with --overwrite ({error})"
        ) from error
    missing = [
        name for name in ("participant_id", "clip", *MEASURED_COLUMNS) if name not in table.columns
    ]
    if missing:
        raise FeatureTableError(f"{table_path}: the columns {', '.join(missing)} are absent")
    if len(table) != done:
        raise FeatureTableError(
            f"{table_path}: {len(table)} rows, but {SETTINGS} tells of {done}: the files do not "
            "belong together, extract again with --overwrite"
        )
    table.attrs["extraction"] = settings
    return table


def _load_from_address(address: str) -> pd.DataFrame:
    from pallor.cohort.remote_folder import fetched_folder

    address = usable_address(address, "the feature table").rstrip("/")
    with (
        fetched_folder(address, (SETTINGS, TABLE)) as folder,
        called(folder, shown_address(address)),
    ):
        return load_features(folder)


def read_table(path: str | Path) -> pd.DataFrame:
    """Load a feature table, or a cohort table where the path names a file.

    Parameters
    ----------
    path
        A folder that ``pallor extract`` wrote, or a cohort table (CSV or Parquet), which has
        no features and serves baselines alone; or the address of one, which is a table's
        where it ends in ``.csv``, ``.tsv``, ``.parquet`` or ``.pq``.

    Raises
    ------
    FeatureTableError
        If there is nothing at the path, or the folder is no finished feature table.
    CohortError
        If a cohort table has problems.
    """
    from pallor.cohort.table import read_cohort

    if is_address(str(path)):
        end = Path(shown_address(str(path))).suffix.lower()
        if end in {".csv", ".tsv", ".parquet", ".pq"}:
            return read_cohort(path).frame
        return load_features(path)
    path = Path(path)
    if path.is_file() and path.name not in {TABLE, SETTINGS}:
        return read_cohort(path).frame
    return load_features(path.parent if path.is_file() else path)


def read_settings(folder: Path) -> dict[str, Any]:
    """Read ``extraction.json`` of a folder, finished or not.

    Raises
    ------
    FeatureTableError
        If the folder is absent, no feature table, or the file is damaged.
    """
    if folder.is_file():
        raise FeatureTableError(
            f"{folder}: this is a file; name the folder that pallor extract wrote"
        )
    if not folder.is_dir():
        raise FeatureTableError(f"{folder}: there is no such folder: run pallor extract first")
    path = folder / SETTINGS
    if not path.is_file():
        raise FeatureTableError(
            f"{folder}: this is no feature table ({SETTINGS} is absent): run pallor extract first"
        )
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise FeatureTableError(f"{path}: damaged ({error}): extract again") from error
    if not isinstance(settings, dict):
        raise FeatureTableError(f"{path}: damaged (no JSON object): extract again")
    return settings


def _plain_columns(path: Path) -> list[str]:
    """Name the columns that are not lists: frame embeddings are loaded where they are needed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pq.read_schema(path)
    return [field.name for field in schema if not pa.types.is_fixed_size_list(field.type)]


def modalities_of(table: pd.DataFrame) -> list[str]:
    """Name the modalities that a table holds features of, in the order of the registry."""
    from pallor.features.registry import MODALITIES

    # What was extracted comes along, for features of a modality that is not installed here.
    settings = table.attrs.get("extraction", {})
    named = settings.get("modalities", []) if isinstance(settings, dict) else []
    known = list(dict.fromkeys([*MODALITIES, *(named if isinstance(named, list) else [])]))
    held = {str(column).partition(".")[0] for column in table.columns if "." in str(column)}
    return [name for name in known if name in held]


def feature_columns(table: pd.DataFrame, modality: str) -> list[str]:
    """Name the feature columns of one modality, in the order of the table.

    Raises
    ------
    FeatureTableError
        If the table has none.
    """
    columns = [str(name) for name in table.columns if str(name).startswith(f"{modality}.")]
    if not columns:
        held = ", ".join(modalities_of(table)) or "none"
        raise FeatureTableError(
            f"the table has no features of {modality!r} (it has: {held}): extract them first"
        )
    return columns
