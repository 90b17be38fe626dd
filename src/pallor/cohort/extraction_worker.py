"""Measure one clip; run as a program, measure the clips that are named on standard input.

As a program (``python -m pallor.cohort.extraction_worker MODULE:FUNCTION SCRATCH``) it reads one
task a line and answers each with eight bytes of length, big-endian, and an encoded outcome. An
answer of length zero comes first and says that the program is ready.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from pallor.cohort.address import is_address, shown, without_secrets
from pallor.cohort.clip_outcome import ClipOutcome, ClipTask, encode
from pallor.errors import PallorError

Measure = Callable[[ClipTask], ClipOutcome]
"""What a worker does with a task; raises where the clip cannot be measured."""


def measure(task: ClipTask) -> ClipOutcome:
    """Record a clip and compute its features.

    Parameters
    ----------
    task
        The clip and the modalities asked for.

    Returns
    -------
    ClipOutcome
        With measured columns and features.

    Raises
    ------
    PallorError
        If the clip is absent or cannot be used for one of the modalities.
    """
    from pallor.errors import ClipMissingError
    from pallor.features.quality import assess
    from pallor.features.registry import compute, load_modalities
    from pallor.video.recorder import record

    path = Path(task.path)
    if not path.is_file():
        raise ClipMissingError(f"{task.clip}: there is no file at {path}")
    status = path.stat()
    loaded = load_modalities(task.modalities, task.settings)
    crops = any(modality.needs_crops for modality in loaded.values())
    recording = record(path, samples=task.samples, crops=crops, threads=task.settings.threads)
    names = [
        name
        for name, modality in loaded.items()
        if not task.only_defined or recording.input_kind in modality.input_kinds
    ]
    computed = compute(recording, names, task.settings)
    quality = assess(recording)
    codes = dict.fromkeys(warning.code for warning in (*recording.warnings, *quality.warnings))
    measured = {
        "input_kind": str(recording.input_kind),
        "simulated": bool(recording.simulated),
        "duration_s": float(recording.duration_s),
        "fps": float(recording.fps),
        "face_coverage": float(recording.face_coverage),
        "heart_rate_bpm": quality.heart_rate_bpm,
        "snr_db": quality.snr_db,
        "usable_pulse": bool(quality.usable),
        "file_sha256": recording.file_sha256,
        "content_sha256": recording.content_sha256,
        "warnings": ";".join(codes),
    }
    return ClipOutcome(
        task,
        measured,
        computed.features,
        file_size=status.st_size,
        file_mtime_ns=status.st_mtime_ns,
        frames={name: kept.frames for name, kept in computed.frames.items()},
        frame_time_s=next((kept.time_s for kept in computed.frames.values()), None),
    )


def outcome_of(task: ClipTask, measure: Measure) -> ClipOutcome:
    """Measure a clip; whatever goes wrong becomes the clip's failure."""
    try:
        if is_address(task.path):
            from pallor.cohort.fetched_clip import measure_fetched

            return measure_fetched(task, measure)
        return measure(task)
    except PallorError as error:
        return ClipOutcome.failed(task, error.code, error.text)
    except Exception as error:  # noqa: BLE001 - one clip, or one mistake of ours, stops no run
        told = without_secrets(f"{type(error).__name__}: {error}", task.path)
        return ClipOutcome.failed(task, "internal", f"{shown(task.clip)}: {told}")


def function_name(measure: Measure) -> str:
    """Return the name by which another process finds a function of a module.

    Raises
    ------
    ValueError
        If it is not defined at the top of an importable module.
    """
    name = f"{measure.__module__}:{measure.__qualname__}"
    if measure.__module__ == "__main__" or not measure.__qualname__.isidentifier():
        raise ValueError(f"{name} cannot be imported by another process")
    return name


def _end_with(parent: int, scratch: str) -> None:
    """End this process once its parent is gone: nobody can stop a clip that hangs then."""
    while os.getppid() == parent:
        time.sleep(1)
    shutil.rmtree(scratch, ignore_errors=True)
    os._exit(1)


def main(name: str, scratch: str) -> None:
    """Answer tasks on standard input until it ends.

    Parameters
    ----------
    name
        What `function_name` made of the function that measures.
    scratch
        Folder of this process alone; the parent removes it, or if it cannot, this process.
    """
    # An interrupt from the keyboard is the parent's to handle.
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    # Whatever a library prints must not get between the answers.
    os.dup2(2, 1)
    module, _, function = name.partition(":")
    chosen: Measure = getattr(importlib.import_module(module), function)
    with contextlib.suppress(ImportError):
        import cv2

        cv2.setNumThreads(1)

    def answer(data: bytes) -> None:
        answers.write(len(data).to_bytes(8, "big") + data)
        answers.flush()

    threading.Thread(target=_end_with, args=(os.getppid(), scratch), daemon=True).start()
    # The parent may be gone; then nobody waits for the rest.
    with contextlib.suppress(BrokenPipeError):
        answer(b"")
        for line in sys.stdin:
            answer(encode(outcome_of(ClipTask.from_json(line), chosen)))
    shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
