"""Record clips, each in a process of its own with limits: ``python limited_process.py < paths``.

The modules are loaded once and every clip is read by a fork, so that a clip costs a fraction of
a start-up. Prints one JSON object a clip: what came of it, seconds, and peak memory in bytes.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
import traceback

MEMORY_BYTES = 2 * 2**30
"""Address space, as a job of the service has it."""
WALL_S = 60.0
CPU_S = 60


def record_in_fork(path: str) -> dict[str, object]:
    reading, writing = os.pipe()
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _child(path, writing)
    os.close(writing)
    status, usage = _wait(child, start + WALL_S)
    with os.fdopen(reading, "rb") as said:
        text = said.read().decode()
    outcome = json.loads(text) if text else {"kind": "died", "what": _death(status)}
    seconds = time.monotonic() - start
    return {**outcome, "seconds": seconds, "bytes": usage.ru_maxrss * 1024, "path": path}


def _child(path: str, writing: int) -> None:
    """Never returns."""
    from pallor.errors import PallorError
    from pallor.video.clip_info import ClipLimits
    from pallor.video.recorder import record

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limits = ClipLimits(max_bytes=500 * 2**20, max_duration_s=120.0)
    try:
        recording = record(path, limits=limits, samples=4, crops=True, threads=1)
        said = {"kind": "recording", "what": f"{recording.input_kind} {recording.duration_s:.2f} s"}
    except PallorError as error:
        said = {"kind": "refused", "what": error.code, "text": error.text}
    except BaseException:  # noqa: BLE001
        said = {"kind": "crashed", "what": traceback.format_exc()[-2000:]}
    with os.fdopen(writing, "wb") as out:
        out.write(json.dumps(said).encode())
    os._exit(0)


def _wait(child: int, until: float) -> tuple[int, resource.struct_rusage]:
    while True:
        done, status, usage = os.wait4(child, os.WNOHANG)
        if done:
            return status, usage
        if time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
            _, status, usage = os.wait4(child, 0)
            return status, usage
        time.sleep(0.005)


def _death(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"signal {signal.Signals(os.WTERMSIG(status)).name}"
    return f"exit status {os.waitstatus_to_exitcode(status)}"


if __name__ == "__main__":
    # Loaded before the forks; none of these starts a thread by being imported.
    import av  # noqa: F401
    import cv2
    import PIL.Image
    from ai_edge_litert.interpreter import Interpreter  # noqa: F401

    import pallor.features.quality
    import pallor.video.recorder  # noqa: F401

    PIL.Image.init()
    cv2.setNumThreads(1)
    for line in sys.stdin:
        sys.stdout.write(json.dumps(record_in_fork(json.loads(line))) + "\n")
        sys.stdout.flush()
