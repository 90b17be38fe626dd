from __future__ import annotations

import dataclasses
import gc
import hashlib
import itertools
import os
import select
import socket
import struct
import subprocess
import sys
import threading
import weakref
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from encoding import PAIRS, has_encoder, moving_square, write_clip, write_sound
from pallor.errors import (
    ClipEmptyError,
    ClipError,
    ClipMissingError,
    ClipTooLargeError,
    ClipTooLongError,
    NoFramesError,
    NotAVideoError,
    NoVideoStreamError,
    PallorError,
    TruncatedClipError,
)
from pallor.video.clip import ClipLimits, open_clip
from pallor.video.content import ContentHash, file_sha256
from pallor.video.stream import _Bytes, _refuse_to_open
from pallor.video.timeline import Timeline


def read(path: Path | str, limits: ClipLimits | None = None):
    with open_clip(path, limits or ClipLimits()) as clip:
        times = [frame.time_s for frame in clip]
        return clip.info, times, clip.warnings


def content_of(path: Path) -> str:
    content = ContentHash()
    with open_clip(path) as clip:
        for frame in clip:
            content.update(frame)
    return content.hexdigest()


def fails(path: Path | str, kind: type[PallorError], *words: str, limits=None) -> str:
    with pytest.raises(PallorError) as caught:
        read(path, limits)
    message = str(caught.value)
    assert type(caught.value) is kind, message
    assert "\n" not in message
    assert Path(path).name in message
    for word in words:
        assert word in message
    return message


# --- what is read ---------------------------------------------------------------------------


@pytest.mark.parametrize(("container", "codec"), PAIRS)
def test_every_frame_of_every_container_and_codec_comes_with_its_time(tmp_path, container, codec):
    if not has_encoder(codec):
        pytest.skip(f"this PyAV has no encoder {codec}")
    path = write_clip(tmp_path / f"clip.{container}", moving_square(25), fps=25, codec=codec)
    info, times, warnings = read(path)
    assert np.allclose(times, np.arange(25) / 25, atol=0.6e-3)
    assert (info.width, info.height, info.rotation_deg) == (64, 48, 0)
    assert info.duration_s == pytest.approx(1.0, abs=0.005)
    assert info.frames_hint == 25
    assert not info.is_still
    assert not info.has_alpha
    assert warnings == []


def test_opening_lets_no_other_decoder_loose_on_a_file(tmp_path):
    if not has_encoder("zmbv"):
        pytest.skip("this PyAV has no encoder zmbv")
    path = tmp_path / "screen.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("zmbv", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "bgr0"
        for picture in moving_square(3):
            frame = av.VideoFrame.from_ndarray(picture).reformat(format="bgr0")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    content = bytearray(path.read_bytes())
    # Damaged, so that its decoder complains aloud where it is let loose.
    at = content.index(b"00dc", content.index(b"movi")) + 20
    content[at : at + 40] = b"\xff" * 40
    path.write_bytes(content)
    before = av.logging.get_level()
    av.logging.set_level(av.logging.DEBUG)
    try:
        with av.logging.Capture(local=False) as heard:
            message = fails(path, NotAVideoError, "codec")
    finally:
        av.logging.set_level(before)
    assert "zmbv" in message or "unknown" in message
    said = [text for _, who, text in heard if who == "zmbv"]
    assert all("not on whitelist" in text for text in said), said


@pytest.mark.parametrize(("container", "codec"), [("mp4", "libx264"), ("mkv", "libx264")])
def test_frames_come_in_the_order_shown_although_stored_in_another(tmp_path, container, codec):
    levels = np.linspace(20, 235, 24).astype(np.uint8)
    frames = [np.full((48, 64, 3), level, np.uint8) for level in levels]
    path = write_clip(
        tmp_path / f"b.{container}",
        frames,
        codec=codec,
        qp=1,
        options={"preset": "medium", "bf": "3", "b-adapt": "0"},
    )
    with av.open(str(path)) as raw:
        stamps = [p.pts for p in raw.demux(video=0) if p.pts is not None]
    assert stamps != sorted(stamps), "the clip holds no reordered frames"
    with open_clip(path) as clip:
        seen = [float(frame.rgb().mean()) for frame in clip]
    assert np.allclose(seen, levels, atol=2)


@pytest.mark.parametrize("container", ["mp4", "mov", "mkv"])
def test_a_varying_frame_rate_stays_varying(tmp_path, container):
    steps = np.random.default_rng(1).uniform(0.01, 0.2, 29)
    times = np.concatenate([[0.0], np.cumsum(steps)])
    path = write_clip(tmp_path / f"vfr.{container}", moving_square(30), times_s=times)
    _, seen, warnings = read(path)
    assert np.allclose(seen, times, atol=0.6e-3 if container == "mkv" else 2e-5)
    assert warnings == []


