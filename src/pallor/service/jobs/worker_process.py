"""One worker process, as the supervisor sees it."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Mapping

from pallor.service.jobs.limits import deaf
from pallor.service.jobs.orders import WorkerOrders
from pallor.service.settings import ServiceSettings

_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


class WorkerProcess:
    """A worker that was started.

    Parameters
    ----------
    settings
        Of the service.
    work
        By kind of job, ``module:function`` that makes the function which does it.

    Attributes
    ----------
    worker_id
        Unique to the process.
    started_s
        On the monotonic clock.
    """

    def __init__(self, settings: ServiceSettings, work: Mapping[str, str]) -> None:
        self.worker_id = secrets.token_hex(12)
        self.started_s = time.monotonic()
        threads = max(1, (os.cpu_count() or 1) // max(1, settings.workers))
        environment = {**os.environ, **dict.fromkeys(_THREADS, str(threads))}
        # Each arena of the C library reserves 64 MiB of the address space that is limited.
        environment.setdefault("MALLOC_ARENA_MAX", "2")
        # The same modules as here, but never those that happen to lie in the current folder.
        environment["PYTHONPATH"] = os.pathsep.join(folder for folder in sys.path if folder)
        with deaf():
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "pallor.service.jobs.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                env=environment,
            )
        self._say(WorkerOrders(self.worker_id, work, settings).to_json())

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """Exit status; None while it runs, minus the signal where one ended it."""
        return self._process.poll()

    def drain(self) -> None:
        """Ask it to end after its present job."""
        self._say("drain")

    def kill(self) -> None:
        """End it at once, and wait until it is gone."""
        self._process.kill()
        self._process.wait()
        self._close()

    def wait(self, time_s: float) -> bool:
        """Wait until it ended by itself; False where it has not by then."""
        try:
            self._process.wait(max(0.0, time_s))
        except subprocess.TimeoutExpired:
            return False
        self._close()
        return True

    def _say(self, line: str) -> None:
        if self._process.stdin is None:
            return
        # A worker that is gone already is seen by its status.
        with contextlib.suppress(OSError):
            self._process.stdin.write(line.encode("utf-8") + b"\n")
            self._process.stdin.flush()

    def _close(self) -> None:
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
