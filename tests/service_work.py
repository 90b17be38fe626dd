"""What workers do in the tests of the service, told by the options of a job."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from pallor.errors import ClipError, WeightsError
from pallor.service.settings import ServiceSettings

Progress = Callable[[str, float], None]
NAME = "service_work:prepare"


def prepare(settings: ServiceSettings) -> Callable[[Path, Mapping[str, Any], Progress], Any]:
    del settings
    return _work


def _work(path: Path, options: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    what = options.get("do", "echo")
    progress("reading", 0.5)
    if what == "sleep":
        time.sleep(float(options["s"]))
    elif what == "sleep_once":
        # The second attempt is quick: a mark beside the data says that there was a first.
        mark = Path(options["mark"])
        if not mark.exists():
            mark.touch()
            time.sleep(float(options["s"]))
    elif what == "hang":
        while True:
            time.sleep(3600)
    elif what == "spin":
        while True:
            pass
    elif what == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif what == "memory":
        np.ones(int(options["bytes"]), dtype=np.uint8)
    elif what == "hidden_memory":
        # As OpenCV says it, and as a reader that takes it for a damaged file passes it on.
        try:
            raise RuntimeError("(-4:Insufficient memory) Failed to allocate 9366864 bytes")
        except RuntimeError as error:
            raise ClipError("the clip is damaged") from error
    elif what == "many_files":
        with ExitStack() as stack:
            for _ in range(int(options["number"])):
                stack.enter_context(Path(os.devnull).open())
    elif what == "big_file":
        # One byte far behind the end: the file takes no room on the disk, whatever its size.
        with Path(options["path"]).open("wb") as file:
            file.seek(int(options["bytes"]))
            file.write(b"x")
    elif what == "weights":
        raise WeightsError(f"{path.parent}/secret.onnx: absent")
    elif what == "refuse":
        raise ClipError(f"{path}: no good, see {path}")
    elif what == "fault":
        raise ValueError(f"secret of {path}")
    return {"content": path.read_bytes().decode(), "pid": os.getpid()}
