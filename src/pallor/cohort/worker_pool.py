"""Worker processes, one clip at a time each: a crash or a hang costs that clip alone.

A process pool of the standard library breaks as a whole when one worker dies, names no
culprit, cannot stop a single task, and imports the caller's main script again. Here every
worker is a program of its own behind a pipe, so all four are plain.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import BinaryIO

from pallor.cohort.address import shown, without_secrets
from pallor.cohort.clip_outcome import ClipOutcome, ClipTask, DamagedOutcomeError, decode
from pallor.cohort.extraction_worker import Measure, function_name
from pallor.errors import FeatureTableError

_ONE_THREAD = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
_MAX_ANSWER_BYTES = 2**30


class Worker:
    """One worker process; started when first needed, and again after it died."""

    def __init__(self, measure: Measure, time_limit_s: float | None) -> None:
        self._name = function_name(measure)
        self._time_limit_s = time_limit_s
        self._process: subprocess.Popen[bytes] | None = None
        self._log: BinaryIO | None = None
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._stopping = False

    def run(self, task: ClipTask) -> ClipOutcome:
        """Measure a clip in the process; whatever happens there becomes the outcome.

        Raises
        ------
        FeatureTableError
            If the process does not even start, which is no clip's fault.
        """
        process = self._ready()
        stopped = threading.Event()

        def stop() -> None:
            stopped.set()
            process.kill()

        timer = threading.Timer(self._time_limit_s or 0, stop)
        timer.daemon = True
        if self._time_limit_s is not None:
            timer.start()
        try:
            data = self._ask(process, task)
        finally:
            timer.cancel()
        if data is None:
            return self._lost(task, stopped.is_set())
        try:
            outcome = decode(data)
        except DamagedOutcomeError as error:
            self.close()
            return ClipOutcome.failed(
                task, "crashed", f"{shown(task.clip)}: garbled answer ({error})"
            )
        if stopped.is_set():  # just after the answer; the next clip needs a new process
            self.close()
        return outcome

    def stop(self) -> None:
        """Kill the process from another thread; `run` then returns, and starts no new one."""
        self._stopping = True
        process = self._process
        if process is not None:
            process.kill()

    def close(self) -> None:
        """End the process and let go of its pipes; not while `run` is at work."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    # A pipe that broke with an answer half sent cannot be flushed.
                    with contextlib.suppress(OSError):
                        stream.close()
        log, self._log = self._log, None
        if log is not None:
            log.close()
        scratch, self._scratch = self._scratch, None
        if scratch is not None:
            scratch.cleanup()

    def _ready(self) -> subprocess.Popen[bytes]:
        if self._process is not None:
            return self._process
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        environment = {**os.environ, **dict.fromkeys(_ONE_THREAD, "1")}
        # The same modules as here, but never those that happen to lie in the current folder.
        # A process that is killed cannot remove the files that it fetched.
        self._scratch = tempfile.TemporaryDirectory(prefix="pallor-", ignore_cleanup_errors=True)
        environment |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), self._scratch.name)
        environment["PYTHONPATH"] = os.pathsep.join(folder for folder in sys.path if folder)
        process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-m",
                "pallor.cohort.extraction_worker",
                self._name,
                self._scratch.name,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment,
        )
        self._process = process
        if self._stopping:
            process.kill()
        if self._read(process) != b"":
            process.kill()
            process.wait()
            text = self._last_words()
            self.close()
            raise FeatureTableError(f"the worker process does not start: {text}")
        return process

    def _ask(self, process: subprocess.Popen[bytes], task: ClipTask) -> bytes | None:
        if process.stdin is None:
            return None
        try:
            process.stdin.write(task.to_json().encode("utf-8") + b"\n")
            process.stdin.flush()
        except OSError:
            return None
        return self._read(process)

    def _read(self, process: subprocess.Popen[bytes]) -> bytes | None:
        """Return the next answer, None where the process ended before it."""
        if process.stdout is None:
            return None
        head = process.stdout.read(8)
        size = int.from_bytes(head, "big")
        if len(head) < 8 or size > _MAX_ANSWER_BYTES:
            return None
        data = process.stdout.read(size)
        return data if len(data) == size else None

    def _lost(self, task: ClipTask, stopped: bool) -> ClipOutcome:
        process = self._process
        status = None
        if process is not None:
            process.kill()
            status = process.wait()
        words = self._last_words()
        self.close()
        if stopped:
            return ClipOutcome.failed(
                task,
                "time_limit",
                f"{shown(task.clip)}: stopped after {self._time_limit_s:g} s: shorten the clip or "
                "raise the limit",
            )
        return ClipOutcome.failed(
            task,
            "crashed",
            f"{shown(task.clip)}: the worker process died (status {status})"
            f"{': ' if words else ''}{without_secrets(words, task.path)}",
        )

    def _last_words(self) -> str:
        if self._log is None:
            return ""
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, self._log.tell() - 4096))
        lines = self._log.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1][:300] if lines else ""


class WorkerPool:
    """Several workers; a context manager that leaves no process behind."""

    def __init__(self, workers: int, measure: Measure, time_limit_s: float | None = None) -> None:
        self._idle = [Worker(measure, time_limit_s) for _ in range(workers)]
        self._all = tuple(self._idle)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="pallor-extract")

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._all:
            worker.stop()
        self._threads.shutdown(wait=True)
        for worker in self._all:
            worker.close()

    def run(self, tasks: Sequence[ClipTask]) -> Iterator[ClipOutcome]:
        """Yield the outcomes as they come, one a task.

        Raises
        ------
        FeatureTableError
            If worker processes do not start.
        """
        waiting = iter(tasks)
        running: set[Future[ClipOutcome]] = set()
        for task in waiting:
            running.add(self._threads.submit(self._one, task))
            if len(running) >= len(self._all):
                break
        while running:
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                following = next(waiting, None)
                if following is not None:
                    running.add(self._threads.submit(self._one, following))
                yield future.result()

    def _one(self, task: ClipTask) -> ClipOutcome:
        # As many threads as workers: whoever runs finds an idle one. list.pop is atomic.
        worker = self._idle.pop()
        try:
            return worker.run(task)
        finally:
            self._idle.append(worker)
