"""Fetch one file from an address, and ask whether it changed: fsspec behind our own errors."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeVar

from pallor.cohort.address import PROTOCOLS, protocol_of, shown_address, without_secrets
from pallor.errors import ClipMissingError, ClipTooLargeError, FetchError

_BLOCK_BYTES = 16 * 2**20
_PAUSES_S = (0.5, 2.0, 5.0)
# The first of these that a server gives; a name stands before the value, so that a hash is
# never held against a time.
_MARKS = (
    "ETag", "etag", "Content-MD5", "md5Hash", "LastModified", "Last-Modified", "last_modified",
    "updated", "mtime", "modified",
)  # fmt: skip

T = TypeVar("T")


@dataclass(frozen=True)
class RemoteStatus:
    """What a server says about a file without sending it.

    Attributes
    ----------
    size
        In bytes, None where it does not say.
    mark
        What changes with the content: an entity tag, hash or time, with its name; empty
        where there is none.
    """

    size: int | None
    mark: str


def status(address: str) -> RemoteStatus:
    """Ask about a file, anew each time.

    Raises
    ------
    ClipMissingError
        If there is none.
    FetchError
        If it cannot be asked for.
    """

    def ask() -> RemoteStatus:
        files, path = file_system(address)
        return _status_of(files.info(path))

    return tried(ask, address)


def fetch(address: str, target: BinaryIO, max_bytes: int) -> RemoteStatus:
    """Write a file's content to an open file.

    Parameters
    ----------
    address
        One that `pallor.cohort.address.check_address` accepts.
    target
        Empty, seekable; holds the content afterwards.
    max_bytes
        Limit, held against what the server says and against what it sends.

    Raises
    ------
    ClipMissingError
        If there is no such file.
    ClipTooLargeError
        If it has more bytes; no more than that, and one block, are read.
    FetchError
        If access is denied, the package of the protocol is absent, or the network fails
        several times in a row.
    """

    def once() -> RemoteStatus:
        target.seek(0)
        target.truncate()
        files, path = file_system(address)
        info = files.info(path)
        found = _status_of(info)
        if found.size is not None and found.size > max_bytes:
            raise _too_large(address, max_bytes)
        # One request a block; none of the caches that fsspec has for jumping about.
        options: dict[str, Any] = {"cache_type": "none"}
        if protocol_of(address) in {"http", "https"}:
            options = {"block_size": 0}  # one stream
        with files.open(path, "rb", **options) as source:
            while block := source.read(_BLOCK_BYTES):
                if target.tell() + len(block) > max_bytes:
                    raise _too_large(address, max_bytes)
                _write(target, block, address)
        if found.size is not None and target.tell() != found.size:
            raise ConnectionError(f"{target.tell()} of {found.size} bytes came")
        return RemoteStatus(target.tell(), found.mark)

    return tried(once, address)


def file_system(address: str) -> tuple[Any, str]:
    """Return the file system of an address and the path in it.

    Raises
    ------
    FetchError
        If fsspec or the package of the protocol is absent.
    """
    protocol = protocol_of(address)
    try:
        import fsspec.core

        files, path = fsspec.core.url_to_fs(f"{protocol}://{address.partition('://')[2]}")
    except ImportError as error:
        package = PROTOCOLS[protocol].package
        raise FetchError(
            f"{shown_address(address)}: {protocol}:// needs the packages fsspec and {package}: "
            f"pip install fsspec {package}"
        ) from error
    # Files may change while this process lives.
    files.invalidate_cache()
    return files, path


def tried(action: Callable[[], T], address: str) -> T:
    """Return what an action on an address returns; try again where the network may be to blame.

    Raises
    ------
    ClipMissingError, ClipTooLargeError, FetchError
        As in `fetch`; the text holds no secret.
    """
    for pause in (*_PAUSES_S, None):
        try:
            return action()
        except (ClipMissingError, ClipTooLargeError, FetchError):
            raise
        except Exception as error:  # noqa: BLE001 - every library has errors of its own
            final = _final(error, address)
            if final is not None:
                raise final from None
            if pause is None:
                raise FetchError(
                    f"{shown_address(address)}: could not be reached "
                    f"({len(_PAUSES_S) + 1} attempts; {_told(error, address)})"
                ) from None
        time.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


def _final(error: Exception, address: str) -> FetchError | ClipMissingError | None:
    """Return the error that trying again would not change; None if it might."""
    name = shown_address(address)
    # fsspec calls everything that a web server refuses "not found"; the cause knows better.
    web = next((e for e in (error, error.__cause__) if hasattr(e, "status")), None)
    code = getattr(web, "status", None)
    over_web = protocol_of(address) in {"http", "https"}
    if code in {401, 403} or isinstance(error, PermissionError):
        return FetchError(
            f"{name}: access denied ({_told(error, address)}): check the credentials that this "
            "machine has for it"
        )
    if code in {404, 410} or (
        isinstance(error, FileNotFoundError) and (not over_web or error.__cause__ is None)
    ):
        return ClipMissingError(f"{name}: there is no such file; check the address.")
    if isinstance(error, IsADirectoryError):
        return ClipMissingError(f"{name}: this is a folder; name a video or image file in it.")
    if "Credentials" in type(error).__name__:
        return FetchError(
            f"{name}: there are no credentials for it on this machine ({type(error).__name__})"
        )
    refused = code is not None and 400 <= code < 500 and code not in {408, 425, 429}
    if refused or isinstance(error, ValueError | TypeError | NotImplementedError):
        return FetchError(f"{name}: cannot be fetched ({_told(error, address)})")
    return None


def _told(error: Exception, address: str) -> str:
    cause = error.__cause__ if isinstance(error, FileNotFoundError) and error.__cause__ else error
    text = " ".join(without_secrets(str(cause), address).split())
    return f"{type(cause).__name__}: {text}"[:300] if text else type(cause).__name__


def _status_of(info: dict[str, Any]) -> RemoteStatus:
    if info.get("type") == "directory":
        raise IsADirectoryError
    mark = next((name for name in _MARKS if info.get(name)), None)
    size = info.get("size")
    return RemoteStatus(
        None if size is None else int(size),
        "" if mark is None else f"{mark.lower()} {info[mark]}",
    )


def _write(target: BinaryIO, block: bytes, address: str) -> None:
    try:
        target.write(block)
        target.flush()
    except OSError as error:  # a full disk, which is not the network's fault
        raise FetchError(
            f"{shown_address(address)}: a copy of it cannot be written here ({error}): free the "
            "disk, or set TMPDIR to a folder with room"
        ) from None


def _too_large(address: str, max_bytes: int) -> ClipTooLargeError:
    return ClipTooLargeError(
        f"{shown_address(address)}: the file has more than {max_bytes / 2**20:.0f} MiB, which are "
        "allowed; cut the clip or encode it at a lower bit rate."
    )