def test_time_starts_at_the_first_frame_and_not_at_the_first_time_stamp(tmp_path):
    path = write_clip(tmp_path / "late.mkv", moving_square(10), times_s=5.0 + np.arange(10) / 20)
    _, seen, _ = read(path)
    assert np.allclose(seen, np.arange(10) / 20, atol=1e-3)


def test_sound_is_ignored(tmp_path):
    for suffix in (".mp4", ".mkv"):
        path = write_clip(tmp_path / f"sound{suffix}", moving_square(20), audio=True)
        with av.open(str(path)) as raw:
            assert len(raw.streams.audio) == 1
        _, times, warnings = read(path)
        assert len(times) == 20
        assert warnings == []


def test_a_frame_stays_valid_after_the_clip_was_closed(tmp_path):
    path = write_clip(tmp_path / "a.mp4", moving_square(12), qp=0)
    with open_clip(path) as clip:
        now = [(frame, frame.rgb()) for frame in clip]
    gc.collect()
    for frame, then in now:
        assert np.array_equal(frame.rgb(), then)


def test_no_frame_is_kept_once_the_caller_let_go_of_it(tmp_path):
    path = write_clip(tmp_path / "long.mp4", moving_square(120))
    alive: list[weakref.ref] = []
    most = 0
    with open_clip(path) as clip:
        for frame in clip:
            alive.append(weakref.ref(frame._picture))
            del frame
            most = max(most, sum(ref() is not None for ref in alive))
    assert most <= 2


