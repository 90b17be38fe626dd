"""Clips on a Dask cluster: a few at a time in the scheduler, whatever happens to its workers."""

from __future__ import annotations

import logging
import queue
import secrets
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pallor.cohort.address import shown
from pallor.cohort.clip_outcome import ClipOutcome, ClipTask, DamagedOutcomeError, decode
from pallor.cohort.dask_task import circumstances, end_run, fitting, measure_clip
from pallor.cohort.extraction_worker import Measure, function_name, measure
from pallor.cohort.scheduler_address import check_scheduler
from pallor.errors import FeatureTableError, UsageError

if TYPE_CHECKING:
    from distributed import Client, Future

_A_THREAD = 3
"""Tasks in the scheduler for each thread of a worker: none waits for the client."""
_AT_LEAST = 16
"""Tasks in it where there is no worker yet: clusters that grow with the work see some."""

_LOOK_S = 1.0
_CONNECT_S = 10.0
_ANSWER_S = 60.0
_END_S = 10.0


class DaskRunner:
    """Runs tasks on the workers of a Dask scheduler; a context manager.

    Parameters
    ----------
    address
        Of the scheduler, ``tcp://HOST:PORT`` or ``tls://HOST:PORT``. Certificates for the
        latter are found in Dask's own configuration.
    wait_s
        Longest time without any worker.
    worker
        What measures a clip; a function of a module that can be imported on every machine.
    time_limit_s
        Longest time for one clip, None for no limit.

    Raises
    ------
    UsageError
        If the address has another form, or Dask is not installed.
    """

    def __init__(
        self,
        address: str,
        wait_s: float = 600.0,
        worker: Measure = measure,
        time_limit_s: float | None = 3600.0,
    ) -> None:
        self._address = check_scheduler(address)
        self._wait_s = wait_s
        self._function = function_name(worker)
        self._time_limit_s = time_limit_s
        self._run = f"pallor-{secrets.token_hex(8)}"
        self._client: Client | None = None
        self._waiting: dict[str, tuple[Future, ClipTask]] = {}
        self._finished: queue.SimpleQueue[Future] = queue.SimpleQueue()
        self._last_worker_s = time.monotonic()
        self._looked_s = 0.0
        self._threads = 0
        self._resources = ExitStack()
        try:
            import distributed  # noqa: F401
        except ImportError as error:
            raise UsageError(
                "--scheduler needs Dask: pip install 'pallor[cluster]', here and on every worker"
            ) from error

    def __enter__(self) -> DaskRunner:
        with ExitStack() as resources:
            resources.enter_context(_quiet())
            self._client = resources.enter_context(_connected(self._address, self._run))
            self._resources = resources.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        client, self._client = self._client, None
        waiting, self._waiting = self._waiting, {}
        with self._resources:
            if client is not None and client.status == "running":
                # A worker that hangs must not keep us; its processes end without us, too.
                ending = threading.Thread(
                    target=_end, args=(client, self._run, [f for f, _ in waiting.values()]),
                    daemon=True,
                )  # fmt: skip
                ending.start()
                ending.join(_END_S)

    def run(self, tasks: Sequence[ClipTask]) -> Iterator[ClipOutcome]:
        """Yield the outcomes as they come, one a task.

        Raises
        ------
        FeatureTableError
            If the scheduler is lost, no worker comes for too long, or a worker cannot
            measure any clip. What was yielded before is good.
        """
        client = self._client
        if client is None or not tasks:
            return
        expected = circumstances(tasks[0])
        self._last_worker_s = time.monotonic()
        self._look(client)
        self._check_workers(client, expected, tasks[0])
        coming = iter(tasks)
        exhausted = False
        while True:
            while not exhausted and len(self._waiting) < max(_AT_LEAST, _A_THREAD * self._threads):
                task = next(coming, None)
                if task is None:
                    exhausted = True
                else:
                    self._submit(client, task, expected)
            if not self._waiting:
                return
            try:
                future = self._finished.get(timeout=_LOOK_S)
            except queue.Empty:
                self._look(client)
                continue
            yield self._outcome(client, future)
            if time.monotonic() - self._looked_s > _LOOK_S:
                self._look(client)

    def _submit(self, client: Client, task: ClipTask, expected: str) -> None:
        future = client.submit(
            measure_clip,
            self._run,
            task.to_json(),
            self._function,
            self._time_limit_s,
            expected,
            key=f"{self._run}-{task.key}",
        )
        self._waiting[future.key] = (future, task)
        future.add_done_callback(self._finished.put)

    def _outcome(self, client: Client, future: Future) -> ClipOutcome:
        from distributed import KilledWorker

        task = self._waiting[future.key][1]
        if future.cancelled():
            raise self._lost()
        try:
            answer = self._answer(client, future)
        except KilledWorker as error:
            answer = None
            text = (
                f"{shown(task.clip)}: {error.allowed_failures + 1} Dask workers died over it: look "
                "into their logs, and give them more memory"
            )
        except FeatureTableError:
            raise
        except Exception as error:  # whatever it was that a worker raised, Dask raises here
            raise FeatureTableError(
                f"{self._address}: a worker cannot run pallor ({type(error).__name__}: {error}): "
                "install the same pallor on every worker"
            ) from error
        del self._waiting[future.key]
        if answer is None:
            return ClipOutcome.failed(task, "crashed", text)
        if isinstance(answer, str):
            raise FeatureTableError(f"{self._address}: a worker {answer}: {_SAME}")
        try:
            outcome = decode(answer)
        except DamagedOutcomeError as error:
            text = f"{shown(task.clip)}: garbled answer ({error})"
            return ClipOutcome.failed(task, "crashed", text)
        return outcome

    def _answer(self, client: Client, future: Future) -> Any:
        """Return a result; a worker that died with it leaves Dask to compute it again."""
        while True:
            try:
                return future.result(timeout=_ANSWER_S)
            except TimeoutError:
                if future.status == "error":  # the task's own
                    raise
                self._look(client)
            except Exception:  # the worker's, or Dask's own when its scheduler is gone
                if client.status != "running" or future.cancelled():
                    raise self._lost() from None
                raise

    def _look(self, client: Client) -> None:
        """See whether the scheduler and some worker are still there."""
        self._looked_s = time.monotonic()
        if client.status != "running":
            raise self._lost()
        try:
            self._threads = sum(client.nthreads().values())
        except Exception as error:  # Dask names no class for a lost connection
            raise self._lost() from error
        if self._threads:
            self._last_worker_s = time.monotonic()
        elif time.monotonic() - self._last_worker_s > self._wait_s:
            raise FeatureTableError(
                f"{self._address}: there was no Dask worker for {self._wait_s:g} s: start some "
                "(dask worker ADDRESS); finished clips are kept, run the same command again"
            )

    def _check_workers(self, client: Client, expected: str, task: ClipTask) -> None:
        """Refuse workers that would give other features than this machine."""
        answers = client.run(fitting, expected, task.to_json(), on_error="return")
        for worker, answer in sorted(answers.items()):
            if isinstance(answer, Exception):
                answer = f"cannot run pallor ({type(answer).__name__}: {answer})"
            if answer:
                more = f" ({len(answers)} workers in all)" if len(answers) > 1 else ""
                raise FeatureTableError(
                    f"{self._address}: the worker {worker} {answer}{more}: {_SAME}"
                )

    def _lost(self) -> FeatureTableError:
        return FeatureTableError(
            f"{self._address}: the Dask scheduler is gone; finished clips are kept: run the same "
            "command again, with a scheduler that runs or without --scheduler"
        )


