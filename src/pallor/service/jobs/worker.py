"""A worker: ``python -m pallor.service.jobs.worker``, started by the supervisor.

The first line of its standard input holds its orders. The rest of it is a life line: when it
ends, the supervisor is gone, and so is the worker at once; a line ``drain`` asks it to end after
its present job.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from typing import BinaryIO, TypeVar

from pallor.errors import ClipError, PallorError, UsageError
from pallor.service.errors import (
    JobFileMissingError,
    JobInternalError,
    JobMemoryError,
    StoreError,
)
from pallor.service.jobs.kinds import JobFiles
from pallor.service.jobs.limits import MemoryLimit, die_with_parent, limited, settle
from pallor.service.jobs.orders import WorkerOrders
from pallor.service.jobs.said import said_of
from pallor.service.jobs.work import Work
from pallor.service.log import configure, outage
from pallor.service.settings import ServiceSettings
from pallor.service.store.engine import connect
from pallor.service.store.job import Job
from pallor.service.store.jobs import JobStore

T = TypeVar("T")

_log = logging.getLogger(__name__)

POLL_S = 0.1
HEARTBEAT_S = 1.5
PROGRESS_S = 0.25
"""Shortest time between two reports of progress."""
MAX_SERVED = 100
"""Owners remembered, so that they take turns."""

ORPHANED = 3
"""Exit status where the supervisor is gone."""
NOT_MINE = 4
"""Exit status where the job was deleted, or given to another worker."""
OUT_OF_MEMORY = 5
"""Exit status after a job that ran out of memory: what a library holds then is in doubt."""
AS_MEANT = frozenset({NOT_MINE, OUT_OF_MEMORY})
"""Exit statuses of a worker that got going and ended as it should; another takes its place."""


class Worker:
    """Takes jobs and does them, one after the other.

    Parameters
    ----------
    orders
        See `WorkerOrders`.
    jobs
        The queue.
    files
        The clips.
    works
        By kind, what does a job.
    draining
        Set to end after the present job.
    """

    def __init__(
        self,
        orders: WorkerOrders,
        jobs: JobStore,
        files: JobFiles,
        works: Mapping[str, Work],
        draining: threading.Event,
    ) -> None:
        self._id = orders.worker_id
        self._settings = orders.settings
        self._jobs = jobs
        self._files = files
        self._works = works
        self._draining = draining
        self._served: list[str | None] = []

    def run(self) -> int:
        """Work until told to stop; return the exit status."""
        while not self._draining.is_set():
            try:
                job = self._jobs.claim(self._id, self._served)
            except StoreError as error:
                # It may come back.
                outage.met(_of_worker(error.text))
                self._draining.wait(2.0)
                continue
            outage.over()
            if job is None:
                self._draining.wait(POLL_S)
                continue
            served = [owner for owner in self._served if owner != job.owner]
            self._served = [*served, job.owner][-MAX_SERVED:]
            if not self.do(job):
                return OUT_OF_MEMORY
        return 0

    def do(self, job: Job) -> bool:
        """Do one job to its end; False where the process must not go on afterwards."""
        result: dict[str, object] | None = None
        error: PallorError | None = None
        with _Heart(self._jobs, job.id, self._id):
            try:
                result = self._result(job)
            except PallorError as raised:
                error = raised
        if error is None:
            mine = _again(lambda: self._jobs.finish(job.id, result or {}, worker_id=self._id))
        else:
            code, text = error.code, error.text
            mine = _again(lambda: self._jobs.fail(job.id, code, text, worker_id=self._id))
        # An upload is deleted, unless another worker was given the job in the meantime.
        if mine or _again(lambda: self._jobs.get(job.id)) is None:
            self._files.forget(job)
        return not isinstance(error, JobMemoryError)

    def _result(self, job: Job) -> dict[str, object]:
        """Return the result of a job.

        Raises
        ------
        PallorError
            Its text may be seen by anybody.
        """
        work = self._works.get(job.kind)
        if work is None:
            raise JobInternalError("this version of the service does no job of this kind")
        path = self._files.path(job)
        if path is None or not path.is_file():
            raise JobFileMissingError("the uploaded clip is no longer there: upload it again")
        reporter = _Reporter(self._jobs, job.id, self._id)
        memory = MemoryLimit(None)
        try:
            with limited(
                self._settings.job_memory_bytes, self._settings.job_time_limit_s
            ) as memory:
                return work(path, job.options, reporter)
        except Exception as error:  # of whatever library: the job fails with it, the worker goes on
            if isinstance(error, FileNotFoundError) and not path.exists():
                # Whoever uploaded it deleted the job meanwhile: no fault that a log should show.
                raise JobFileMissingError("the uploaded clip was deleted") from error
            said = said_of(error, path, no_memory=memory.was_met())
            if not isinstance(error, ClipError | UsageError):
                _log.error("%s", _of_worker(f"job {job.id}: {said.code}\n{traceback.format_exc()}"))
            raise said from error


class _Reporter:
    """Writes progress into the queue, not too often."""

    def __init__(self, jobs: JobStore, job_id: str, worker_id: str) -> None:
        self._jobs, self._job_id, self._worker_id = jobs, job_id, worker_id
        self._stage = ""
        self._last_s = 0.0

    def __call__(self, stage: str, share: float) -> None:
        now = time.monotonic()
        if stage == self._stage and now - self._last_s < PROGRESS_S:
            return
        self._stage, self._last_s = stage, now
        try:
            self._jobs.progress(self._job_id, stage, share, worker_id=self._worker_id)
        except StoreError as error:  # not worth a job
            outage.met(_of_worker(error.text))


class _Heart:
    """A thread that says that the worker lives while it works on a job."""

    def __init__(self, jobs: JobStore, job_id: str, worker_id: str) -> None:
        self._jobs, self._job_id, self._worker_id = jobs, job_id, worker_id
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True, name="heart")

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def _beat(self) -> None:
        while not self._over.wait(HEARTBEAT_S):
            try:
                mine = self._jobs.heartbeat(self._job_id, self._worker_id)
            except Exception:  # noqa: BLE001, S112 - the next beat may get through
                continue
            if not mine and not self._over.is_set():
                # Deleted by its owner, or given to another: nobody wants what comes out.
                os._exit(NOT_MINE)


def _again(call: Callable[[], T]) -> T:
    """Call until the database answers: a result must not be lost to a moment's outage."""
    pause_s = 0.2
    while True:
        try:
            return call()
        except StoreError as error:
            outage.met(_of_worker(error.text))
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, 5.0)


