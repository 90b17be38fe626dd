"""A zip that is written while it is sent: no file of its own, and a few megabytes of memory."""

from __future__ import annotations

import logging
import os
from collections.abc import Generator
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING, BinaryIO, cast
from zipfile import ZIP_STORED, ZipFile, ZipInfo

if TYPE_CHECKING:
    from pallor.service.export.contents import ExportContents, ExportFile

BLOCK_BYTES = 2**18
_OWN = 0o100600 << 16
"""A plain file for its owner alone, as the study's files are."""

_log = logging.getLogger("pallor.service")


def zip_stream(contents: ExportContents) -> Generator[bytes, None, None]:
    """Yield a zip piece by piece; nothing is read before it is asked for.

    Videos do not get smaller by deflation, so everything is stored. Entries carry no time: when
    a clip was recorded is not part of an export. Sizes beyond 4 GB are written as zip64.

    Parameters
    ----------
    contents
        What goes in.

    Yields
    ------
    bytes
        About `BLOCK_BYTES` each. Whoever stops early closes the iterator, and with it the file
        that is being read.

    Raises
    ------
    OSError
        If a file cannot be read to its end: what was sent is no complete zip then.
    """
    sink = _Sink()
    written: list[str] = []
    with ZipFile(cast("IO[bytes]", sink), "w", ZIP_STORED) as archive:
        for file in contents.files:
            with ExitStack() as stack:
                source = _opened(file)
                if source is None:
                    continue
                stack.enter_context(source)
                info = _info(file.name)
                # From this it is decided whether the entry needs zip64.
                info.file_size = os.fstat(source.fileno()).st_size
                entry = stack.enter_context(archive.open(info, "w"))
                while block := source.read(BLOCK_BYTES):
                    entry.write(block)
                    yield sink.take()
            written.append(file.name)
        for name, text in contents.end(written).texts.items():
            archive.writestr(_info(name), text)
            yield sink.take()
    yield sink.take()


def _opened(file: ExportFile) -> BinaryIO | None:
    try:
        return file.path.open("rb")
    except FileNotFoundError:
        # Deleted since the export began, with its participant perhaps.
        return None
    except OSError as error:
        _log.warning("a clip is left out of an export: %s", error.strerror)
        return None


def _info(name: str) -> ZipInfo:
    info = ZipInfo(name)
    info.external_attr = _OWN
    return info


class _Sink:
    """What `ZipFile` writes to: it can be neither sought nor told, only emptied."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Do nothing: `take` gives what there is."""

    def take(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)