def test_memory_does_not_grow_with_length(tmp_path):
    resource = pytest.importorskip("resource")
    if sys.platform != "linux":
        pytest.skip("resident memory in KiB on Linux only")
    script = (
        "import resource, sys\n"
        "from pallor.video.clip import open_clip\n"
        "for path in sys.argv[1:]:\n"
        "    with open_clip(path) as clip:\n"
        "        for frame in clip: frame.reduced((0, 0, 100, 100))\n"
        "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    del resource
    frames = moving_square(20, 320, 240)
    short = write_clip(tmp_path / "short.mp4", frames * 2)
    long = write_clip(tmp_path / "long.mp4", frames * 20)
    run = subprocess.run(
        [sys.executable, "-c", script, short, long], capture_output=True, text=True, check=True
    )
    first, second = (int(line) for line in run.stdout.split())
    held = 360 * 320 * 240 * 1.5 / 1024  # KiB if the further frames were kept
    assert second - first < 0.25 * held


def test_a_clip_is_read_once(tmp_path):
    path = write_clip(tmp_path / "a.mp4", moving_square(3))
    with open_clip(path) as clip:
        assert len(list(clip)) == 3
        with pytest.raises(RuntimeError, match="open it again"):
            iter(clip)
    with open_clip(path) as clip:
        pass
    with pytest.raises(RuntimeError):
        iter(clip)


# --- rotation -------------------------------------------------------------------------------


def quadrants(width: int = 64, height: int = 48) -> np.ndarray:
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = (200, 40, 40)
    image[: height // 2, width // 2 :] = (40, 200, 40)
    image[height // 2 :, : width // 2] = (40, 40, 200)
    image[height // 2 :, width // 2 :] = (200, 200, 200)
    return image


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("container", ["mp4", "mov"])
def test_a_rotated_clip_comes_upright(tmp_path, container, rotation, mirrored):
    upright = quadrants()
    stored = np.rot90(upright, rotation // 90)  # counter-clockwise; the player turns clockwise
    if mirrored:
        stored = stored[:, ::-1]
    path = write_clip(
        tmp_path / f"r.{container}", [stored] * 3, qp=0, rotation=rotation, mirrored=mirrored
    )
    with open_clip(path) as clip:
        frame = next(iter(clip))
    assert (clip.info.width, clip.info.height) == (64, 48) == (frame.width, frame.height)
    assert (clip.info.rotation_deg, clip.info.mirrored) == (rotation, mirrored)
    inner = np.ones((48, 64), bool)  # away from the edges, over which chroma is interpolated
    inner[20:28], inner[:, 28:36] = False, False
    assert np.abs(frame.rgb().astype(int) - upright)[inner].max() <= 3
    box = (3, 5, 20, 17)
    part = frame.reduced(box)
    assert part.scale == 2
    assert part.x0 <= box[0] < box[2] <= part.x0 + 2 * part.rgb.shape[1]
    assert part.y0 <= box[1] < box[3] <= part.y0 + 2 * part.rgb.shape[0]
    assert np.abs(part.rgb - upright[5, 3]).max() < 3


# --- stills ---------------------------------------------------------------------------------


def save(image: Image.Image, path: Path, **options) -> Path:
    image.save(path, **options)
    return path


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1"])
def test_a_png_is_a_clip_of_one_frame(tmp_path, mode):
    image = Image.fromarray(quadrants()).convert(mode)
    with open_clip(save(image, tmp_path / "a.png")) as clip:
        frames = list(clip)
    assert clip.info.is_still
    assert (clip.info.container, clip.info.frames_hint, clip.info.duration_s) == ("png", 1, 0.0)
    assert [frame.time_s for frame in frames] == [0.0]
    assert frames[0].alpha is None
    assert np.array_equal(frames[0].rgb(), np.asarray(image.convert("RGB")))
    assert np.array_equal(frames[0].reduced((1, 2, 7, 9)).rgb, frames[0].rgb()[2:9, 1:7])


def test_a_16_bit_png_keeps_its_high_byte(tmp_path):
    values = np.arange(0, 65536, 64, dtype=np.uint16).reshape(32, 32)
    path = save(Image.fromarray(values), tmp_path / "deep.png")
    with open_clip(path) as clip:
        rgb = next(iter(clip)).rgb()
    assert np.array_equal(rgb, np.repeat((values >> 8).astype(np.uint8)[..., None], 3, axis=2))


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_is_a_clip_of_one_frame(tmp_path, mode):
    image = Image.fromarray(quadrants()).convert(mode)
    path = save(image, tmp_path / "a.jpg", quality=95, subsampling=0)
    with open_clip(path) as clip:
        rgb = next(iter(clip)).rgb()
    assert clip.info.container == "jpeg"
    assert np.abs(rgb.astype(int) - np.asarray(image.convert("RGB"))).mean() < 3


@pytest.mark.parametrize("value", range(1, 9))
def test_exif_orientation_is_honored_as_pillow_has_it(tmp_path, value):
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = value
    image = Image.fromarray(quadrants()[:30])
    image.putalpha(
        Image.fromarray(np.arange(64 * 30, dtype=np.uint16).reshape(30, 64) // 8 % 256).convert("L")
    )
    path = save(image, tmp_path / "o.png", exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    with open_clip(path) as clip:
        frame = next(iter(clip))
    assert np.array_equal(frame.rgb(), expected[..., :3])
    assert np.array_equal(frame.alpha, expected[..., 3])
    assert (clip.info.height, clip.info.width) == expected.shape[:2]


def test_alpha_marks_a_region_unless_it_is_opaque_everywhere(tmp_path):
    rgba = np.dstack([quadrants(), np.full((48, 64), 255, np.uint8)])
    opaque = save(Image.fromarray(rgba), tmp_path / "opaque.png")
    rgba[:10, :, 3] = 0
    region = save(Image.fromarray(rgba), tmp_path / "region.png")
    gray = save(Image.fromarray(rgba).convert("LA"), tmp_path / "gray.png")
    with open_clip(opaque) as clip:
        assert next(iter(clip)).alpha is None
        assert not clip.info.has_alpha
    for path in (region, gray):
        with open_clip(path) as clip:
            assert np.array_equal(next(iter(clip)).alpha, rgba[..., 3])
            assert clip.info.has_alpha


def test_a_transparent_palette_color_is_alpha(tmp_path):
    image = Image.fromarray(quadrants()).quantize(4)
    clear = image.getpixel((0, 0))
    path = save(image, tmp_path / "p.png", transparency=clear)
    with open_clip(path) as clip:
        alpha = next(iter(clip)).alpha
    assert np.array_equal(alpha == 0, np.asarray(image) == clear)


def test_a_fully_transparent_image_says_so(tmp_path):
    path = save(Image.new("RGBA", (8, 8), (9, 9, 9, 0)), tmp_path / "clear.png")
    fails(path, NoFramesError, "transparent")


def test_an_animated_png_gives_its_first_picture(tmp_path):
    first, second = Image.new("RGB", (16, 16), (250, 0, 0)), Image.new("RGB", (16, 16), (0, 0, 9))
    path = save(first, tmp_path / "anim.png", save_all=True, append_images=[second])
    with open_clip(path) as clip:
        frames = list(clip)
    assert len(frames) == 1
    assert (frames[0].rgb() == (250, 0, 0)).all()


def test_a_decompression_bomb_is_refused_by_its_header(tmp_path):
    path = save(Image.new("L", (64, 64)), tmp_path / "bomb.png")
    data = bytearray(path.read_bytes())
    for width, height in ((60_000, 60_000), (2**31 - 1, 2**31 - 1)):
        data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
        data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
        path.write_bytes(data)
        fails(path, ClipTooLargeError)
    small = save(Image.new("L", (64, 64)), tmp_path / "small.png")
    fails(small, ClipTooLargeError, "64 x 64", limits=ClipLimits(max_still_pixels=64 * 64 - 1))


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_cut_still_is_refused(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    path = save(Image.fromarray(noise), tmp_path / f"a.{suffix}")
    data = path.read_bytes()
    for share in (0.3, 0.6, 0.9):
        path.write_bytes(data[: int(len(data) * share)])
        fails(path, NoFramesError, "cut off")


def test_a_jpeg_that_repeats_its_scans_without_end_is_refused(tmp_path):
    path = save(Image.fromarray(quadrants()), tmp_path / "a.jpg", progressive=True)
    data = path.read_bytes()
    scan = data[data.rfind(b"\xff\xda") : -2]
    path.write_bytes(data[:-2] + 20 * scan + data[-2:])
    with open_clip(path) as clip:
        assert np.abs(next(iter(clip)).rgb().astype(int) - quadrants()).mean() < 5
    path.write_bytes(data[:-2] + 200 * scan + data[-2:])
    fails(path, NotAVideoError, "scans")


def test_an_image_that_takes_too_much_memory_is_refused(tmp_path, monkeypatch):
    path = save(Image.fromarray(quadrants()), tmp_path / "a.png")

    def no_room(*_):
        raise MemoryError

    monkeypatch.setattr("pallor.video.still._pixels", no_room)
    fails(path, ClipTooLargeError, "memory")


# --- marks of a simulation ------------------------------------------------------------------


@pytest.mark.parametrize("container", ["mp4", "mkv", "avi", "webm"])
def test_a_simulated_video_is_known_by_its_metadata(tmp_path, container):
    codec = "libvpx" if container == "webm" else "libx264"
    frames = moving_square(2)
    marked = write_clip(
        tmp_path / f"s.{container}",
        frames,
        codec=codec,
        metadata={"comment": "SIMULATED face, not a recording"},
    )
    plain = write_clip(
        tmp_path / f"p.{container}", frames, codec=codec, metadata={"comment": "UNSIMULATEDLY"}
    )
    assert read(marked)[0].simulated
    assert not read(plain)[0].simulated


def test_a_simulated_still_is_known_by_its_texts(tmp_path):
    image = Image.fromarray(quadrants())
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "SIMULATED")
    exif = Image.Exif()
    exif[0x010E] = "a SIMULATED picture"
    assert read(save(image, tmp_path / "t.png", pnginfo=text))[0].simulated
    assert read(save(image, tmp_path / "c.jpg", comment=b"SIMULATED"))[0].simulated
    assert read(save(image, tmp_path / "e.jpg", exif=exif))[0].simulated
    assert not read(save(image, tmp_path / "n.jpg"))[0].simulated
    assert not read(save(image, tmp_path / "n.png"))[0].simulated


# --- what is refused ------------------------------------------------------------------------


def test_absent_empty_and_foreign_files_each_have_their_error(tmp_path):
    fails(tmp_path / "absent.mp4", ClipMissingError)
    fails(tmp_path, ClipMissingError, "directory")
    fails("bad\0name.mp4".replace("\0", "x") + "/below", ClipMissingError)
    with pytest.raises(ClipMissingError):
        open_clip("nul\0byte.mp4")
    empty = tmp_path / "empty.mp4"
    empty.touch()
    fails(empty, ClipEmptyError)
    text = tmp_path / "letter.mp4"
    text.write_text("Dear doctor,\n" * 200)
    fails(text, NotAVideoError, "MP4")
    gif = save(Image.fromarray(quadrants()), tmp_path / "a.gif")
    fails(gif, NotAVideoError, "PNG and JPEG")


@pytest.mark.parametrize("suffix", ["m4a", "mp4", "wav", "mp3", "ogg", "webm", "mkv"])
def test_sound_alone_has_no_video_stream(tmp_path, suffix):
    path = tmp_path / f"voice.{suffix}"
    if suffix == "mp3":
        # No encoder of it in every build: frames of silence, MPEG-1 layer III, 128 kbit/s.
        path.write_bytes((b"\xff\xfb\x90\x64" + bytes(413)) * 60)
    elif suffix == "ogg":
        with av.open(str(path), "w") as container:
            from encoding import _write_sound

            _write_sound(container, container.add_stream("libopus", rate=48000), 0.5)
    else:
        write_sound(path, 0.5)
    fails(path, NoVideoStreamError)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipes_and_devices_are_not_opened(tmp_path):
    pipe = tmp_path / "pipe.mp4"
    os.mkfifo(pipe)
    caught: list[BaseException] = []

    def attempt() -> None:
        try:
            open_clip(pipe)
        except PallorError as error:
            caught.append(error)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(5)
    assert not thread.is_alive(), "waits for a writer"
    assert isinstance(caught[0], NotAVideoError)
    fails("/dev/zero", NotAVideoError, "device")


@pytest.mark.parametrize(
    "name",
    [
        "-i.mp4",
        "concat:a.mp4|b.mp4",
        "a%03d.mp4",
        "pipe:0",
        "file:x.mp4",
        "été 顔 .mp4",
        "x",
        "a'b\".x",
    ],
)
def test_a_name_is_only_a_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_clip(tmp_path / "plain.mp4", moving_square(4)).rename(tmp_path / name)
    info, times, _ = read(name)
    assert len(times) == 4
    assert info.path == name


def test_an_address_is_looked_for_as_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fails("http://127.0.0.1:9/face.mp4", ClipMissingError)
    write_clip(tmp_path / "plain.mp4", moving_square(4))
    folder = tmp_path / "http:" / "127.0.0.1:9"
    folder.mkdir(parents=True)
    (tmp_path / "plain.mp4").rename(folder / "face.mp4")
    assert len(read("http://127.0.0.1:9/face.mp4")[1]) == 4


def test_control_characters_of_a_name_do_not_reach_the_message(tmp_path):
    message = fails_with_any_name(tmp_path / "a\x1b[31m\nb.mp4")
    assert message.isprintable()


def fails_with_any_name(path: Path) -> str:
    path.write_bytes(b"nothing")
    with pytest.raises(NotAVideoError) as caught:
        open_clip(path)
    return str(caught.value)


def test_playlists_are_refused_and_nothing_is_opened(tmp_path):
    victim = write_clip(tmp_path / "victim.mp4", moving_square(4))
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        m3u8 = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{}\n#EXT-X-ENDLIST\n"
        lists = {
            "a.m3u8": m3u8.format(f"file://{victim}"),
            "b.m3u8": m3u8.format(f"http://{address}/a.ts"),
            "c.mp4": m3u8.format(f"http://{address}/a.ts"),
            "d.ffconcat": f"ffconcat version 1.0\nfile {victim}\n",
            "e.ffconcat": f"ffconcat version 1.0\nfile http://{address}/a.mp4\n",
            "f.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
            "m=video 9 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
            "g.mpd": "<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011'><BaseURL>"
            f"http://{address}/</BaseURL></MPD>",
        }
        for name, text in lists.items():
            (tmp_path / name).write_text(text)
            fails(tmp_path / name, NotAVideoError)
        assert not select.select([server], [], [], 0.2)[0], "somebody connected"


def test_a_file_that_a_clip_refers_to_is_not_opened(tmp_path):
    # What the demuxers would use to open one is ours, and it refuses: shown on a playlist.
    path = tmp_path / "a.m3u8"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nvictim.ts\n#EXT-X-ENDLIST\n")
    asked = []

    def refuse(url: str, *rest: object) -> None:
        asked.append(url)
        _refuse_to_open(url, *rest)

    with path.open("rb") as file, pytest.raises((av.FFmpegError, PermissionError)):
        av.open(_Bytes(file, path.stat().st_size), "r", format="hls", io_open=refuse)
    assert asked == ["victim.ts"]


def test_a_cover_picture_is_no_video(tmp_path):
    path = tmp_path / "song.m4a"
    with av.open(str(path), "w", format="mp4") as container:
        from av.stream import Disposition

        from encoding import _write_sound

        sound = container.add_stream("aac", rate=48000)
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        frame = av.VideoFrame.from_ndarray(quadrants(), format="rgb24").reformat(format="yuvj420p")
        frame.pts, frame.time_base = 0, Fraction(1, 1)
        container.mux(cover.encode(frame))
        _write_sound(container, sound, 0.5)
    with av.open(str(path)) as raw:
        assert raw.streams.video[0].disposition & Disposition.attached_pic
    fails(path, NoVideoStreamError)


def test_libav_prints_nothing(tmp_path):
    path = write_clip(tmp_path / "a.mp4", moving_square(60), faststart=True)
    data = bytearray(path.read_bytes())
    for at in range(len(data) // 2, len(data), 97):
        data[at] ^= 0xFF
    path.write_bytes(data[:-300])
    (tmp_path / "no.mp4").write_bytes(data[: len(data) // 3][40:])
    script = (
        "import sys\nfrom pallor.errors import PallorError\n"
        "from pallor.video.clip import open_clip\n"
        "for path in sys.argv[1:]:\n"
        "    try:\n        with open_clip(path) as clip: list(clip)\n"
        "    except PallorError: pass\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, path, tmp_path / "no.mp4"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (run.stdout, run.stderr) == ("", "")


# --- cut and damaged ------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.4, 0.6, 0.8, 0.97])
@pytest.mark.parametrize(
    ("container", "codec"),
    [("mp4", "libx264"), ("mov", "mjpeg"), ("avi", "mjpeg"), ("avi", "libx264"), ("mkv", "libx264"),
     ("webm", "libvpx"), ("mp4", "mpeg4")],
)  # fmt: skip
def test_what_is_left_of_a_cut_clip_is_used_and_said(tmp_path, container, codec, share):
    noise = np.random.default_rng(2).integers(0, 256, (60, 48, 64, 3), np.uint8)
    path = write_clip(tmp_path / f"c.{container}", noise, codec=codec, faststart=True)
    whole = content_times(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    _, times, warnings = read(path)
    assert 0 < len(times) < 60
    assert abs(len(times) - 60 * share) <= 12
    assert times == whole[: len(times)]
    (warning,) = warnings
    assert isinstance(warning, TruncatedClipError)
    assert f"{len(times)} " in str(warning)
    assert "of 2.00 s" in str(warning)
    assert path.name in str(warning)


def content_times(path: Path) -> list[float]:
    return read(path)[1]


def test_an_mp4_without_its_index_says_that_it_looks_truncated(tmp_path):
    path = write_clip(tmp_path / "tail.mp4", moving_square(60))
    data = path.read_bytes()
    for share in (0.2, 0.5, 0.8):
        path.write_bytes(data[: int(len(data) * share)])
        fails(path, NotAVideoError, "truncated", "upload")


def test_a_stream_that_does_not_decode_has_no_frames(tmp_path):
    path = write_clip(tmp_path / "garbage.mp4", moving_square(20), codec="mpeg4", faststart=True)
    data = bytearray(path.read_bytes())
    start = data.find(b"mdat") + 4
    data[start:] = bytes(len(data) - start)
    path.write_bytes(data)
    fails(path, NoFramesError, "decodes")


def test_damage_in_the_middle_is_said(tmp_path):
    noise = np.random.default_rng(3).integers(0, 256, (40, 48, 64, 3), np.uint8)
    path = write_clip(tmp_path / "hole.mp4", noise, faststart=True)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4000] = bytes(4000)
    path.write_bytes(data)
    _, times, warnings = read(path)
    assert 0 < len(times) <= 40
    assert [warning.code for warning in warnings] == ["truncated"]


# --- limits ---------------------------------------------------------------------------------


def test_limits_hold_against_the_header(tmp_path):
    path = write_clip(tmp_path / "a.mp4", moving_square(60))
    fails(path, ClipTooLargeError, limits=ClipLimits(max_bytes=500))
    fails(path, ClipTooLargeError, "64 x 48", limits=ClipLimits(max_pixels=64 * 48 - 1))
    fails(path, ClipTooLongError, "2 s", limits=ClipLimits(max_duration_s=1.5))
    fails(path, ClipTooLongError, "60 frames", limits=ClipLimits(max_frames=59))
    assert (
        len(read(path, ClipLimits(max_pixels=64 * 48, max_duration_s=2.0, max_frames=60))[1]) == 60
    )


@pytest.mark.parametrize(
    "limits", [ClipLimits(max_duration_s=1.0), ClipLimits(max_frames=30)], ids=["time", "frames"]
)
def test_a_header_that_lies_about_the_length_does_not_help(tmp_path, limits):
    path = write_clip(tmp_path / "a.mkv", moving_square(60))
    data = path.read_bytes()
    # The duration of the segment and the DURATION tag of the stream: say 0.1 s.
    at = data.find(b"\x44\x89\x88")
    data = data[: at + 3] + struct.pack(">d", 100.0) + data[at + 11 :]
    data = data.replace(b"00:00:02.000000000", b"00:00:00.100000000")
    path.write_bytes(data)
    with open_clip(path, limits) as clip:
        assert clip.info.duration_s == pytest.approx(0.1)
        last = -1
        with pytest.raises(ClipTooLongError):
            for frame in clip:
                last = frame.index
    assert last in (29, 30)


def test_frames_that_grow_beyond_the_header_are_refused(tmp_path):
    path = tmp_path / "grow.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        small = _jpeg(64, 48)
        large = _jpeg(640, 480)
        first = stream.encode(_av_frame(64, 48))
        container.mux(first)
        for i, data in enumerate([small, small, large], start=1):
            packet = av.Packet(data)
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, i, i, Fraction(1, 30)
            container.mux(packet)
    fails(path, ClipTooLargeError, "640 x 480", limits=ClipLimits(max_pixels=64 * 48))
    with open_clip(path) as clip:
        sizes = {(frame.width, frame.height, *frame.rgb().shape[:2]) for frame in clip}
    assert sizes == {(64, 48, 48, 64)}, "frames of another size are scaled to the first one's"


def test_no_room_is_made_for_a_frame_far_beyond_the_limit(tmp_path):
    if sys.platform != "linux":
        pytest.skip("peak memory as Linux tells it")
    path = tmp_path / "grow.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        container.mux(stream.encode(_av_frame(64, 48)))
        for i, data in enumerate([_jpeg(64, 48), _jpeg(9000, 9000), _jpeg(64, 48)], start=1):
            packet = av.Packet(data)
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, i, i, Fraction(1, 30)
            container.mux(packet)
    script = (
        "import re, sys\n"
        "from pathlib import Path\n"
        "from pallor.video.clip import open_clip\n"
        "with open_clip(sys.argv[1], threads=1) as clip:\n"
        "    print(len(list(clip)), [w.code for w in clip.warnings])\n"
        "print(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, path], capture_output=True, text=True, check=True
    )
    said, peak_kib = run.stdout.splitlines()
    assert said == "3 ['truncated']"
    assert int(peak_kib) < 9000 * 9000 * 1.5 / 1024


def _jpeg(width: int, height: int) -> bytes:
    import io

    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (120, 90, 80)).save(buffer, "JPEG", subsampling=2)
    return buffer.getvalue()


def _av_frame(width: int, height: int) -> av.VideoFrame:
    image = np.full((height, width, 3), 100, np.uint8)
    frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuvj420p")
    frame.pts, frame.time_base = 0, Fraction(1, 30)
    return frame


def test_more_bytes_than_allowed_are_not_read_from_the_stream(tmp_path, monkeypatch):
    # A file that grows after its size was checked is read to that size only.
    path = write_clip(tmp_path / "a.mkv", moving_square(60))
    size = path.stat().st_size
    with open_clip(path, ClipLimits(max_bytes=size)) as clip:
        with path.open("ab") as more:
            more.write(path.read_bytes())
        assert len(list(clip)) == 60


def test_limits_are_values():
    assert dataclasses.replace(ClipLimits(), max_frames=1).max_frames == 1
    assert ClipLimits() == ClipLimits()


# --- times ----------------------------------------------------------------------------------


def place_all(stamps, rate=10.0, tick=Fraction(1, 10)):
    timeline = Timeline(rate)
    return [timeline.place(stamp, tick) for stamp in stamps], timeline


def test_a_missing_time_stamp_is_extrapolated_by_the_mean_interval():
    times, _ = place_all([None, None, 2, 4, None, 8])
    assert times == pytest.approx([0.0, 0.1, 0.2, 0.4, 0.4 + 0.4 / 3, 0.8])


def test_a_frame_whose_time_is_taken_is_left_out():
    times, timeline = place_all([5, 6, 6, 5, 7])
    assert times == [0.0, pytest.approx(0.1), None, None, pytest.approx(0.2)]
    assert timeline.left_out == 2


def test_a_clock_that_starts_again_goes_on_from_the_last_frame():
    times, timeline = place_all([100, 101, 102, 0, 1, 3])
    assert times == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.6])
    assert timeline.left_out == 0


@given(
    st.lists(st.none() | st.integers(-(2**62), 2**62), max_size=40),
    st.none() | st.floats(1e-3, 1e3),
    st.fractions(Fraction(1, 10**6), Fraction(10)),
)
def test_times_increase_strictly_from_zero_whatever_the_stamps(stamps, rate, tick):
    timeline = Timeline(rate)
    times = [t for t in (timeline.place(stamp, tick) for stamp in stamps) if t is not None]
    assert len(times) + timeline.left_out == len(stamps)
    assert times[:1] == [0.0][: len(times)]
    assert all(b > a for a, b in itertools.pairwise(times))
    assert np.isfinite(times).all()


def test_frames_without_a_time_of_their_own_are_said(tmp_path, monkeypatch):
    path = write_clip(tmp_path / "a.mp4", moving_square(20))
    real = Timeline.place
    monkeypatch.setattr(Timeline, "place", lambda self, pts, tb: real(self, min(pts, 15 * 512), tb))
    _, times, warnings = read(path)
    assert len(times) == 16
    assert "left out" in str(warnings[0])


# --- hashes ---------------------------------------------------------------------------------


def test_the_same_stream_in_another_container_has_the_same_content(tmp_path):
    path = write_clip(tmp_path / "a.mp4", moving_square(15), rotation=90, metadata={"title": "x"})
    other = tmp_path / "b.mkv"
    with av.open(str(path)) as source, av.open(str(other), "w") as target:
        stream = source.streams.video[0]
        out = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is not None:
                packet.stream = out
                target.mux(packet)
    assert file_sha256(path) != file_sha256(other)
    assert content_of(path) == content_of(other)
    changed = write_clip(tmp_path / "c.mp4", moving_square(15, seed=1))
    assert content_of(changed) != content_of(path)


def test_equal_stills_have_equal_content_whatever_the_file(tmp_path):
    rgba = np.dstack([quadrants(), np.full((48, 64), 255, np.uint8)])
    opaque = save(Image.fromarray(rgba), tmp_path / "a.png")
    plain = save(Image.fromarray(rgba[..., :3]), tmp_path / "b.png", compress_level=0)
    assert content_of(opaque) == content_of(plain)
    rgba[:10, :, 3] = 0
    region = save(Image.fromarray(rgba), tmp_path / "c.png")
    rgba[:10, :, :3] = 77
    hidden = save(Image.fromarray(rgba), tmp_path / "d.png")
    assert content_of(region) == content_of(hidden) != content_of(opaque)
    rgba[20, 20, 0] ^= 1
    assert content_of(save(Image.fromarray(rgba), tmp_path / "e.png")) != content_of(region)


def test_file_sha256_is_that_of_the_bytes(tmp_path):
    data = os.urandom(300_000)
    (tmp_path / "x").write_bytes(data)
    assert file_sha256(tmp_path / "x") == hashlib.sha256(data).hexdigest()


# --- hostile bytes --------------------------------------------------------------------------

HOSTILE = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SMALL = ClipLimits(max_bytes=2**22, max_duration_s=60, max_pixels=2**18, max_still_pixels=2**18,
                   max_frames=200)  # fmt: skip
HEADS = [b"", b"\0\0\0\x20ftypisom", b"\x1aE\xdf\xa3", b"RIFF\xff\xff\0\0AVI LIST",
         b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"ID3\x04", b"OggS", b"fLaC"]  # fmt: skip


def usable_or_refused(path: Path) -> None:
    content = ContentHash()
    try:
        with open_clip(path, SMALL) as clip:
            times = []
            for frame in clip:
                times.append(frame.time_s)
                content.update(frame)
                reduced = frame.reduced((3, 3, 30, 30))
                assert reduced.rgb.dtype == np.float32
                assert np.isfinite(reduced.rgb).all()
                assert frame.rgb().shape == (frame.height, frame.width, 3)
                assert (frame.width, frame.height) == (clip.info.width, clip.info.height)
            assert times[0] == 0.0
            assert all(b > a for a, b in itertools.pairwise(times))
            assert all(isinstance(warning, ClipError) for warning in clip.warnings)
    except PallorError as error:
        assert "\n" not in str(error)


@HOSTILE
@given(st.sampled_from(HEADS), st.binary(min_size=1, max_size=2000))
def test_random_bytes_are_refused_or_read(tmp_path, head, tail):
    path = tmp_path / "random.mp4"
    path.write_bytes(head + tail)
    usable_or_refused(path)


@pytest.fixture(scope="module")
def originals(tmp_path_factory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("originals")
    frames = moving_square(12)
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "x" * 50, zip=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    paths = [
        write_clip(folder / "a.mp4", frames, faststart=True, rotation=90, audio=True),
        write_clip(folder / "b.mp4", frames),
        write_clip(folder / "a.mkv", frames, metadata={"comment": "é"}),
        write_clip(folder / "a.webm", frames, codec="libvpx"),
        write_clip(folder / "b.webm", frames, codec="libvpx-vp9"),
        write_clip(folder / "a.avi", frames, codec="mjpeg"),
        write_clip(folder / "b.avi", frames, codec="mpeg4"),
        write_clip(folder / "a.mov", frames, codec="libx265"),
        save(Image.fromarray(quadrants()), folder / "a.png", pnginfo=text, exif=exif),
        save(Image.fromarray(quadrants()), folder / "a.jpg", exif=exif),
    ]
    return [path.read_bytes() for path in paths]


@HOSTILE
@given(data=st.data())
def test_a_damaged_clip_is_refused_or_read(tmp_path, originals, data):
    clip = bytearray(data.draw(st.sampled_from(originals)))
    flips = data.draw(
        st.lists(
            st.tuples(st.integers(0, 8 * len(clip) - 1), st.booleans()), min_size=1, max_size=12
        )
    )
    for bit, early in flips:
        bit = bit % min(len(clip) * 8, 6000) if early else bit
        clip[bit // 8] ^= 1 << (bit % 8)
    end = data.draw(st.integers(1, len(clip)) | st.just(len(clip)))
    path = tmp_path / "damaged.bin"
    path.write_bytes(clip[:end])
    usable_or_refused(path)


@pytest.mark.slow
@settings(parent=HOSTILE, max_examples=1500)
@given(data=st.data())
def test_a_damaged_clip_is_refused_or_read_many_times(tmp_path, originals, data):
    test_a_damaged_clip_is_refused_or_read.hypothesis.inner_test(tmp_path, originals, data)


@pytest.mark.shared
def test_real_clips_are_whole_and_keep_their_times(shared):
    expected = {
        "face_clips/sample_video_1.mp4": 354,
        "edge_clips/face_noface.mov": 169,
        "edge_clips/no_face.mp4": 95,
        "edge_clips/single_face.mp4": 72,
    }
    for name, count in expected.items():
        with open_clip(shared / name) as clip:
            times = [frame.time_s for frame in clip]
        assert len(times) == count
        assert clip.warnings == []
        assert times[-1] <= clip.info.duration_s + 0.05