def _of_worker(text: str) -> str:
    return f"worker {os.getpid()}: {text.rstrip()}"


def _follow(line: BinaryIO, draining: threading.Event) -> None:
    for word in line:
        if word.strip() == b"drain":
            draining.set()
    os._exit(ORPHANED)


def make_work(name: str, settings: ServiceSettings) -> Work:
    """Make the function that does a job, by the ``module:function`` that makes it."""
    module, _, function = name.partition(":")
    work: Work = getattr(importlib.import_module(module), function)(settings)
    return work


def main() -> int:
    """Run a worker."""
    die_with_parent()
    settle()
    configure()
    line = sys.stdin.buffer
    first = line.readline()
    if not first:
        return ORPHANED
    orders = WorkerOrders.from_json(first.decode("utf-8"))
    draining = threading.Event()
    threading.Thread(target=_follow, args=(line, draining), daemon=True, name="life line").start()
    try:
        works = {kind: make_work(name, orders.settings) for kind, name in orders.work.items()}
        jobs = JobStore(connect(orders.settings.url))
    except PallorError as error:
        _log.error("%s", _of_worker(error.text))
        return 1
    return Worker(orders, jobs, JobFiles(orders.settings), works, draining).run()


if __name__ == "__main__":
    status = main()
    # Threads of libraries must not hold up the end.
    sys.stderr.flush()
    os._exit(status)
