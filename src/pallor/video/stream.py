"""Decode the video stream of a container, within limits, and notice when it ends early."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator
from fractions import Fraction
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from pallor.errors import (
    ClipError,
    ClipTooLargeError,
    ClipTooLongError,
    NoFramesError,
    NotAVideoError,
    NoVideoStreamError,
    TruncatedClipError,
)
from pallor.video.clip_info import ClipInfo, ClipLimits, says_simulated
from pallor.video.frame import Frame
from pallor.video.orientation import UPRIGHT, Orientation, from_display_matrix
from pallor.video.timeline import Timeline
from pallor.video.yuv import VideoPicture

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.video.stream import VideoStream

VIDEO_CONTAINERS = ("mov", "mp4", "m4a", "3gp", "3g2", "mj2", "matroska", "webm", "avi")
SOUND_CONTAINERS = ("wav", "mp3", "flac", "ogg", "aac")
"""Opened only to say that they hold no video."""

CODECS = frozenset(
    {
        *("h264", "hevc", "vp8", "vp9", "libvpx", "libvpx-vp9", "av1", "libdav1d", "libaom-av1"),
        *("mjpeg", "mpeg4", "msmpeg4v2", "msmpeg4v3", "h263", "mpeg1video", "mpeg2video"),
        *("ffv1", "huffyuv", "ffvhuff", "utvideo", "prores", "dvvideo", "rawvideo", "png"),
    }
)
"""Decoders that are let loose on a file: what cameras, phones, browsers and laboratories write."""

HEAVY_BIT_RATE = 4_000_000
"""Bits a second from which decoding is slower than all that is done with the frames."""

HEAVY_PIXELS = 1280 * 720
"""Pixels of a frame above which it is, whatever the bit rate."""

_KNOWN_FILE_TYPES = {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"}
_HINT = "pallor reads MP4, MOV, AVI, MKV and WebM video, and PNG and JPEG images"


class _Bytes:
    """The part of a file's interface that libav needs, without a name and with a fixed end."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size

    def read(self, count: int) -> bytes:
        return self._file.read(max(0, min(count, self._size - self._file.tell())))

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence == 2:
            offset, whence = self._size + offset, 0
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def _refuse_to_open(url: str, *_: object) -> None:
    raise PermissionError(f"a clip may not refer to another file: {url}")


