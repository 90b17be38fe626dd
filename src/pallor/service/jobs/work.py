"""What a worker does with a clip, and what may be said about it afterwards."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pallor.errors import PallorError

Progress = Callable[[str, float], None]
Work = Callable[[Path, Mapping[str, Any], Progress], dict[str, Any]]
"""A job: the clip, its options, and where to say how far it is; returns the result."""

SHOWN_NAME = "clip"
"""What a clip is called in answers, in place of its path."""


def without_path(error: PallorError, path: Path) -> PallorError:
    """Return an error of the same kind whose text does not name the file."""
    return type(error)(_hide(error.text, str(path)))


def plain_result(result: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return what JSON can hold: no path in any text, None for what is not a finite number."""
    plain: dict[str, Any] = _plain(result, str(path))
    return plain


def _plain(value: Any, path: str) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item, path) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, path) for item in value]
    if isinstance(value, str):
        return _hide(value, path)
    if isinstance(value, bool | int) or value is None:
        return value
    number = float(value)
    return number if math.isfinite(number) else None


def _hide(text: str, path: str) -> str:
    return text.replace(f"{path}: ", "").replace(path, SHOWN_NAME)
