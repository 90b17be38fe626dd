"""Frames a second on one core: drawing and rendering, encoding, and both, with each codec.

    python benchmarks/simulation.py [--rounds 3] [--frames 150] [--size 480]

The parts take turns, round after round, so that a busy machine slows all of them alike; the
median over the rounds counts. `x realtime` is against 30 frames a second.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pallor.simulation.draw import draw, frames_of
from pallor.simulation.encoding import CODECS, write_clip
from pallor.simulation.settings import Settings


def parts(settings: Settings, folder: Path) -> dict[str, Callable[[], object]]:
    """Return what is timed, by name."""
    drawn = draw(settings, 0)
    frames = list(frames_of(drawn, settings.size))

    def encode(codec: str) -> Path:
        return write_clip(
            folder / f"{codec}.mp4",
            frames,
            time_s=drawn.pulse.time_s,
            fps=settings.fps,
            size=settings.size,
            comment="benchmark",
            codec=codec,
        )

    def whole(codec: str) -> Path:
        again = draw(settings, 0)
        return write_clip(
            folder / f"{codec}.mp4",
            frames_of(again, settings.size),
            time_s=again.pulse.time_s,
            fps=settings.fps,
            size=settings.size,
            comment="benchmark",
            codec=codec,
        )

    timed: dict[str, Callable[[], object]] = {
        "draw and render": lambda: sum(1 for _ in frames_of(draw(settings, 0), settings.size))
    }
    for codec in CODECS:
        timed[f"encode {codec}"] = lambda codec=codec: encode(codec)  # type: ignore[misc]
        timed[f"whole clip {codec}"] = lambda codec=codec: whole(codec)  # type: ignore[misc]
    return timed


def main() -> None:
    """Time and print a table."""
    import cv2

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--size", type=int, default=480)
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    settings = Settings("paper", duration_s=asked.frames / 30.0, size=asked.size)
    with tempfile.TemporaryDirectory() as folder:
        timed = parts(settings, Path(folder))
        speeds: dict[str, list[float]] = {name: [] for name in timed}
        for part in timed.values():
            part()  # tables and caches
        for _ in range(asked.rounds):
            for name, part in timed.items():
                start = time.perf_counter()
                part()
                speeds[name].append(settings.frames / (time.perf_counter() - start))
    print(f"{asked.size}x{asked.size}, one thread, median of {asked.rounds} rounds")
    for name, values in speeds.items():
        speed = statistics.median(values)
        print(f"{name:20} {speed:7.1f} frames/s  {speed / 30:5.2f} x realtime")


if __name__ == "__main__":
    main()