@contextmanager
def _connected(address: str, name: str) -> Iterator[Client]:
    from distributed import Client

    try:
        client = Client(address, timeout=_CONNECT_S, set_as_default=False, name=name)
    except (OSError, ValueError, TypeError, RuntimeError, ImportError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        hint = "check the address, and that the scheduler runs"
        if address.startswith("tls://"):
            hint += "; certificates are named in Dask's configuration (distributed.comm.tls)"
        raise FeatureTableError(
            f"{address}: no Dask scheduler answers ({reason}): {hint}"
        ) from error
    try:
        yield client
    finally:
        with suppress(Exception):
            client.close(timeout=_END_S)


def _end(client: Client, run: str, futures: list[Future]) -> None:
    with suppress(Exception):
        if futures:
            client.cancel(futures, force=True)
        client.run(end_run, run, on_error="ignore")


_SAME = "install the same versions as here on every worker"


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask's log lines from the user: what matters becomes an error or an outcome."""
    names = ("distributed", "tornado", "tornado.application", "asyncio")
    loggers = [logging.getLogger(name) for name in names]
    loggers += [
        logger
        for name, logger in logging.root.manager.loggerDict.items()
        if name.startswith("distributed.") and isinstance(logger, logging.Logger)
    ]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="distributed")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
