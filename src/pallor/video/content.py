"""Recognize equal files and equal pictures, so that copies never count twice."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os

    from pallor.video.frame import Frame


class ContentHash:
    """SHA-256 of what a clip shows, whatever file it is stored in.

    Of a video, every eighth sample in both directions of the planes that the decoder puts
    out (Y, U, V as stored, before any conversion and rotation) together with their size and
    format: the same stream in another container, or encoded again without loss, has the same
    hash; encoded again with loss it has another. Time stamps, sound and metadata are left out.
    Of a still, all pixels, upright; what lies under full transparency does not matter.
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def update(self, frame: Frame) -> None:
        """Add the next frame."""
        for part in frame.content():
            self._hash.update(part)

    def hexdigest(self) -> str:
        """Return the hash of the frames so far, 64 hexadecimal digits."""
        return self._hash.hexdigest()


def file_sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's bytes, 64 hexadecimal digits, without loading it whole.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
