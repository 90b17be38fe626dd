"""A worker for tests of the extraction; imports little, since every process imports it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from pallor.cohort.clip_outcome import ClipOutcome, ClipTask
from pallor.errors import NoFaceError


def fake(task: ClipTask) -> ClipOutcome:
    """What the text in the file says; runs in worker processes."""
    path = Path(task.path)
    text = path.read_text()
    if text.startswith("log "):
        with Path(text[4:].strip()).open("a") as log:
            log.write(f"{task.clip}\n")
    if text == "no face":
        raise NoFaceError(f"{task.clip}: no face")
    if text == "bug":
        raise ZeroDivisionError("oh\nno")
    if text == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if text == "parent":  # as if the memory of the whole machine had run out
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(5)
    if text == "print":
        print("noise on stdout", flush=True)  # noqa: T201
    if text == "hang":
        time.sleep(600)
    if text == "slow":
        time.sleep(0.15)
    assert os.environ["OMP_NUM_THREADS"] == "1"
    number = sum(task.clip.encode())
    status = path.stat()
    measured = {
        "input_kind": "face_video",
        "simulated": text == "simulated",
        "duration_s": 10.0,
        "fps": 30.0,
        "face_coverage": 1.0,
        "heart_rate_bpm": None,
        "snr_db": float("nan"),
        "usable_pulse": True,
        "file_sha256": f"{number:064x}",
        "content_sha256": "",
        "warnings": "",
    }
    features = {"pulse.a.b.c": number / 3, "color.a.b.c": float("nan"), "color.a.b.d": 0.1}
    return ClipOutcome(
        task, measured, features, file_size=status.st_size, file_mtime_ns=status.st_mtime_ns
    )
