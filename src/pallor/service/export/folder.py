"""An export as a folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from pallor.errors import UsageError
from pallor.service.errors import ExportError

if TYPE_CHECKING:
    from pallor.service.export.contents import ExportContents, Tally

Report = Callable[[int, int, str], None]

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_BLOCK_BYTES: Final = 2**20


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Give a folder to fill, which gets its name once that was done; else nothing is left of it.

    Half an export would be faces without a table that says whose they are.

    Parameters
    ----------
    folder
        A new one, or an empty one.

    Yields
    ------
    Path
        ``folder.part`` beside it, which only its owner may enter.

    Raises
    ------
    UsageError
        It is not empty, or cannot be made; or another export into it is under way, or was killed.
    ExportError
        It cannot be named as it should be.
    """
    part = _make_part(folder)
    try:
        yield part
        try:
            if folder.exists():
                # Windows renames nothing onto what is there.
                folder.rmdir()
            part.rename(folder)
        except OSError as error:
            raise ExportError(
                f"{folder}: the export cannot be put there: {error.strerror or error}; name a new "
                "folder"
            ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_folder(contents: ExportContents, folder: Path, report: Report) -> Tally:
    """Write an export into a folder; see `new_folder`.

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
            _make_private_folders(folder, target.parent)
            if _copied(file.path, target):
                written.append(file.name)
            report(number, len(contents.files), file.name)
        end = contents.end(written)
        for name, text in end.texts.items():
            with _new_file(folder / name) as target_file:
                target_file.write(text)
    except OSError as error:
        raise ExportError(
            f"{folder}: the export cannot be written: {error.strerror or error}; nothing of it is "
            "kept: make room or name another folder"
        ) from error
    return end.tally


def _make_part(folder: Path) -> Path:
    target = folder.absolute()
    part = target.with_name(f"{target.name}.part")
    try:
        if target.exists() and any(target.iterdir()):
            raise UsageError(f"{folder}: the folder is not empty; name a new one")
        if target.is_mount():
            raise UsageError(f"{folder}: a file system begins here; name a new folder in it")
        if part.exists():
            raise UsageError(
                f"{part}: it is there: another export into {folder} is under way, or was killed "
                "and left clips in it: then delete it"
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        part.mkdir(mode=0o700)
    except OSError as error:
        raise UsageError(
            f"{folder}: the folder cannot be made: {error.strerror or error}"
        ) from error
    return part


def _make_private_folders(top: Path, folder: Path) -> None:
    """Make every folder below the top one; ``mkdir`` closes the last one alone."""
    if folder != top:
        _make_private_folders(top, folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _new_file(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, _NEW, 0o600), "wb")


def _copied(source: Path, target: Path) -> bool:
    """Copy a file; False where it is gone."""
    try:
        original = source.open("rb")
    except FileNotFoundError:
        return False
    with original, _new_file(target) as copy:
        shutil.copyfileobj(original, copy, _BLOCK_BYTES)
    return True
