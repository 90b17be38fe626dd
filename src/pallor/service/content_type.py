"""What kind of file begins with these bytes."""

from __future__ import annotations

SNIFFED_BYTES = 16
"""So many bytes decide."""

_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})


def kind_of(head: bytes) -> str | None:
    """Return the container that a file's first bytes promise.

    Parameters
    ----------
    head
        At least `SNIFFED_BYTES` bytes, or the whole file.

    Returns
    -------
    ``mp4`` (also MOV), ``matroska`` (also WebM), ``avi``, ``png`` or ``jpeg``; None for anything
    else. Whether the rest keeps the promise shows when a limited process decodes it.
    """
    if head[4:8] in _BOXES:
        return "mp4"
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "matroska"
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return "avi"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    return None
