"""Files that are there completely or not at all, whatever interrupts the writing."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path


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
    # Not tempfile: its files are private to the user, results shall follow the umask.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.part")
    try:
        fill(temporary)
        _flush(temporary)
        temporary.replace(path)
    except BaseException:  # an interrupt, too, must leave no half file; it goes on upward
        temporary.unlink(missing_ok=True)
        raise
    _flush_folder(path.parent)


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
