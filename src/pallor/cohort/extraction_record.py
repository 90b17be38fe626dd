"""``extraction.json``: what a feature table was asked for and made with, and what fits it."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from pallor._version import __version__
from pallor.cohort.atomic import write_text
from pallor.cohort.feature_folder import SETTINGS, read_settings
from pallor.cohort.table_mixing import shown
from pallor.errors import FeatureTableError

_LIBRARIES = (
    "numpy",
    "scipy",
    "pandas",
    "av",
    "opencv-python-headless",
    "pillow",
    "ai-edge-litert",
    "scikit-image",
    "onnxruntime",
    "openvino",
)


def library_versions() -> dict[str, str]:
    """Return the versions of pallor, Python and the libraries that features depend on."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    found = {"pallor": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def earlier_record(folder: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of an earlier run; refuse those that do not go with this one."""
    if not (folder / SETTINGS).exists():
        return {}
    settings = read_settings(folder)
    other = [
        f"{name} {shown(settings.get(name))} instead of {shown(value)}"
        for name, value in asked.items()
        if settings.get(name) != value
    ]
    if other:
        raise FeatureTableError(
            f"{folder}: was extracted with {'; '.join(other)}: name another folder, or start anew "
            "with --overwrite"
        )
    return settings


def versions_before(earlier: dict[str, Any], versions: dict[str, str]) -> list[dict[str, str]]:
    """Return the versions under which stored clips may have been measured, but the present."""
    before = list(earlier.get("versions_before") or [])
    last = earlier.get("versions")
    if last and last != versions and last not in before:
        before.append(last)
    return before


def write_record(folder: Path, settings: dict[str, Any]) -> None:
    """Write the record of a run, in one step."""
    write_text(folder / SETTINGS, json.dumps(settings, indent=2) + "\n")