class VideoReader:
    """Reads the first video stream of a file; a context manager.

    The first frame is decoded on construction, so ``info`` holds what the decoder says.

    Parameters
    ----------
    file
        Open at its beginning; stays the caller's to close.
    size
        Bytes of the file.
    path, name
        As given, and as it may appear in a message.
    limits
        Bounds on size and length.
    warnings
        Receives a :class:`~pallor.errors.TruncatedClipError` after the last frame, if need be.
    threads
        Most threads of the decoder, 0 for one a processor.

    Raises
    ------
    NotAVideoError, NoVideoStreamError, NoFramesError, ClipTooLargeError, ClipTooLongError
        See :func:`pallor.video.clip.open_clip`.
    """

    def __init__(
        self,
        file: BinaryIO,
        size: int,
        path: str,
        name: str,
        limits: ClipLimits,
        warnings: list[ClipError],
        threads: int = 0,
    ) -> None:
        self._name, self._limits, self._warnings = name, limits, warnings
        self._damaged = 0
        self._decoded_frames = 0
        self._container = _open_container(_Bytes(file, size), name)
        try:
            self._stream = _video_stream(self._container, name)
            self._rate = _rate(self._stream)
            self._stated_s = _stated_duration(self._container, self._stream, self._rate)
            self._timeline = Timeline(self._rate)
            self._check_header()
            _set_threads(self._stream, self._stated_s, size, threads)
            _set_most_pixels(self._stream, limits)
            self._pictures = self._decode()
            self._first = next(self._pictures, None)
            if self._first is None:
                raise NoFramesError(
                    f"{name}: there is a video stream, but not one frame of it decodes; the file "
                    "is damaged or cut off; copy or record it again."
                )
            self._orientation = _orientation(self._first)
            self._size = (self._first.width, self._first.height)
            self.info = self._describe(path)
        except BaseException:  # whatever it is goes on upward, with the file closed
            self._container.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pictures.close()
        self._container.close()

    def frames(self) -> Iterator[Frame]:
        """Yield the frames in the order in which they are shown.

        A frame whose size differs from the first one's (browsers change it while recording)
        is scaled to it.
        """
        index, last_lasts_s = 0, 0.0
        picture, self._first = self._first, None
        while picture is not None:
            time_base = picture.time_base
            time_s = self._timeline.place(picture.pts, time_base)
            last_lasts_s = float((picture.duration or 0) * (time_base or 0))
            if time_s is not None:
                self._check_length(index, time_s)
                keyframe = _is_intra(picture)
                if (picture.width, picture.height) != self._size:
                    picture = picture.reformat(width=self._size[0], height=self._size[1])
                shown = VideoPicture(picture, self._orientation)
                yield Frame(index, time_s, shown, keyframe)
                index += 1
            picture = next(self._pictures, None)
        self._warn_if_incomplete(last_lasts_s)

    def _decode(self) -> Generator[av.VideoFrame, None, None]:
        """Yield what decodes, count what does not."""
        import av

        packets = self._container.demux(self._stream)
        read_bytes = 0
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError:  # the container is damaged from here on
                self._damaged += 1
                packet = None
            except OSError as error:
                raise ClipError(f"{self._name}: reading failed ({error.strerror}).") from error
            if packet is None:
                return
            read_bytes += packet.size
            # An index may name the same bytes again and again.
            if read_bytes > self._limits.max_bytes:
                raise ClipTooLargeError(
                    f"{self._name}: the video stream holds more bytes than the "
                    f"{self._limits.max_bytes} allowed; cut the clip."
                )
            self._damaged += packet.is_corrupt
            try:
                pictures = packet.decode()
            except av.FFmpegError:
                self._damaged += 1
                continue
            for picture in pictures:
                self._check_pixels(picture.width, picture.height)
                self._decoded_frames += 1
                yield picture

    def _check_header(self) -> None:
        context = self._stream.codec_context
        self._check_pixels(context.width, context.height)
        if self._stated_s is not None and self._stated_s > self._limits.max_duration_s:
            raise self._too_long(f"lasts {self._stated_s:.0f} s")
        if self._stream.frames > self._limits.max_frames:
            raise self._too_long(f"has {self._stream.frames} frames")

    def _check_pixels(self, width: int, height: int) -> None:
        if width * height > self._limits.max_pixels:
            raise ClipTooLargeError(
                f"{self._name}: its frames have {width} x {height} pixels, and "
                f"{self._limits.max_pixels} pixels are allowed; scale the video down."
            )

    def _check_length(self, index: int, time_s: float) -> None:
        if time_s > self._limits.max_duration_s:
            raise self._too_long(f"lasts longer than {self._limits.max_duration_s:g} s")
        if index >= self._limits.max_frames:
            raise self._too_long(f"has more than {self._limits.max_frames} frames")

    def _too_long(self, what: str) -> ClipTooLongError:
        limits = self._limits
        return ClipTooLongError(
            f"{self._name}: the clip {what}, and {limits.max_duration_s:g} s and "
            f"{limits.max_frames} frames are allowed; cut it."
        )

    def _describe(self, path: str) -> ClipInfo:
        width, height = self._orientation.size(*self._size)
        frames: int | None = self._stream.frames
        if not frames:
            known = self._stated_s is not None and self._rate is not None
            frames = round(self._stated_s * self._rate) if known else None  # type: ignore[operator]
        tags = [*self._container.metadata.values(), *self._stream.metadata.values()]
        return ClipInfo(
            path=path,
            container=_container_name(self._container),
            codec=self._stream.codec_context.name,
            width=width,
            height=height,
            rotation_deg=self._orientation.rotation_deg,
            duration_s=self._stated_s,
            frames_hint=frames,
            is_still=False,
            has_alpha=False,
            simulated=any(says_simulated(tag) for tag in tags),
            mirrored=self._orientation.mirrored,
        )

    def _warn_if_incomplete(self, last_lasts_s: float) -> None:
        """Compare what came with what was announced.

        By time and not by number: an edit list or a dropped frame makes the number differ in a
        clip that is whole.
        """
        timeline = self._timeline
        end_s = max(timeline.end_s, timeline.last_s + last_lasts_s)
        ended_early = (self._stated_s or 0.0) - end_s > max(1.5 * timeline.interval_s, 0.05)
        if not (ended_early or self._damaged or timeline.left_out):
            return
        count, expected = self._decoded_frames, self._stream.frames
        got = f"{count} of {expected} frames" if expected >= count else f"{count} frames"
        if self._stated_s is not None:
            got += f", {end_s:.2f} of {self._stated_s:.2f} s"
        facts = [
            "the clip ends early" * ended_early,
            f"{self._damaged} packet(s) are damaged" * bool(self._damaged),
            f"{timeline.left_out} frame(s) without a time of their own were left out"
            * bool(timeline.left_out),
        ]
        reasons = " and ".join(fact for fact in facts if fact)
        self._warnings.append(
            TruncatedClipError(
                f"{self._name}: {reasons}; {got} could be used; copy or record it again."
            )
        )


