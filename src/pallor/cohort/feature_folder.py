"""What lies in a folder FEATURES, by name: the parts of the table, its settings, its failures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pallor.errors import FeatureTableError

TABLE: Final = "features.parquet"
"""A folder of parts, ``part-00000.parquet`` and so on, each of consecutive rows."""
SETTINGS: Final = "extraction.json"
FAILURES: Final = "failures.csv"
CLIPS: Final = "clips"

FORMAT: Final = 2
"""Of the folder; raised where what an earlier version wrote cannot be read any more."""

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

IDENTITY: Final = (
    "format",
    "modalities_asked",
    "samples",
    "precision",
    "keep_frames",
    "networks",
    "pallor",
)
"""Settings that decide what a feature means: tables that differ in one are not mixed."""


def part_name(number: int) -> str:
    """Name a part of the table by its place, from 0."""
    return f"part-{number:05d}.parquet"


def settings_digest(settings: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the settings that decide what features mean, hexadecimal."""
    chosen = {name: settings.get(name) for name in IDENTITY}
    return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode("utf-8")).hexdigest()


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
