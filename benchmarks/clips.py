"""Clips for the benchmarks: a portrait with a pulse of known rate, and tables of them.

The portrait is the public-domain one that scikit-image ships. It sways, its colors pulsate at
72 beats a minute, and the camera's noise lies on it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

FPS = 30
BPM = 72.0
SIGNATURE = np.array([0.33, 0.77, 0.53], np.float32)
"""Relative pulse of red, green and blue (de Haan and van Leest 2014)."""


def frames(count: int, sway_px: float = 6.0, seed: int = 0) -> Iterator[np.ndarray]:
    """Yield ``(480, 640, 3)`` uint8 frames."""
    import skimage.data

    rng = np.random.default_rng(seed)
    picture = skimage.data.astronaut()[0:360, 20:500]
    base = cv2.resize(picture, (680, 520), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    # One large field of noise, seen through a window at random: as good, and far quicker.
    field = rng.normal(0, 3.0, (960, 1280, 3)).astype(np.float32)
    for i in range(count):
        time_s = i / FPS
        phase = 2 * np.pi * BPM / 60 * time_s
        beat = np.float32(np.sin(phase) + 0.3 * np.sin(2 * phase + 1))
        # Whole numbers of periods in 90 s, so that copies of the clip join without a jump.
        right = 20 + sway_px * np.sin(2 * np.pi * 10 / 90 * time_s)
        down = 20 + 0.7 * sway_px * np.sin(2 * np.pi * 15 / 90 * time_s + 1)
        shift = np.array([[1, 0, -right], [0, 1, -down]], np.float32)
        frame = cv2.warpAffine(base, shift, (640, 480)) * (1 + np.float32(0.006) * SIGNATURE * beat)
        x, y = int(rng.integers(0, 640)), int(rng.integers(0, 480))
        frame += field[y : y + 480, x : x + 640]
        yield np.clip(np.rint(frame), 0, 255).astype(np.uint8)


def write(path: Path, count: int, mbit_s: float, **options: float) -> Path:
    """Encode a clip as phones do: H.264, one slice a frame."""
    unfinished = path.with_suffix(".part.mp4")
    with av.open(str(unfinished), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "medium"})
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
        stream.bit_rate = round(mbit_s * 1e6)
        # Threads by frame: threads by slice would make clips that decode on several at once.
        stream.codec_context.thread_type = "FRAME"
        for rgb in frames(count, **options):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode(None))
    return unfinished.rename(path)


def repeat(path: Path, times: int, out: Path) -> Path:
    """Join copies of a clip without encoding it again."""
    unfinished = out.with_suffix(".part.mp4")
    with av.open(str(path)) as source, av.open(str(unfinished), "w") as container:
        first = source.streams.video[0]
        stream = container.add_stream_from_template(first)
        length = round(first.frames * Fraction(1, FPS) / first.time_base)
        for copy in range(times):
            source.seek(0)
            for packet in source.demux(first):
                if packet.dts is None:
                    continue
                packet.pts += copy * length
                packet.dts += copy * length
                packet.stream = stream
                container.mux(packet)
    return unfinished.rename(out)


def cohort(folder: Path, count: int, seconds: float, mbit_s: float) -> Path:
    """Write a table of clips that differ by their noise, one a participant."""
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / "cohort.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["participant_id", "clip", "hemoglobin_g_dl", "reference_method"])
        for i in range(count):
            path = folder / f"{i:03d}.mp4"
            if not path.exists():
                write(path, round(seconds * FPS), mbit_s, seed=i)
            writer.writerow([f"p{i:03d}", path.name, 10 + i % 6, "simulated"])
    return table
