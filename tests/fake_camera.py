"""A film for Chromium's fake camera, and a browser that has it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from portrait import pulsing

FPS = 30
AXE = Path(__file__).parent / "browser" / "node_modules" / "axe-core" / "axe.min.js"


def write_film(path: Path, seconds: float = 2.5) -> Path:
    """Write the pulsing portrait as YUV4MPEG2, which Chromium plays in a loop.

    72 beats a minute make 3 whole beats in 2.5 s, so the loop has no jump.
    """
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W320 H240 F{FPS}:1 Ip A1:1 C420jpeg\n".encode())
        for frame in pulsing(np.arange(int(seconds * FPS)) / FPS, size=240):
            picture = np.full((240, 320, 3), 118, dtype=np.uint8)
            picture[:, 40:280] = frame
            file.write(b"FRAME\n")
            file.write(cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420).tobytes())
    return path


def film_of(clip: Path, path: Path) -> Path:
    """Write a clip as YUV4MPEG2 for the fake camera."""
    with av.open(str(clip)) as container, path.open("wb") as file:
        video = container.streams.video[0]
        rate = video.average_rate
        file.write(
            f"YUV4MPEG2 W{video.width} H{video.height} F{rate.numerator}:{rate.denominator} Ip "
            "A1:1 C420jpeg\n".encode()
        )
        for frame in container.decode(video):
            file.write(b"FRAME\n")
            file.write(frame.to_ndarray(format="yuv420p").tobytes())
    return path


@contextmanager
def browser(film: Path | None = None) -> Iterator[Any]:
    """Debian's Chromium under Playwright; without a film it has no camera."""
    from playwright.sync_api import expect, sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is absent: install it to try the pages in a real browser")
    options = ["--disable-gpu"]
    if film is not None:
        options += [
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
            f"--use-file-for-fake-video-capture={film}",
        ]
    # Five seconds, as is usual, are few where everything else is tested at the same time.
    expect.set_options(timeout=30_000)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=chromium, args=options, chromium_sandbox=False
        )
        try:
            yield running
        finally:
            running.close()


def axe_violations(page: Any) -> list[str]:
    """What axe finds serious or critical on a page."""
    if not AXE.is_file():
        pytest.skip("axe-core is absent: bash tests/browser/install.sh")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("async () => (await axe.run(document)).violations")
    return [
        f"{v['id']}: {node['html'][:200]} ({node['failureSummary'][:200]})"
        for v in found
        if v["impact"] in {"serious", "critical"}
        for node in v["nodes"]
    ]
