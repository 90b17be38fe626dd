"""What is known of a clip before its frames are read, and what is accepted."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class ClipLimits:
    """Bounds on what is opened; each holds against the header and again while reading.

    Attributes
    ----------
    max_bytes
        Size of the file.
    max_duration_s
        Time of the last frame in seconds.
    max_pixels
        Width times height of a video frame.
    max_still_pixels
        Width times height of a still image.
    max_frames
        Frames of a video.
    """

    max_bytes: int = 4 * 2**30
    max_duration_s: float = 1800.0
    max_pixels: int = 3840 * 2160
    max_still_pixels: int = 50_000_000
    max_frames: int = 72_000


@dataclass(frozen=True)
class ClipInfo:
    """What a clip says about itself.

    Attributes
    ----------
    path
        As given.
    container
        ``mp4``, ``mov``, ``avi``, ``matroska`` (also WebM), or ``png``, ``jpeg``.
    codec
        Name of the decoder, such as ``h264``; of a still the same as ``container``.
    width, height
        Of the upright picture in pixels.
    rotation_deg
        Clockwise turn that was applied to set the picture upright: 0, 90, 180, 270.
    duration_s
        As the container states it; None where it does not. 0 for a still.
    frames_hint
        Frames to expect, for a progress bar; None where unknown. 1 for a still.
    is_still
        A still image: one frame, no pulse.
    has_alpha
        Some pixel is not opaque: the alpha channel marks a region.
    simulated
        The metadata hold the word ``SIMULATED``: the clip was rendered, not recorded.
    mirrored
        The container asked for the picture to be mirrored, which was done.
    """

    path: str
    container: str
    codec: str
    width: int
    height: int
    rotation_deg: int
    duration_s: float | None
    frames_hint: int | None
    is_still: bool
    has_alpha: bool
    simulated: bool
    mirrored: bool = False


def shown_name(path: str | os.PathLike[str]) -> str:
    """Return a path as it may appear in a message: printable characters only."""
    text = os.fsdecode(path)
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def says_simulated(text: object) -> bool:
    """Tell whether a metadata value contains ``SIMULATED`` as a word of its own."""
    words = "".join(c if c.isalnum() else " " for c in str(text)).split()
    return "SIMULATED" in words