def _open_container(data: _Bytes, name: str) -> InputContainer:
    import av

    head = data.read(12)
    data.seek(0)
    try:
        return av.open(
            data,
            "r",
            container_options={
                "format_whitelist": ",".join(VIDEO_CONTAINERS + SOUND_CONTAINERS),
                # Opening decodes already where the header leaves something open.
                "codec_whitelist": ",".join(sorted(CODECS)),
            },
            metadata_errors="replace",
            io_open=_refuse_to_open,
        )
    except (av.FFmpegError, PermissionError) as error:
        if head[4:8] in _KNOWN_FILE_TYPES:
            raise NotAVideoError(
                f"{name}: begins like an MP4 or MOV file, but its index (moov) is missing or "
                "damaged; most likely the file is truncated (an incomplete upload or recording); "
                "copy or record it again."
            ) from error
        raise NotAVideoError(f"{name}: this is no video or image file; {_HINT}.") from error


def _video_stream(container: InputContainer, name: str) -> VideoStream:
    """Return the first video stream that is no cover picture, ready to decode."""
    from av.stream import Disposition

    streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & Disposition.attached_pic
    ]
    if not streams:
        raise NoVideoStreamError(
            f"{name}: there is no video in this file, only sound or data; name a video file."
        )
    stream = streams[0]
    context = stream.codec_context
    if context is None or context.name not in CODECS:
        codec = "unknown" if context is None else context.name
        raise NotAVideoError(
            f"{name}: the video codec ({codec}) is not read here; convert the clip to H.264 in MP4."
        )
    return stream


def _set_threads(stream: VideoStream, stated_s: float | None, size: int, most: int) -> None:
    """Let several threads decode what is heavy for one.

    Threads that decode a light stream cost up to a fifth more processor time in all and do not
    end sooner, since the rest of a pass is as slow as one of them (`benchmarks/throughput.py`).
    """
    context = stream.codec_context
    bit_rate = context.bit_rate or (8 * size / stated_s if stated_s else HEAVY_BIT_RATE)
    heavy = context.width * context.height > HEAVY_PIXELS or bit_rate >= HEAVY_BIT_RATE
    threads = most if heavy else 1
    stream.thread_type = "NONE" if threads == 1 else "AUTO"
    context.thread_count = threads


def _set_most_pixels(stream: VideoStream, limits: ClipLimits) -> None:
    """Let the decoder refuse a frame before it makes room for it.

    Frames somewhat larger than allowed still come, so that the message can tell their size.
    """
    most = max(4 * limits.max_pixels, 2**22)
    stream.codec_context.options = {
        **stream.codec_context.options,
        "max_pixels": str(min(most, 2**31 - 1)),
    }


def _rate(stream: VideoStream) -> float | None:
    rate: Fraction | None = stream.average_rate or stream.guessed_rate
    return float(rate) if rate else None


def _stated_duration(
    container: InputContainer, stream: VideoStream, rate: float | None
) -> float | None:
    """Return what the header says about the length of the video stream, in seconds."""
    tag = re.fullmatch(
        r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", "").strip()
    )
    if tag is not None:  # Matroska
        hours, minutes, seconds = (float(part) for part in tag.groups())
        return 3600.0 * hours + 60.0 * minutes + seconds
    if container.format.name == "avi" and stream.frames and rate:
        return stream.frames / rate  # libav corrects the duration to what is left of the file
    if stream.duration is not None and stream.time_base:
        return float(stream.duration * stream.time_base)
    if container.duration is not None and len(container.streams) == 1:  # else that of the sound
        return container.duration / 1e6
    return None


def _container_name(container: InputContainer) -> str:
    name = container.format.name.split(",")[0]
    brand = container.metadata.get("major_brand", "qt").strip()
    return "mp4" if name == "mov" and brand != "qt" else name


def _is_intra(picture: av.VideoFrame) -> bool:
    """Tell whether a frame is coded by itself.

    Encoders also write intra frames at which decoding cannot begin; what they do to the
    colors is the same.
    """
    from av.video.frame import PictureType

    return bool(picture.key_frame) or picture.pict_type == PictureType.I


def _orientation(picture: av.VideoFrame) -> Orientation:
    import numpy as np

    entries: Iterable[Any] = picture.side_data
    for entry in entries:
        if entry.type.name == "DISPLAYMATRIX":
            return from_display_matrix(np.frombuffer(entry, np.int32)[:9].tolist())
    return UPRIGHT
