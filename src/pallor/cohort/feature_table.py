"""The feature table in memory: loaded from one folder or several, whole or part by part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pallor.cohort.address import called, is_address, shown_address, usable_address
from pallor.cohort.feature_folder import SETTINGS, TABLE, part_name
from pallor.cohort.stored_table import StoredTable, open_table
from pallor.cohort.table_layout import modality_of
from pallor.cohort.table_mixing import mixed_settings
from pallor.errors import FeatureTableError

if TYPE_CHECKING:
    import pandas as pd

Paths = str | Path | Sequence[str | Path]
"""One path, or several."""

_NOT_STORED = "demographics"  # sex and age are columns of the cohort


def load_features(
    path: Paths, modalities: Sequence[str] | None = None, *, also: Sequence[str] = ()
) -> pd.DataFrame:
    """Load a finished feature table, or several as one.

    Parameters
    ----------
    path
        Folder that ``pallor extract`` wrote, or its address, or several. The same
        ``participant_id`` in two folders is the same person; the same clip in two folders is
        found by its content, see `pallor.cohort.duplicates`.
    modalities
        Read the features of these alone, which saves memory; None for all.
    also
        Beginnings of names of further features to read.

    Returns
    -------
    pandas.DataFrame
        One row a clip that could be read, in the order of the cohort, folder after folder: the
        cohort's columns, `pallor.cohort.feature_folder.MEASURED_COLUMNS`, and float32
        features, NaN where undefined. ``attrs["extraction"]`` holds the settings; its
        ``notes``, where there are any, are sentences that a user should read. Frame embeddings
        are left out; `pallor.cohort.frame_columns.load_frames` reads them.

    Raises
    ------
    FeatureTableError
        If a folder is no feature table, the extraction was interrupted, nothing could be
        extracted, files are damaged, absent or of another table, a modality is not there, or
        tables of different settings are to be mixed.
    UsageError
        If an address is none that can be used.
    """
    with _opened(path) as tables:
        return _loaded(tables, modalities, also)


def _loaded(
    tables: Sequence[StoredTable], modalities: Sequence[str] | None, also: Sequence[str]
) -> pd.DataFrame:
    import pandas as pd
    import pyarrow as pa

    settings = mixed_settings(tables)
    chosen = [_chosen(table, modalities, also) for table in tables]
    features = list(dict.fromkeys(name for names in chosen for name in names))
    place = {name: index for index, name in enumerate(features)}
    rows = sum(table.rows for table in tables)
    # Filled part by part: no second copy of it is ever in memory.
    matrix = np.full((len(features), rows), np.nan, dtype=np.float32)
    labels: list[pd.DataFrame] = []
    start = 0
    for table, names in zip(tables, chosen, strict=True):
        own = []
        for part in table.read([*table.labels, *names]):
            stop = start + len(part)
            for name in names:
                matrix[place[name], start:stop] = part[name].to_numpy()
            own.append(part.select(table.labels))
            start = stop
        labels.append(pa.concat_tables(own).to_pandas())
    left = labels[0] if len(labels) == 1 else pd.concat(labels, ignore_index=True)
    right = pd.DataFrame(matrix.T, columns=features, copy=False)
    loaded = pd.concat([left, right], axis="columns")
    loaded.attrs["extraction"] = settings
    return loaded


def iter_features(path: Paths, modalities: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
    """Load a feature table part by part, so that it need not fit into memory.

    Parameters
    ----------
    path, modalities
        As in `load_features`.

    Yields
    ------
    pandas.DataFrame
        Some thousand consecutive rows at a time, all with the same columns; one under another
        they are what `load_features` returns.

    Raises
    ------
    FeatureTableError
        As `load_features`; a damaged part is noticed when it is its turn.
    """
    # What is wrong is said at once, and not when the first row is asked for.
    with ExitStack() as stack:
        tables = stack.enter_context(_opened(path))
        settings = mixed_settings(tables)
        chosen = [_chosen(table, modalities, ()) for table in tables]
        features = list(dict.fromkeys(name for names in chosen for name in names))
        labels = list(dict.fromkeys(name for table in tables for name in table.labels))
        return _rows_by_part(tables, [*labels, *features], settings, stack.pop_all())


def _rows_by_part(
    tables: Sequence[StoredTable], columns: list[str], settings: dict[str, Any], opened: ExitStack
) -> Iterator[pd.DataFrame]:
    start = 0
    with opened:
        for table in tables:
            held = [name for name in columns if name in table.schema.names]
            for part in table.read(held):
                frame = part.to_pandas()
                frame.index = frame.index + start
                start += len(frame)
                if len(held) < len(columns):
                    frame = frame.reindex(columns=columns)
                frame.attrs["extraction"] = settings
                yield frame


def read_table(
    path: Paths, modalities: Sequence[str] | None = None, *, also: Sequence[str] = ()
) -> pd.DataFrame:
    """Load feature tables, or a cohort table where the one path names a file.

    Parameters
    ----------
    path
        Folders that ``pallor extract`` wrote, or their addresses; or one cohort table (CSV or
        Parquet), which has no features and serves baselines alone. One address is a cohort
        table's where it ends in ``.csv``, ``.tsv``, ``.parquet`` or ``.pq``.
    modalities, also
        As in `load_features`; a cohort table has none.

    Raises
    ------
    FeatureTableError
        If there is nothing at the path, or `load_features` refuses a folder.
    CohortError
        If a cohort table has problems.
    """
    from pallor.cohort.table import read_cohort

    if isinstance(path, str | Path) and is_address(str(path)):
        end = Path(shown_address(str(path))).suffix.lower()
        if end in {".csv", ".tsv", ".parquet", ".pq"}:
            return read_cohort(path).frame
    paths = [one if is_address(str(one)) else _folder_of(Path(one)) for one in _listed(path)]
    if len(paths) == 1 and isinstance(paths[0], Path) and paths[0].is_file():
        return read_cohort(paths[0]).frame
    return load_features(paths, modalities, also=also)


def _folder_of(path: Path) -> Path:
    """Return FEATURES where the path names what lies in it; any other path as it is."""
    names = {TABLE, SETTINGS}
    if path.name in names and (path.is_file() or (path / part_name(0)).is_file()):
        return path.parent
    return path


def _listed(path: Paths) -> list[str | Path]:
    return [path] if isinstance(path, str | Path) else list(path)


@contextmanager
def _opened(path: Paths) -> Iterator[list[StoredTable]]:
    """Open tables; those at an address are fetched, and are there while the context lasts."""
    places = _listed(path)
    if not places:
        raise FeatureTableError("no feature table is named: name a folder of pallor extract")
    with ExitStack() as stack:
        yield [open_table(stack.enter_context(_here(place))) for place in places]


@contextmanager
def _here(place: str | Path) -> Iterator[Path]:
    """Give a folder on this machine."""
    if not is_address(str(place)):
        yield Path(place)
        return
    from pallor.cohort.remote_folder import fetched_folder

    address = usable_address(str(place), "the feature table").rstrip("/")
    with (
        fetched_folder(address, (SETTINGS, TABLE)) as folder,
        called(folder, shown_address(address)),
    ):
        yield folder


def _chosen(table: StoredTable, modalities: Sequence[str] | None, also: Sequence[str]) -> list[str]:
    if modalities is None:
        return table.features
    wanted = {name for name in modalities if name != _NOT_STORED}
    absent = [name for name in modalities if name in wanted and name not in table.modalities]
    if absent:
        raise FeatureTableError(
            f"{table.folder}: holds no features of {', '.join(absent)}, only of "
            f"{', '.join(table.modalities) or 'none'}: extract them, or ask for others"
        )
    return [
        name
        for name in table.features
        if modality_of(name) in wanted or name.startswith(tuple(also))
    ]


def modalities_of(table: pd.DataFrame) -> list[str]:
    """Name the modalities that a table holds features of, in the order of the registry."""
    from pallor.features.registry import MODALITIES

    # What was extracted comes along, for features of a modality that is not installed here.
    settings = table.attrs.get("extraction", {})
    named = settings.get("modalities", []) if isinstance(settings, dict) else []
    known = list(dict.fromkeys([*MODALITIES, *(named if isinstance(named, list) else [])]))
    held = {modality_of(str(column)) for column in table.columns if "." in str(column)}
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
