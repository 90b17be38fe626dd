"""Frames into a video file whose bytes depend on the frames and the settings alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from pallor.cohort.atomic import write_with

if TYPE_CHECKING:
    from av import VideoStream

STAMP = "SIMULATED"
"""What the comment of every rendered clip starts with."""

CHROMA_QUALITY = -12
"""Offset of the quantizer of the color planes in H.264; negative is finer."""

CLOCK = Fraction(1, 90_000)
"""Time base of the files, seconds."""


@dataclass(frozen=True)
class Codec:
    """How a clip is encoded.

    Attributes
    ----------
    encoder, pixel_format
        Names in FFmpeg.
    quality
        Default quality; a lower number is better.
    quality_range
        The best and the worst quality.
    luma_weights
        Weights of red and blue in the luma: BT.709 (.2126, .0722) or BT.601 (.299, .114).
    colorspace
        Number of that matrix in ITU-T H.273.
    full_range
        Whether Y reaches from 0 to 255, or from 16 to 235.
    quality_option
        Options of the encoder that take the quality.
    options
        Its other options.
    """

    encoder: str
    pixel_format: str
    quality: int
    quality_range: tuple[int, int]
    luma_weights: tuple[float, float]
    colorspace: int
    full_range: bool
    quality_option: tuple[str, ...]
    options: Mapping[str, str] = field(default_factory=dict)


CODECS: Mapping[str, Codec] = MappingProxyType(
    {
        # Encoders spend little on color and drop its small changes, which would make the pulse
        # the same in R, G and B: hence the offset.
        "h264": Codec(
            "libx264", "yuv420p", 18, (0, 51), (0.2126, 0.0722), 1, False, ("crf",),
            {
                "preset": "ultrafast", "tune": "grain", "bf": "0", "sc_threshold": "0",
                "x264-params": f"chroma-qp-offset={CHROMA_QUALITY}",
            },
        ),
        "mjpeg": Codec(
            "mjpeg", "yuvj420p", 3, (1, 31), (0.299, 0.114), 5, True, ("qmin", "qmax"),
            {"huffman": "default"},
        ),
    }
)  # fmt: skip
"""Codecs by name; see docs/simulation.md for what of a pulse survives each."""


def yuv_matrix(codec: Codec) -> NDArray[np.float32]:
    """R, G, B, 1 in 0..255 to Y, U, V as the codec stores them (ITU-T H.273), ``(3, 4)``."""
    red, blue = codec.luma_weights
    luma = np.array([red, 1.0 - red - blue, blue])
    u = (np.array([0.0, 0.0, 1.0]) - luma) / (2.0 * (1.0 - blue))
    v = (np.array([1.0, 0.0, 0.0]) - luma) / (2.0 * (1.0 - red))
    span, floor = ((255.0, 255.0), 0.0) if codec.full_range else ((219.0, 224.0), 16.0)
    rows = np.stack([span[0] * luma, span[1] * u, span[1] * v]) / 255.0
    return np.column_stack([rows, [floor, 128.0, 128.0]]).astype(np.float32)


def to_yuv420(rgb: NDArray[np.uint8], matrix: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Convert a picture to planar 4:2:0.

    Rounded, not truncated as fast converters do: a bias of one level is more than a pulse.

    Parameters
    ----------
    rgb
        ``(h, w, 3)``, sides even.
    matrix
        ``(3, 4)`` of `yuv_matrix`.

    Returns
    -------
    numpy.ndarray
        ``(3 h / 2, w)`` uint8: the Y plane, then U, then V.
    """
    import cv2

    height, width = rgb.shape[:2]
    result = np.empty((height * 3 // 2, width), np.uint8)
    result[:height] = cv2.transform(rgb, matrix[:1]).reshape(height, width)
    half = cv2.resize(
        rgb.astype(np.float32), (width // 2, height // 2), interpolation=cv2.INTER_AREA
    )
    chroma = np.clip(np.rint(cv2.transform(half, matrix[1:])), 0, 255).astype(np.uint8)
    result[height:] = chroma.transpose(2, 0, 1).reshape(-1, width)
    return result


def write_clip(
    path: Path,
    frames: Iterable[NDArray[np.uint8]],
    *,
    time_s: Sequence[float] | NDArray[np.float64],
    fps: float,
    size: int,
    comment: str,
    codec: str = "h264",
    quality: int | None = None,
) -> Path:
    """Encode frames in MP4; the file appears in one step, complete.

    One encoder thread and no date in the container: equal frames give equal bytes (with
    equal versions of the encoder).

    Parameters
    ----------
    path
        Where to write; folders are made as needed.
    frames
        ``(size, size, 3)`` uint8 gamma-encoded RGB each.
    time_s
        When each frame was taken, increasing.
    fps
        Nominal frames per second.
    size
        Width and height, even.
    comment
        Container comment; `STAMP` is put in front of it.
    codec
        One of `CODECS`.
    quality
        Constant rate factor of H.264, quantizer of MJPEG; the codec's own by default.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    how = CODECS[codec]
    level = how.quality if quality is None else quality
    path.parent.mkdir(parents=True, exist_ok=True)

    def encode(temporary: Path) -> None:
        _encode(temporary, frames, time_s, fps, size, comment, how, level)

    write_with(path, encode)
    return path


def _encode(
    path: Path,
    frames: Iterable[NDArray[np.uint8]],
    time_s: Sequence[float] | NDArray[np.float64],
    fps: float,
    size: int,
    comment: str,
    how: Codec,
    quality: int,
) -> None:
    import av

    options = {**how.options, "flags": "+bitexact", "threads": "1"}
    options |= dict.fromkeys(how.quality_option, str(quality))
    matrix = yuv_matrix(how)
    with av.open(str(path), "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        container.metadata["comment"] = f"{STAMP} {comment}"
        rate = Fraction(fps).limit_denominator(1001)
        stream = cast("VideoStream", container.add_stream(how.encoder, rate=rate, options=options))
        stream.width = stream.height = size
        stream.pix_fmt = how.pixel_format
        codec = stream.codec_context
        codec.thread_count = 1
        codec.time_base = CLOCK
        codec.colorspace = how.colorspace
        codec.color_primaries = codec.color_trc = 1  # BT.709, whose primaries sRGB has
        codec.color_range = 2 if how.full_range else 1
        for rgb, when in zip(frames, time_s, strict=True):
            frame = av.VideoFrame.from_ndarray(to_yuv420(rgb, matrix), format=how.pixel_format)
            frame.pts = round(float(when) / CLOCK)
            frame.time_base = CLOCK
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
