"""Jobs as the server's pages use them, and processes to kill, for the tests of the service."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from pallor.service.files import FileStore
from pallor.service.jobs.supervisor import Supervisor
from pallor.service.settings import ServiceSettings
from pallor.service.store.engine import Store
from pallor.service.store.job import CLIP_CHECK, ESTIMATE, Job
from pallor.service.store.jobs import JobStore
from service_work import NAME

T = TypeVar("T")


class Service:
    """The queue, the uploads and the clips of a study."""

    def __init__(self, settings: ServiceSettings, store: Store) -> None:
        self.jobs = JobStore(store)
        self.files = FileStore(settings.uploads)
        self.clips = FileStore(settings.clips)

    def submit(self, content: str = "clip", **options: object) -> Job:
        token, _, file = self.files.create()
        with file:
            file.write(content.encode())
        return self.jobs.create(ESTIMATE, token, options)

    def check(self, content: str = "clip", **options: object) -> Job:
        """Have a clip checked that a study keeps."""
        token, _, file = self.clips.create()
        with file:
            file.write(content.encode())
        return self.jobs.create(CLIP_CHECK, token, options)

    def kept(self, job: Job) -> str:
        assert job.file_token is not None
        return self.clips.path(job.file_token).read_text()

    def get(self, job: Job) -> Job:
        found = self.jobs.get(job.id)
        assert found is not None
        return found

    def finished(self, job: Job, within_s: float = 40.0) -> Job:
        return until(lambda: found if (found := self.get(job)).finished else None, within_s)

    def running(self, job: Job) -> Job:
        return until(lambda: f if (f := self.get(job)).stage == "reading" else None)

    def no_upload_is_left(self) -> None:
        until(lambda: not list(self.files.folder.iterdir()), 5.0)


def until(look: Callable[[], T], within_s: float = 40.0) -> T:
    end = time.monotonic() + within_s
    while not (found := look()):
        assert time.monotonic() < end, f"not within {within_s} s"
        time.sleep(0.02)
    return found


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.fixture
def service(settings: ServiceSettings, store: Store) -> Service:
    return Service(settings, store)


@contextmanager
def supervised(settings: ServiceSettings, store: Store, **changes: object) -> Iterator[Supervisor]:
    changed = replace(settings, **changes)  # type: ignore[arg-type]
    with Supervisor(changed, store, work=NAME, lost_s=4.0) as supervisor:
        yield supervisor


def server(settings: ServiceSettings, workers: int = 1) -> subprocess.Popen[str]:
    script = Path(__file__).with_name("service_server.py")
    return subprocess.Popen(
        [sys.executable, str(script), str(settings.data), settings.url, str(workers), "60",
         str(2**30)],
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
