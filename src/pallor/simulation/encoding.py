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

QUALITY = 18
"""Constant rate factor of x264; see docs/simulation.md for what of a pulse survives it."""

CHROMA_QUALITY = -12
"""Offset of the quantizer of the color planes; negative is finer."""

_BT709 = 1
_LIMITED_RANGE = 1


_RED, _BLUE = 0.2126, 0.0722  # luma weights of BT.709


def _matrix() -> NDArray[np.float32]:
    """Limited-range BT.709 (ITU-R BT.709-6, section 3): R, G, B, 1 to Y, U, V; ``(3, 4)``."""
    luma = np.array([_RED, 1.0 - _RED - _BLUE, _BLUE])
    blue = (np.array([0.0, 0.0, 1.0]) - luma) / (2.0 * (1.0 - _BLUE))
    red = (np.array([1.0, 0.0, 0.0]) - luma) / (2.0 * (1.0 - _RED))
    rows = np.stack([219.0 * luma, 224.0 * blue, 224.0 * red]) / 255.0
    return np.column_stack([rows, [16.0, 128.0, 128.0]]).astype(np.float32)


def to_yuv420(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Convert a picture to planar 4:2:0, limited range BT.709.

    Rounded, not truncated as fast converters do: a bias of one level is more than a pulse.

    Parameters
    ----------
    rgb
        ``(h, w, 3)``, sides even.

    Returns
    -------
    numpy.ndarray
        ``(3 h / 2, w)`` uint8: the Y plane, then U, then V.
    """
    import cv2

    height, width = rgb.shape[:2]
    matrix = _matrix()
    result = np.empty((height * 3 // 2, width), np.uint8)
    result[:height] = cv2.transform(rgb, matrix[:1]).reshape(height, width)
    half = cv2.resize(
        rgb.astype(np.float32), (width // 2, height // 2), interpolation=cv2.INTER_AREA
    )
    chroma = np.rint(cv2.transform(half, matrix[1:])).astype(np.uint8)
    result[height:] = chroma.transpose(2, 0, 1).reshape(-1, width)
    return result


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
    # Encoders spend little on color and drop its small changes, which would make the pulse
    # the same in R, G and B: hence the offset.
    options = {"crf": str(QUALITY), "preset": "ultrafast", "tune": "grain", "bf": "0"}
    options |= {"threads": "1", "flags": "+bitexact", "sc_threshold": "0"}
    options |= {"x264-params": f"chroma-qp-offset={CHROMA_QUALITY}"}
    with av.open(str(path), "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        container.metadata["comment"] = f"{STAMP} {comment}"
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        codec = stream.codec_context
        codec.thread_count = 1
        codec.colorspace = codec.color_primaries = codec.color_trc = _BT709
        codec.color_range = _LIMITED_RANGE
        for index, rgb in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(to_yuv420(rgb), format="yuv420p")
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
