"""Keeps the workers running, and sees to it that no job is lost with one of them.

It is a thread of the server. Its workers are programs of their own: a clip that crashes, hangs
or fills the memory of one costs that clip alone. When the server is killed, the workers end
with it, and the next start finds their jobs in the database.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from pallor.service.errors import JobTimeError, StoreError
from pallor.service.files import FileStore
from pallor.service.jobs.kinds import KINDS, JobFiles
from pallor.service.jobs.watch import Watch
from pallor.service.jobs.worker import AS_MEANT
from pallor.service.jobs.worker_process import WorkerProcess
from pallor.service.log import outage
from pallor.service.settings import ServiceSettings
from pallor.service.store.audit import AuditLog
from pallor.service.store.engine import Store
from pallor.service.store.job import FAILED, Job
from pallor.service.store.jobs import JobStore

LOST_S = 15.0
"""A worker that was not heard of for ten heartbeats is lost."""

_TICK_S = 0.1
_WATCH_EVERY_S = 1.0
_TIDY_EVERY_S = 30.0
_LONGEST_PAUSE_S = 30.0
_YOUNG_S = 10.0
"""A worker that ends sooner, has no job and does not say why, does not get going: the next start
waits, longer each time."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SupervisorStatus:
    """How the workers are, for readiness and metrics.

    Attributes
    ----------
    wanted, alive
        Number of worker processes that should run, and that do.
    restarts
        How often a worker was started again since the start.
    pids
        Of those alive.
    following
        Number of those that are started at this moment, in the place of one that ended as it
        should.
    """

    wanted: int
    alive: int
    restarts: int
    pids: tuple[int, ...]
    following: int = 0

    @property
    def ready(self) -> bool:
        """Whether a job would be worked on."""
        return self.alive + self.following > 0


