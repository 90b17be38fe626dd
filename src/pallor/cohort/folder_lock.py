"""One writer a folder: a lock of the operating system, which no killed process leaves behind."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from pallor.errors import FeatureTableError

LOCK = ".lock"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder against other processes that call this.

    Parameters
    ----------
    folder
        An existing folder; a file ``.lock`` stays in it and means nothing by itself.

    Raises
    ------
    FeatureTableError
        If another process holds the folder, or the file cannot be opened.
    """
    path = folder / LOCK
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise FeatureTableError(f"{path}: cannot be opened ({error.strerror})") from error
    try:
        if not _acquire(handle):
            raise FeatureTableError(
                f"{folder}: another pallor extract is writing into this folder: wait for it, or "
                "choose another folder"
            )
        yield
    finally:
        os.close(handle)  # which releases the lock


def _acquire(handle: int) -> bool:
    """Try to take the lock of an open file; False where somebody else has it."""
    try:
        import fcntl
    except ImportError:
        return _acquire_windows(handle)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # Some network file systems have no locks; two runs there are the user's to avoid.
        return True
    return True


def _acquire_windows(handle: int) -> bool:
    import importlib

    msvcrt = importlib.import_module("msvcrt")
    try:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    except OSError:
        return False
    return True
