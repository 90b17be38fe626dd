"""An export as a folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pallor.errors import UsageError
from pallor.service.errors import ExportError

if TYPE_CHECKING:
    from pallor.service.export.contents import ExportContents, Tally

Report = Callable[[int, int, str], None]


def make_empty(folder: Path) -> None:
    """Make a new folder that only its owner may enter, or take one that is empty.

    Raises
    ------
    UsageError
        It is not empty, or cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        full = any(folder.iterdir())
    except OSError as error:
        raise UsageError(
            f"{folder}: the folder cannot be made: {error.strerror or error}"
        ) from error
    if full:
        raise UsageError(f"{folder}: the folder is not empty; name a new one")


def write_folder(contents: ExportContents, folder: Path, report: Report) -> Tally:
    """Write an export into a folder; see `make_empty`.

    The clips are copied. Links would be the study's own files: who overwrites one in the export
    would overwrite the study's, and they would tell when it was recorded.

    Parameters
    ----------
    contents
        What goes in.
    folder
        Empty.
    report
        Called with ``(done, total, name)``.

    Returns
    -------
    Tally
        Who is in it.

    Raises
    ------
    ExportError
        It cannot be written to the end.
    """
    written: list[str] = []
    try:
        for number, file in enumerate(contents.files, 1):
            target = folder / file.name
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if _copied(file.path, target):
                written.append(file.name)
            report(number, len(contents.files), file.name)
        end = contents.end(written)
        for name, text in end.texts.items():
            (folder / name).write_bytes(text)
    except OSError as error:
        raise ExportError(
            f"{folder}: the export cannot be written: {error.strerror or error}; what is there is "
            "not complete: delete it, make room or name another folder"
        ) from error
    return end.tally


def _copied(source: Path, target: Path) -> bool:
    """Copy a file; False where it is gone."""
    try:
        shutil.copyfile(source, target)
        target.chmod(0o600)
    except FileNotFoundError:
        return False
    return True
