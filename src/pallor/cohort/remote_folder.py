"""A finished folder at an address: published file by file, fetched back as a whole.

Object stores know no folder that appears in one step. So the file that calls the rest
complete is the last to come, and while files are replaced it says that they are not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TypeVar

from pallor.cohort.address import PROTOCOLS, protocol_of, shown_address
from pallor.cohort.remote_file import file_system, tried
from pallor.errors import ClipError, ClipMissingError, FeatureTableError, UsageError

T = TypeVar("T")

# A store's keys may be anything; none of them shall lead out of a folder here.
_PLAIN = re.compile(r"[^/\\:\0]+(/[^/\\:\0]+)*")


def check_writable(address: str, last: str) -> None:
    """Refuse, before the work, an address that its result could not be written to.

    Parameters
    ----------
    address
        Of a folder, which need not exist.
    last
        Name of the file that calls a folder complete.

    Raises
    ------
    UsageError
        If nothing can be written by this protocol.
    FeatureTableError
        If the folder holds files and not ``last``, or a trial file cannot be written.
    """
    if not PROTOCOLS[protocol_of(address)].writable:
        able = ", ".join(name for name, protocol in PROTOCOLS.items() if protocol.writable)
        raise UsageError(
            f"{shown_address(address)}: nothing can be written there; choose one of {able}, or a "
            "folder"
        )
    folder = _RemoteFolder(address)
    there = folder.names()
    if there and last not in there:
        raise FeatureTableError(
            f"{shown_address(address)}: holds other files ({', '.join(sorted(there)[:3])}) and no "
            "feature table: name a new or empty folder"
        )
    folder.write(".pallor-trial", b"pallor tries whether it may write here\n")
    folder.remove(".pallor-trial")


def publish(folder: Path, address: str, last: str, owned: Collection[str]) -> int:
    """Copy a finished folder to an address.

    Parameters
    ----------
    folder
        What to copy; files and folders whose name begins with a dot stay behind.
    address
        Of a folder; files there are replaced.
    last
        Name of the JSON file that calls the folder complete: it is copied last, and one that
        is there says ``"complete": false`` until then.
    owned
        Names in ``folder``, of files or of folders, that are copied; what the address has
        under them and ``folder`` has not is removed at the end.

    Returns
    -------
    int
        Bytes that were copied.

    Raises
    ------
    FeatureTableError
        If a file cannot be written, or has another size afterwards. What was finished is
        still in ``folder``: publish it again.
    """
    remote = _RemoteFolder(address)
    there = remote.names()
    names = [name for name in _names(folder) if _top(name) in owned and name != last]
    if last in there:
        unfinished = json.loads((folder / last).read_text(encoding="utf-8")) | {"complete": False}
        remote.write(last, json.dumps(unfinished, indent=2).encode("utf-8"))
    sent = sum(remote.put(folder / name, name) for name in (*names, last))
    for name in sorted(there - {*names, last}):
        if _top(name) in owned:
            remote.remove(name)
    return sent


@contextmanager
def fetched_folder(address: str, wanted: Collection[str]) -> Iterator[Path]:
    """Copy files of a folder at an address into a temporary folder.

    Parameters
    ----------
    address
        Of the folder.
    wanted
        Names in it, of files or of folders, to copy; the others stay.

    Raises
    ------
    FeatureTableError
        If there is none of them, the folder cannot be read, or its protocol lists no folders.
    """
    if not PROTOCOLS[protocol_of(address)].writable:
        raise FeatureTableError(
            f"{shown_address(address)}: a web server does not tell what is in a folder: copy it, "
            "and name the copy"
        )
    remote = _RemoteFolder(address)
    names = sorted(name for name in remote.names() if _top(name) in wanted)
    if not names:
        raise FeatureTableError(
            f"{shown_address(address)}: there is no such folder: run pallor extract first"
        )
    with TemporaryDirectory(prefix="pallor-") as scratch:
        folder = Path(scratch) / "features"
        for name in names:
            remote.get(name, folder / name)
        yield folder


class _RemoteFolder:
    """Files under one address, by their path relative to it."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._files, root = self._told(lambda: file_system(address))
        self._root = root.rstrip("/")
        # Object stores have no folders to make, and where asked for one may make a bucket.
        self._makes_folders = PROTOCOLS[protocol_of(address)].folders

    def names(self) -> set[str]:
        """Return the files that are there, but hidden ones and those that no folder can hold."""

        def find() -> list[str]:
            self._files.invalidate_cache()
            return [str(path) for path in self._files.find(self._root)]

        start = f"{self._root}/"
        try:
            found = [p.removeprefix(start) for p in self._told(find) if p.startswith(start)]
        except _AbsentError:
            return set()
        return {name for name in found if _PLAIN.fullmatch(name) and not _hidden(name)}

    def put(self, source: Path, name: str) -> int:
        """Copy a file there, see that it arrived, and return its size."""
        target = f"{self._root}/{name}"

        def put() -> int:
            self._make_folder(target)
            self._files.put_file(str(source), target)
            self._files.invalidate_cache()
            return int(self._files.info(target)["size"])

        size = source.stat().st_size
        arrived = self._told(put)
        if arrived != size:
            raise FeatureTableError(
                f"{shown_address(self._address)}: {name} has {arrived} bytes there and {size} in "
                f"{source.parent}: run the same command again"
            )
        return size

    def write(self, name: str, data: bytes) -> None:
        """Write a small file."""
        target = f"{self._root}/{name}"

        def write() -> None:
            self._make_folder(target)
            self._files.pipe_file(target, data)

        self._told(write)

    def get(self, name: str, target: Path) -> None:
        """Copy a file from there."""
        target.parent.mkdir(parents=True, exist_ok=True)
        self._told(lambda: self._files.get_file(f"{self._root}/{name}", str(target)))

    def remove(self, name: str) -> None:
        """Remove a file that is there."""
        self._told(lambda: self._files.rm_file(f"{self._root}/{name}"))

    def _make_folder(self, path: str) -> None:
        if self._makes_folders:
            self._files.makedirs(str(PurePosixPath(path).parent), exist_ok=True)

    def _told(self, action: Callable[[], T]) -> T:
        """Do something there; what goes wrong is an error of a feature table."""
        try:
            return tried(action, self._address)
        except ClipMissingError:
            raise _AbsentError(
                f"{shown_address(self._address)}: there is no such bucket or folder; check the "
                "address"
            ) from None
        except ClipError as error:
            raise FeatureTableError(error.text) from None


class _AbsentError(FeatureTableError):
    """There is no such bucket or folder."""


def _names(folder: Path) -> list[str]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    names = sorted(path.relative_to(folder).as_posix() for path in paths)
    return [name for name in names if not _hidden(name)]


def _hidden(name: str) -> bool:
    return any(part.startswith(".") for part in PurePosixPath(name).parts)


def _top(name: str) -> str:
    return PurePosixPath(name).parts[0]
