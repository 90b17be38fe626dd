from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

# Container and encoder pairs that a clip may come in, each with what makes it small and quiet.
PAIRS: list[tuple[str, str]] = [
    ("mp4", "libx264"),
    ("mov", "libx264"),
    ("mkv", "libx264"),
    ("avi", "libx264"),
    ("mp4", "libx265"),
    ("mkv", "libx265"),
    ("mov", "libx265"),
    ("mp4", "libvpx-vp9"),
    ("mkv", "libvpx-vp9"),
    ("webm", "libvpx-vp9"),
    ("mkv", "libvpx"),
    ("webm", "libvpx"),
    ("avi", "mjpeg"),
    ("mov", "mjpeg"),
    ("mkv", "mjpeg"),
    ("mp4", "mpeg4"),
    ("avi", "mpeg4"),
    ("mkv", "mpeg4"),
    ("mov", "mpeg4"),
]

# One thread: with several the encoder itself has crashed, once in some thousand clips.
_X265 = "log-level=none:pools=none:frame-threads=1"
_ENCODER_OPTIONS: dict[str, dict[str, str]] = {
    "libx264": {"preset": "ultrafast"},
    "libx265": {"preset": "ultrafast", "x265-params": _X265},
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "b": "2000000"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "b": "0"},
    "mjpeg": {"qmin": "1", "qmax": "2"},
    "mpeg4": {"qmin": "1", "qmax": "2"},
}
_PIX_FMT = {"mjpeg": "yuvj420p"}
_MATRIX = {"bt709": 1, "bt601": 6, "bt2020": 9}  # AVCOL_SPC_*
_SWS_MATRIX = {"bt709": 1, "bt601": 5, "bt2020": 9}  # SWS_CS_*
_RANGE = {"limited": 1, "full": 2}
_SOUND_CODEC = {".webm": "libopus", ".avi": "pcm_s16le", ".wav": "pcm_s16le"}


def has_encoder(codec: str) -> bool:
    try:
        av.Codec(codec, "w")
    except Exception:  # noqa: BLE001
        return False
    return True


def write_clip(
    path: str | Path,
    frames: Iterable[np.ndarray | av.VideoFrame],
    fps: float = 30,
    codec: str = "libx264",
    times_s: Sequence[float] | None = None,
    crf: int | None = None,
    qp: int | None = None,
    pix_fmt: str | None = None,
    rotation: int = 0,
    metadata: Mapping[str, str] | None = None,
    audio: bool = False,
    *,
    mirrored: bool = False,
    colorspace: str | None = None,
    color_range: str | None = None,
    faststart: bool = False,
    options: Mapping[str, str] | None = None,
) -> Path:
    """Encode a clip.

    frames: ``(h, w, 3)`` uint8 RGB arrays, or ready ``av.VideoFrame`` (then their planes go in
    untouched). times_s: presentation times instead of a constant rate. qp=0 is lossless with
    libx264. rotation: clockwise turn in degrees that a player has to apply (MP4 and MOV only).
    colorspace (bt601, bt709, bt2020) and color_range (limited, full): used for the conversion
    and written into the stream; by default bt601 limited, unmarked.
    """
    path = Path(path)
    rate = Fraction(fps).limit_denominator(1001)
    tick = 1 / rate if times_s is None else Fraction(1, 60000)
    encoder = {**_ENCODER_OPTIONS.get(codec, {}), **(options or {})}
    encoder |= {"crf": str(crf)} if crf is not None else {}
    encoder |= {"qp": str(qp)} if qp is not None else {}
    flags = "+faststart" * faststart + "+use_metadata_tags" * bool(metadata)
    muxer = {"movflags": flags} if flags and path.suffix in (".mp4", ".mov") else {}
    with av.open(str(path), "w", options=muxer) as container:
        container.metadata.update(dict(metadata or {}))
        stream: Any = None
        sound = _add_sound(container, path) if audio else None
        seconds = 0.0
        for i, frame in enumerate(frames):
            if stream is None:
                stream = container.add_stream(codec, rate=rate, options=encoder)
                stream.pix_fmt = pix_fmt or _PIX_FMT.get(codec, "yuv420p")
                first = frame if isinstance(frame, av.VideoFrame) else None
                stream.width = first.width if first else frame.shape[1]
                stream.height = first.height if first else frame.shape[0]
                if first:
                    stream.pix_fmt = first.format.name
                stream.codec_context.time_base = tick
                if colorspace:
                    stream.codec_context.colorspace = _MATRIX[colorspace]
                if color_range:
                    stream.codec_context.color_range = _RANGE[color_range]
            picture = _picture(frame, stream.pix_fmt, colorspace, color_range)
            picture.pts = i if times_s is None else round(times_s[i] / tick)
            picture.time_base = tick
            seconds = max(seconds, float((picture.pts + 1) * tick))
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
        if sound is not None:
            _write_sound(container, sound, seconds)
    if rotation or mirrored:
        _set_display_matrix(path, rotation, mirrored)
    return path