class Supervisor:
    """Keeps ``settings.workers`` processes; a context manager that leaves none behind.

    Parameters
    ----------
    settings
        Of the service.
    store
        The open database, its tables up to date.
    work
        ``module:function`` that makes the function which does a job of any kind; each kind has
        its own by default, see `pallor.service.jobs.kinds`.
    lost_s
        Seconds without a sign of life after which a job is taken from its worker.
    tidy
        What else is to be done now and then, such as to finish what a killed server began.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        store: Store,
        *,
        work: str | None = None,
        lost_s: float = LOST_S,
        tidy: Callable[[], object] | None = None,
    ) -> None:
        self._settings = settings
        self._work = {name: work or kind.work for name, kind in KINDS.items()}
        self._lost_s = lost_s
        self._tidy = tidy
        self._jobs = JobStore(store)
        self._audit = AuditLog(store)
        self._uploads = FileStore(settings.uploads)
        self._files = JobFiles(settings)
        self._slots = [_Slot() for _ in range(settings.workers)]
        self._restarts = 0
        self._stopping = threading.Event()
        self._grace_s = 0.0
        self._due: dict[str, float] = {}
        self._watch = Watch()
        self._took_over = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the workers, and what looks after them. Does nothing where it runs already."""
        if self._thread is None:
            self._stopping.clear()
            self._took_over = False
            # A daemon, so that a server that forgets to stop it still ends; its workers then
            # lose their life line.
            self._thread = threading.Thread(target=self._run, name="pallor-supervisor", daemon=True)
            self._thread.start()

    def stop(self, grace_s: float = 5.0) -> None:
        """End the workers; jobs that are not done by then go back to the queue.

        Parameters
        ----------
        grace_s
            How long present jobs may take to end.
        """
        thread, self._thread = self._thread, None
        if thread is not None:
            self._grace_s = grace_s
            self._stopping.set()
            thread.join()

    def status(self) -> SupervisorStatus:
        """Return how the workers are."""
        pids: list[int] = []
        following = 0
        for slot in self._slots:
            worker = slot.worker
            if worker is not None and worker.status is None:
                pids.append(worker.pid)
            elif slot.follows or (worker is not None and worker.status in AS_MEANT):
                following += 1
        return SupervisorStatus(len(self._slots), len(pids), self._restarts, tuple(pids), following)

    def __enter__(self) -> Supervisor:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop(0.0)

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._guarded_round()
                self._stopping.wait(_TICK_S)
        finally:
            self._end_workers()

    def _guarded_round(self) -> None:
        try:
            self._round()
        except StoreError as error:
            # The database may come back; until then jobs wait in it.
            outage.met(error.text)
            self._watch.forgive()
            self._stopping.wait(2.0)
        except Exception:  # noqa: BLE001 - logged
            # Without this thread no job would ever be worked on again.
            _log.exception("the supervisor met an unexpected error and goes on")
            self._stopping.wait(2.0)

    def _round(self) -> None:
        if not self._took_over:
            # Before the first worker: whatever is running was left by a server that was killed.
            self._forget_uploads(self._jobs.requeue_running())
            self._took_over = True
        for slot in self._slots:
            self._look_after(slot)
        if self._is_due("watch", _WATCH_EVERY_S):
            self._watch_jobs()
        if self._is_due("tidy", _TIDY_EVERY_S):
            self._expire()
            self._uploads.sweep(self._jobs.file_tokens)
            if self._tidy is not None:
                self._tidy()

    def _is_due(self, what: str, every_s: float) -> bool:
        now = time.monotonic()
        if now < self._due.get(what, 0.0):
            return False
        self._due[what] = now + every_s
        return True

    def _look_after(self, slot: _Slot) -> None:
        worker = slot.worker
        if worker is not None and worker.status is not None:
            _log.warning("worker %d ended with status %s", worker.pid, worker.status)
            # The slot is emptied last: where the database does not answer, it is tried again.
            released = self._jobs.release(worker.worker_id)
            self._forget_uploads(released)
            as_meant = worker.status in AS_MEANT
            worker.kill()
            # Who deletes jobs, or sends clips that end workers, must not make the others wait.
            young = time.monotonic() - worker.started_s < _YOUNG_S
            slot.pause(young and not as_meant and not released)
            slot.follows = as_meant
            slot.worker = worker = None
            self._restarts += 1
        if worker is None and time.monotonic() >= slot.next_s and not self._stopping.is_set():
            slot.worker = WorkerProcess(self._settings, self._work)
            slot.follows = False

    def _expire(self) -> None:
        number = self._jobs.expire(self._settings.keep_results_s)
        if number:
            self._audit.add("system", "estimate.expire", f"{number} finished jobs")

    def _watch_jobs(self) -> None:
        running = self._jobs.running()
        outage.over()
        self._watch.look(running)
        for job in running:
            if self._watch.running_s(job) > self._settings.job_time_limit_s:
                self._stop_overdue(job)
            elif self._watch.silent_s(job) > self._lost_s and job.worker_id is not None:
                self._kill_worker(job)
                self._forget_uploads(self._jobs.release(job.worker_id))

    def _stop_overdue(self, job: Job) -> None:
        self._kill_worker(job)
        text = (
            f"the clip was not processed within {self._settings.job_time_limit_s:g} s and was "
            "stopped: record a shorter one, or at a lower resolution"
        )
        # Only while it is still that worker's: it may have finished just before the kill.
        if self._jobs.fail(job.id, JobTimeError.code, text, worker_id=job.worker_id):
            self._files.forget(job)

    def _kill_worker(self, job: Job) -> None:
        for slot in self._slots:
            if slot.worker is not None and slot.worker.worker_id == job.worker_id:
                slot.worker.kill()
                slot.pause(False)

    def _forget_uploads(self, jobs: tuple[Job, ...]) -> None:
        for job in jobs:
            if job.state == FAILED:
                self._files.forget(job)

    def _end_workers(self) -> None:
        workers = [slot.worker for slot in self._slots if slot.worker is not None]
        for worker in workers:
            worker.drain()
        end_s = time.monotonic() + self._grace_s
        for worker in workers:
            worker.wait(end_s - time.monotonic())
            worker.kill()
            try:
                # They were told to stop: that counts as no attempt.
                self._jobs.release(worker.worker_id, counted=False)
            except StoreError as error:
                # After the next start the job is seen to be lost, and done then.
                outage.met(error.text)
        for slot in self._slots:
            slot.worker, slot.follows = None, False


class _Slot:
    """The place of one worker.

    It `follows` from the end of a worker that ended as it should until the next is started.
    """

    def __init__(self) -> None:
        self.worker: WorkerProcess | None = None
        self.next_s = 0.0
        self.follows = False
        self._pause_s = 0.0

    def pause(self, young: bool) -> None:
        """Say when the next worker may start."""
        self._pause_s = min(max(0.5, 2 * self._pause_s), _LONGEST_PAUSE_S) if young else 0.0
        self.next_s = time.monotonic() + self._pause_s
