"""Files of people: random names, for the owner's eyes only, and gone when they are done with."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pallor.errors import UsageError
from pallor.service.errors import FileTokenError, StoreError

if TYPE_CHECKING:
    from pallor.service.settings import ServiceSettings

_TOKEN = re.compile(r"[A-Za-z0-9_-]{32}", re.ASCII)

_ANY_OF_OTHERS = 0o077
_WRITE_OF_OTHERS = 0o022

GRACE_S = 60.0
"""A file written to this recently is no orphan: its job may be about to be created."""


class FileStore:
    """A folder of files that are known by their token alone.

    A token is 24 random bytes; nothing of the user's, such as a file name, is part of it.

    Parameters
    ----------
    folder
        Made, with its parents, where it is not there; never one that a web server serves.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        make_private(folder)

    def create(self) -> tuple[str, Path, BinaryIO]:
        """Open a new file for writing.

        While it is open, no sweep takes it for an orphan, however slowly it arrives.

        Returns
        -------
        token, path, file
            The caller closes the file.
        """
        token = secrets.token_urlsafe(24)
        path = self.folder / token
        flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_BINARY", 0)
        file = os.fdopen(os.open(path, flags, 0o600), "w+b")
        _lock(file)
        return token, path, file

    def path(self, token: str) -> Path:
        """Return where the file of a token is, or was.

        Raises
        ------
        FileTokenError
            If it is no token; the text may go to the user.
        """
        if not _TOKEN.fullmatch(token):
            raise FileTokenError("not the token of a file: use one that the service gave out")
        return self.folder / token

    def delete(self, token: str | None) -> bool:
        """Delete a file; no error where it is gone already.

        Returns
        -------
        bool
            Whether it was there.
        """
        if token is None:
            return False
        path = self.path(token)
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        return True

    def sweep(
        self,
        known: Collection[str] | Callable[[], Collection[str]],
        older_than_s: float = GRACE_S,
    ) -> int:
        """Delete the files that nobody knows of, such as what a killed server left.

        Parameters
        ----------
        known
            Tokens that are needed, or how to ask for them; a function is asked after the folder
            was read, so that what was added in between is not lost.
        older_than_s
            Files written to since are left, and those that are being written.

        Returns
        -------
        int
            How many were deleted.
        """
        newest = time.time() - older_than_s
        old = [entry for entry in sorted(self.folder.iterdir()) if _is_idle(entry, newest)]
        needed = known() if callable(known) else known
        count = 0
        for entry in old:
            if entry.name not in needed:
                entry.unlink(missing_ok=True)
                count += 1
        return count


def make_data_folder(settings: ServiceSettings) -> None:
    """Make the data folder, for its owner alone; one that is there is left as it is.

    Whatever is named may be somebody else's: as root, closing ``/tmp`` would break the machine.

    Raises
    ------
    UsageError
        If others may enter a folder that holds nothing of pallor, or write into one that does.
    StoreError
        If it cannot be made or looked at.
    """
    folder = settings.data
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            if not folder.is_dir():
                raise
        else:
            folder.chmod(0o700)
        mode = folder.stat().st_mode
        known = settings.database_file.exists() or settings.instance_file.exists()
    except OSError as error:
        raise StoreError(
            f"{folder}: the folder cannot be made: {error.strerror or error}; "
            "give one of your own with --data"
        ) from error
    # Windows has no such modes.
    if os.name == "posix" and mode & (_WRITE_OF_OTHERS if known else _ANY_OF_OTHERS):
        raise UsageError(
            f"{folder}: others than its owner may {'write into' if known else 'enter'} this "
            f"folder: name a new one with --data, or close this one with chmod 700 {folder}"
        )


def make_private(folder: Path) -> None:
    """Make a folder that only its owner may enter, or make it so.

    Raises
    ------
    StoreError
        If it cannot be made, or belongs to somebody else.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise StoreError(
            f"{folder}: the folder cannot be made private: {error.strerror or error}; "
            "give one of your own with --data"
        ) from error


def _lock(file: BinaryIO) -> None:
    """Mark a file as being written; the mark ends with the process, however that ends."""
    try:
        import fcntl
    except ImportError:  # Windows: the grace of a sweep has to do there.
        return
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_idle(path: Path, newest_s: float) -> bool:
    """Tell whether a file was last written to before a time, and nobody is writing it."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mtime > newest_s:
                return False
            try:
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except ImportError:
                return True
            except BlockingIOError:
                return False
            return True
    except OSError:
        return False
