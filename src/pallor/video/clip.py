"""Open a video or still: frames with the times at which they were taken.

Only regular files are opened, by their content and never by their name, and libav gets an
open file instead of a path: no name is taken for an address or a protocol, and no file can
make it open another.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from pallor.errors import (
    ClipEmptyError,
    ClipError,
    ClipMissingError,
    ClipTooLargeError,
    NotAVideoError,
)
from pallor.video.clip_info import ClipInfo, ClipLimits, shown_name
from pallor.video.frame import Frame, ReducedImage
from pallor.video.still import read_still, still_format
from pallor.video.stream import VideoReader

__all__ = ["Clip", "ClipInfo", "ClipLimits", "Frame", "ReducedImage", "open_clip"]


class Clip:
    """An open clip: iterate it once for its frames, in the order in which they are shown.

    Made by :func:`open_clip`. At any time only the frames inside the decoder and those that
    the caller holds are in memory.

    Attributes
    ----------
    info
        What the clip says about itself.
    warnings
        Filled while the frames are read: a :class:`~pallor.errors.TruncatedClipError` once
        the last frame was read, if the clip ended early or was damaged.
    """

    def __init__(
        self,
        info: ClipInfo,
        frames: Iterable[Frame],
        warnings: list[ClipError],
        resources: ExitStack,
    ) -> None:
        self.info = info
        self.warnings = warnings
        self._frames = frames
        self._resources = resources
        self._started = False

    def __iter__(self) -> Iterator[Frame]:
        """Read the frames.

        Raises
        ------
        RuntimeError
            If the frames were read before: open the clip again.
        ClipTooLongError, ClipTooLargeError
            If the clip turns out to hold more than the limits allow, whatever its header said.
        """
        if self._started:
            raise RuntimeError("the frames of a clip can be read once; open it again")
        self._started = True
        return iter(self._frames)

    def close(self) -> None:
        """Close the file. Frames that are still held stay valid."""
        self._started = True
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def open_clip(
    path: str | os.PathLike[str], limits: ClipLimits | None = None, threads: int = 0
) -> Clip:
    """Open a video (MP4, MOV, AVI, MKV, WebM) or a still (PNG, JPEG).

    Parameters
    ----------
    path
        A regular file. Its name and extension play no part.
    limits
        Bounds on size and length; the defaults of :class:`ClipLimits` if None.
    threads
        Most threads of the decoder, 0 for one a processor; a stream that is light (small
        frames, low bit rate) gets one.

    Returns
    -------
    Clip
        Use it in a ``with`` statement.

    Raises
    ------
    ClipMissingError
        If there is no such file, or it is a directory.
    ClipEmptyError
        If it has no bytes.
    NotAVideoError
        If it is no regular file, or nothing that is read here.
    NoVideoStreamError
        If it holds sound only.
    NoFramesError
        If not one frame decodes; or a still is damaged or fully transparent.
    ClipTooLargeError, ClipTooLongError
        If it exceeds the limits.
    ClipError
        If it may not be read, or reading fails.
    """
    limits = ClipLimits() if limits is None else limits
    name = shown_name(path)
    with ExitStack() as stack:
        file = stack.enter_context(_open_regular(path, name))
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            raise ClipEmptyError(f"{name}: the file is empty; record or copy it again.")
        if size > limits.max_bytes:
            raise ClipTooLargeError(
                f"{name}: the file has {size / 2**20:.0f} MiB, and {limits.max_bytes / 2**20:.0f} "
                "MiB are allowed; cut the clip or encode it at a lower bit rate."
            )
        head = file.read(16)
        file.seek(0)
        container = still_format(head)
        warnings: list[ClipError] = []
        if container is not None:
            info, frame = read_still(file, os.fsdecode(path), name, container, limits)
            return Clip(info, [frame], warnings, ExitStack())
        reader = stack.enter_context(
            VideoReader(file, size, os.fsdecode(path), name, limits, warnings, threads)
        )
        return Clip(reader.info, reader.frames(), warnings, stack.pop_all())


def _open_regular(path: str | os.PathLike[str], name: str) -> BinaryIO:
    """Open a regular file for reading, without ever waiting for a pipe or a device."""
    try:
        mode = Path(path).stat().st_mode
        if stat.S_ISREG(mode):
            file = open(path, "rb", opener=_open_without_waiting)  # noqa: SIM115
            mode = os.fstat(file.fileno()).st_mode  # of what was opened, should it have changed
            if stat.S_ISREG(mode):
                return file
            file.close()
    except (OSError, ValueError) as error:
        raise _unreadable(error, name) from error
    if stat.S_ISDIR(mode):
        raise ClipMissingError(f"{name}: this is a directory; name a video or image file in it.")
    raise NotAVideoError(
        f"{name}: this is a pipe, socket or device; save the clip as a file first."
    )


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _unreadable(error: OSError | ValueError, name: str) -> ClipError:
    absent = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)
    if isinstance(error, ValueError) or error.errno in absent:
        return ClipMissingError(f"{name}: there is no such file; check the path.")
    return ClipError(
        f"{name}: the file cannot be opened ({error.strerror}); check its permissions."
    )