def write_sound(path: str | Path, seconds: float = 1.0) -> Path:
    path = Path(path)
    with av.open(str(path), "w") as container:
        _write_sound(container, _add_sound(container, path), seconds)
    return path


def moving_square(n: int, width: int = 64, height: int = 48, seed: int = 0) -> list[np.ndarray]:
    """Frames that differ from each other: a square that moves over a changing ground."""
    rng = np.random.default_rng(seed)
    ground = rng.integers(60, 180, 3)
    frames = []
    for i in range(n):
        frame = np.full((height, width, 3), (ground + 2 * i) % 256, np.uint8)
        x = (4 * i) % (width - 16)
        frame[8:24, x : x + 16] = (220, 60, 40)
        frames.append(frame)
    return frames


def yuv_frame(planes: Sequence[np.ndarray], pix_fmt: str) -> av.VideoFrame:
    """A frame with exactly these planes, ``(h, w)`` or interleaved as the format has it."""
    frame = av.VideoFrame(planes[0].shape[1], planes[0].shape[0], pix_fmt)
    for plane, values in zip(frame.planes, planes, strict=True):
        data = np.ascontiguousarray(values).view(np.uint8).reshape(values.shape[0], -1)
        padded = np.full((plane.buffer_size // plane.line_size, plane.line_size), 173, np.uint8)
        padded[: data.shape[0], : data.shape[1]] = data
        plane.update(padded.tobytes())
    return frame


def _picture(
    frame: np.ndarray | av.VideoFrame,
    pix_fmt: str,
    colorspace: str | None,
    color_range: str | None,
) -> av.VideoFrame:
    if isinstance(frame, av.VideoFrame):
        picture = frame
    else:
        full = color_range == "full" or pix_fmt.startswith("yuvj")
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24").reformat(
            format=pix_fmt,
            dst_colorspace=_SWS_MATRIX[colorspace or "bt601"],
            dst_color_range=2 if full else 1,
        )
    if colorspace:
        picture.colorspace = _MATRIX[colorspace]
    if color_range:
        picture.color_range = _RANGE[color_range]
    return picture


def _add_sound(container: Any, path: Path) -> Any:
    return container.add_stream(_SOUND_CODEC.get(path.suffix, "aac"), rate=48000)


def _write_sound(container: Any, stream: Any, seconds: float) -> None:
    size = 960
    for i in range(math.ceil(seconds * 48000 / size)):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 2 * size), np.int16), "s16", "stereo")
        frame.sample_rate = 48000
        frame.pts = i * size
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _set_display_matrix(path: Path, rotation: int, mirrored: bool) -> None:
    """Write the matrix into the track header (ISO 14496-12, 8.3.2), independent of libav.

    A stored point (x, y) is shown at (a x + c y, b x + d y), y downwards.
    """
    a, b, c, d = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}[
        rotation
    ]
    if mirrored:  # left to right before the turn
        a, b = -a, -b
    matrix = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    data = bytearray(path.read_bytes())
    at, written = data.find(b"tkhd"), 0
    while at >= 0:
        body = at + 4
        start = body + (40 if data[body] == 0 else 52)
        if struct.unpack(">I", data[start + 36 : start + 40])[0]:  # a width: the video track
            data[start : start + 36] = matrix
            written += 1
        at = data.find(b"tkhd", body)
    assert written == 1, "only MP4 and MOV have a track header"
    path.write_bytes(data)
