"""The folder that pallor keeps between runs; files appear in it in one step or not at all."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pallor.errors import WeightsError

CACHE_ENV = "PALLOR_CACHE"


def cache_dir() -> Path:
    """Return the folder for files that pallor keeps between runs; it need not exist yet.

    ``PALLOR_CACHE`` if set, else the convention of the platform: ``$XDG_CACHE_HOME/pallor``
    or ``~/.cache/pallor``, ``~/Library/Caches/pallor`` on macOS, ``pallor/Cache`` in
    ``%LOCALAPPDATA%`` on Windows.

    Raises
    ------
    WeightsError
        If the user has no home folder and ``PALLOR_CACHE`` does not name one.
    """
    explicit = os.environ.get(CACHE_ENV)
    if explicit:
        return user_path(explicit)
    if sys.platform == "darwin":
        return user_path("~/Library/Caches/pallor")
    if sys.platform == "win32":
        return user_path(os.environ.get("LOCALAPPDATA") or "~/AppData/Local") / "pallor" / "Cache"
    return user_path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "pallor"


def user_path(path: str | os.PathLike[str]) -> Path:
    """Return the path with ``~`` replaced.

    Raises
    ------
    WeightsError
        If it begins with a home folder that is not known.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise WeightsError(
            f"{path}: the home folder is not known; write the whole path, or name another folder "
            f"in {CACHE_ENV}"
        ) from error


@contextmanager
def replacing(target: Path) -> Iterator[BinaryIO]:
    """Open a new file beside ``target`` that takes its place when the block ends well.

    Yields
    ------
    stream
        To write to. If the block raises, what was written is removed and ``target`` stays.

    Raises
    ------
    OSError
        If the folder cannot be made or written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    # Not tempfile: its files are private to the user, a shared cache shall follow the umask.
    partial = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
    try:
        with partial.open("xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
