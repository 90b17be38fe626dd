"""A real Dask scheduler and real workers in processes of their own, on the loopback interface."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

import pallor

_PATHS = os.pathsep.join(
    [str(Path(pallor.__file__).parents[1]), str(Path(__file__).parent), *filter(None, sys.path)]
)

_MARK = "PALLOR_TEST_CLUSTER"


class Cluster:
    """One scheduler; workers are added and killed by hand."""

    def __init__(
        self,
        folder: Path,
        options: Sequence[str] = (),
        protocol: str = "tcp",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._folder = folder
        self._environment = dict(environment or {})
        self._options = list(options)
        self.workers: list[subprocess.Popen[bytes]] = []
        self._logs = 0
        self.scheduler = self._start(
            "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
            "--protocol", protocol,
        )  # fmt: skip
        self.address = self._said(r"Scheduler at:\s+(\S+)")

    def add_worker(self, **environment: str) -> subprocess.Popen[bytes]:
        """Start a worker of one thread, which no nanny starts again, and wait until it is in."""
        worker = self._start(
            "worker", self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard",
            "--host", "127.0.0.1", "--local-directory", str(self._folder), "--death-timeout", "10",
            "--memory-limit", "0", environment=environment,
        )  # fmt: skip
        self.workers.append(worker)
        self._said(r"(Starting established connection|Registered to:)")
        return worker

    def tasks(self) -> int:
        """Count the tasks that the scheduler knows of."""
        from distributed import Client

        with Client(self.address, set_as_default=False) as client:
            return client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks))

    def end(self) -> None:
        for process in (*self.workers, self.scheduler):
            kill(process)

    def _start(
        self, *arguments: str, environment: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        self._logs += 1
        self._log = self._folder / f"dask-{self._logs}.log"
        with self._log.open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "distributed.cli.dask_" + arguments[0], *arguments[1:],
                 *self._options],
                stdout=log, stderr=log, cwd=self._folder,
                env={**os.environ, "PYTHONPATH": _PATHS, _MARK: str(self._folder),
                     **self._environment, **(environment or {})},
            )  # fmt: skip

    def _said(self, pattern: str) -> str:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            found = re.search(pattern, self._log.read_text(errors="replace"))
            if found:
                return found[1]
            time.sleep(0.05)
        raise AssertionError(self._log.read_text())


@contextmanager
def running(folder: Path, workers: int = 2, **options: object) -> Iterator[Cluster]:
    cluster = Cluster(folder, **options)
    try:
        for _ in range(workers):
            cluster.add_worker()
        yield cluster
    finally:
        cluster.end()


def kill(process: subprocess.Popen[bytes], *, children: bool = True) -> None:
    """End a process by SIGKILL, and its children, as a node that dies would."""
    family = []
    if children and process.poll() is None:
        family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    for member in family:
        member.kill()
    process.wait()


def measuring(folder: Path) -> list[psutil.Process]:
    """Processes that measure clips for the workers of a cluster, alive or orphaned."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if "pallor.cohort.extraction_worker" in process.cmdline() and process.environ().get(
                _MARK
            ) == str(folder):
                found.append(process)
    return found


def none_measuring(folder: Path, within_s: float = 10) -> bool:
    until = time.monotonic() + within_s
    while measuring(folder):
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True
