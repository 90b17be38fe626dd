"""Files and folders that are there completely or not at all, whatever interrupts the writing."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

PART = ".part"
"""End of the name of what is being written, which begins with a point."""


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` in one step: a reader sees the old file or the new one.

    Parameters
    ----------
    path
        Where to write; its folder must exist.
    data
        The whole content.

    Raises
    ------
    OSError
        If the folder is not writable or the disk is full; an existing file is then untouched.
    """

    def fill(temporary: Path) -> None:
        temporary.write_bytes(data)

    write_with(path, fill)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 in one step, line ends as given; see `write_bytes`."""
    write_bytes(path, text.encode("utf-8"))


def write_with(path: Path, fill: Callable[[Path], None]) -> None:
    """Let ``fill`` write a temporary file beside ``path``, then put it in place.

    Parameters
    ----------
    path
        Where the finished file goes.
    fill
        Called with the path of a temporary file in the same folder, not there yet; writes it.

    Raises
    ------
    OSError
        As in `write_bytes`.
    """
    temporary = _beside(path)
    try:
        fill(temporary)
        _flush(temporary)
        temporary.replace(path)
    except BaseException:  # an interrupt, too, must leave no half file; it goes on upward
        temporary.unlink(missing_ok=True)
        raise
    _flush_folder(path.parent)


def replace_folder(path: Path, fill: Callable[[Path], None]) -> None:
    """Let ``fill`` write a temporary folder beside ``path``, then put it in place.

    One process at a time may do this to a path. No system call puts a folder in the place of a
    filled one: killed between two steps, there is the old folder, the new one, or none, and
    never a mixture. What is left over beside it is removed by the next call.

    Parameters
    ----------
    path
        Where the finished folder goes; a file or a folder of this name is replaced.
    fill
        Called with the path of an empty folder; writes files into it.

    Raises
    ------
    OSError
        As in `write_bytes`.
    """
    _sweep(path)
    temporary = _beside(path)
    temporary.mkdir()
    try:
        fill(temporary)
        for file in temporary.iterdir():
            _flush(file)
        _flush_folder(temporary)
        _put_away(path)
        temporary.rename(path)
    finally:  # an interrupt, too, must leave no half folder
        _sweep(path)
    _flush_folder(path.parent)


def remove_folder(path: Path) -> None:
    """Remove a folder, or a file of its name, so that no reader sees a part of it."""
    _put_away(path)
    _sweep(path)


def remove_left_over(folder: Path) -> None:
    """Remove the files that a process which was killed while it wrote left in a folder.

    Only where nobody else writes into it now.
    """
    # One look at the names: a folder may hold thousands of files that are complete.
    for entry in os.scandir(folder):
        if entry.name.startswith(".") and entry.name.endswith(PART) and entry.is_file():
            Path(entry.path).unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    # Not tempfile: its files are private to the user, results shall follow the umask.
    return path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}{PART}")


def _put_away(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        path.rename(_beside(path))


def _sweep(path: Path) -> None:
    for left_over in path.parent.glob(f".{path.name}.*{PART}"):
        if left_over.is_dir():
            shutil.rmtree(left_over)
        else:
            left_over.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    # A rename is only durable once its folder is; Windows cannot open folders.
    if os.name == "nt":
        return
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
