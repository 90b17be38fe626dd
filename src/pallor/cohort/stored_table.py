"""A finished feature table on disk, opened: its settings, its parts, its columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pallor.cohort.feature_folder import (
    FAILURES,
    MEASURED_COLUMNS,
    SETTINGS,
    TABLE,
    part_name,
    read_settings,
)
from pallor.cohort.table_layout import modality_of
from pallor.cohort.table_parts import Part, check_names, open_part, unreadable
from pallor.errors import FeatureTableError

_NEEDED = ("participant_id", "clip", *MEASURED_COLUMNS)


@dataclass(frozen=True)
class StoredTable:
    """A feature table whose parts are all there; values are read by `read`.

    Attributes
    ----------
    folder
        FEATURES.
    settings
        ``extraction.json``, without the list of the parts.
    parts
        What it tells of each part.
    schema
        `pyarrow.Schema` of every part.
    """

    folder: Path
    settings: dict[str, Any]
    parts: tuple[Part, ...]
    schema: Any

    @property
    def rows(self) -> int:
        """Rows of all parts."""
        return sum(part.rows for part in self.parts)

    @property
    def modalities(self) -> list[str]:
        """Modalities that the table holds features of."""
        return [str(name) for name in self.settings.get("modalities", [])]

    @property
    def labels(self) -> list[str]:
        """Columns of the cohort and what was measured beside the features."""
        known = set(self.modalities)
        return [name for name in self._plain if not _is_feature(name, known)]

    @property
    def features(self) -> list[str]:
        """Columns of features."""
        known = set(self.modalities)
        return [name for name in self._plain if _is_feature(name, known)]

    @property
    def _plain(self) -> list[str]:
        import pyarrow as pa

        return [field.name for field in self.schema if not pa.types.is_fixed_size_list(field.type)]

    def read(self, columns: Sequence[str]) -> Iterator[Any]:
        """Read some columns of one part after another.

        Yields
        ------
        pyarrow.Table

        Raises
        ------
        FeatureTableError
            If a part is damaged, of another table, or of other columns than the first.
        """
        import pyarrow as pa

        for number, part in enumerate(self.parts):
            path = self.folder / TABLE / part_name(number)
            fragment = open_part(self.folder, number, part, self.settings)
            if not fragment.physical_schema.equals(self.schema):
                raise FeatureTableError(
                    f"{path}: has other columns than {part_name(0)}: run the same pallor extract "
                    "again"
                )
            try:
                yield fragment.to_table(columns=list(columns))
            except (pa.ArrowException, OSError) as error:
                raise unreadable(path, error) from error


def open_table(folder: Path) -> StoredTable:
    """Open the feature table of a folder.

    Raises
    ------
    FeatureTableError
        If the folder is no feature table, the extraction was interrupted, nothing could be
        extracted, or files are damaged, absent or of another table.
    """
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
    parts = _parts(settings.pop("parts", ()))
    check_names(folder, parts)
    told = sum(part.rows for part in parts)
    if not parts or told != done:
        raise FeatureTableError(
            f"{folder / SETTINGS}: tells of {done} rows, but of {told} in the parts: the files do "
            "not belong together, run the same pallor extract again"
        )
    schema = open_part(folder, 0, parts[0], settings).physical_schema
    missing = [name for name in _NEEDED if name not in schema.names]
    if missing:
        raise FeatureTableError(f"{folder / TABLE}: the columns {', '.join(missing)} are absent")
    return StoredTable(folder, settings, parts, schema)


def _parts(told: Any) -> tuple[Part, ...]:
    try:
        return tuple(
            Part(int(part["rows"]), str(part["content"]), bool(part["simulated"])) for part in told
        )
    except (KeyError, TypeError, ValueError):
        return ()


def _is_feature(column: str, modalities: set[str]) -> bool:
    return "." in column and modality_of(column) in modalities
