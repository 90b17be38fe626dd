"""Frames into an H.264 file whose bytes depend on the frames and the settings alone."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pallor.cohort.atomic import write_with

STAMP = "SIMULATED"
"""What the comment of every rendered clip starts with."""

QUALITY = 15
"""Constant rate factor of x264; a pulse of half a percent of green survives it easily."""

_BT709 = 1
_LIMITED_RANGE = 1


def write_clip(
    path: Path, frames: Iterable[NDArray[np.uint8]], *, fps: float, size: int, comment: str
) -> Path:
    """Encode frames as H.264 in MP4; the file appears in one step, complete.

    One encoder thread and no date in the container: equal frames give equal bytes (with
    equal versions of the encoder).

    Parameters
    ----------
    path
        Where to write; folders are made as needed.
    frames
        ``(size, size, 3)`` uint8 gamma-encoded RGB each.
    fps
        Frames per second.
    size
        Width and height, even.
    comment
        Container comment; `STAMP` is put in front of it.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_with(path, lambda temporary: _encode(temporary, frames, fps, size, comment))
    return path


def _encode(
    path: Path, frames: Iterable[NDArray[np.uint8]], fps: float, size: int, comment: str
) -> None:
    import av

    rate = Fraction(fps).limit_denominator(1001)
    options = {"crf": str(QUALITY), "preset": "veryfast", "tune": "grain", "bf": "0"}
    options |= {"threads": "1", "flags": "+bitexact", "sc_threshold": "0"}
    with av.open(
        str(path), "w", format="mp4", options={"fflags": "+bitexact"}
    ) as container:
        container.metadata["comment"] = f"{STAMP} {comment}"
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        codec = stream.codec_context
        codec.thread_count = 1
        codec.colorspace = codec.color_primaries = codec.color_trc = _BT709
        codec.color_range = _LIMITED_RANGE
        for index, rgb in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame = picture.reformat(
                format="yuv420p", dst_colorspace=_BT709, dst_color_range=_LIMITED_RANGE
            )
            frame.pts = index
            frame.time_base = 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def comment_of(path: Path) -> str:
    """Comment of a clip's container; empty where there is none or the file is not a clip."""
    import av

    try:
        with av.open(str(path)) as container:
            return container.metadata.get("comment", "")
    except av.FFmpegError:
        return ""
