"""Read files that may be anything: only regular ones, only up to a size."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from pallor.errors import WeightsError


def read_file(path: Path, max_bytes: int) -> bytes:
    """Return the bytes of a file.

    Raises
    ------
    WeightsError
        If there is none, or it is not a regular file, too large, or cannot be read.
    """
    with _opened(path, max_bytes) as stream:
        # One more than it has: a file that grows meanwhile is not read to its end, and what
        # was read of it has a wrong hash.
        return stream.read(os.fstat(stream.fileno()).st_size + 1)


def hash_file(path: Path, max_bytes: int) -> str:
    """Return the SHA-256 of a file, 64 hex digits, without holding it in memory.

    Raises
    ------
    WeightsError
        As `read_file`.
    """
    with _opened(path, max_bytes) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def _opened(path: Path, max_bytes: int) -> Iterator[BufferedReader]:
    try:
        # Asked before it is opened, since opening alone can set a device in motion.
        _require_regular(path, path.stat().st_mode)
        with open(path, "rb", opener=_without_waiting) as stream:
            status = os.fstat(stream.fileno())
            _require_regular(path, status.st_mode)
            if status.st_size > max_bytes:
                raise WeightsError(
                    f"{path}: {status.st_size} bytes, more than the {max_bytes} that it may have"
                )
            yield stream
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: there is no such file") from error
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL character
        reason = getattr(error, "strerror", None) or error
        raise WeightsError(f"{path!s}: cannot be read ({reason})") from error


def _require_regular(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise WeightsError(f"{path}: not a regular file")


def _without_waiting(path: str, flags: int) -> int:
    # Should a pipe have come between: it must not wait for someone to write to it.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
