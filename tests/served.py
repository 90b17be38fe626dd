"""A real service on loopback: the command as a user types it, and a client that speaks to it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

START_S = 60.0


@dataclass(frozen=True)
class Served:
    url: str
    data: Path
    log: Path
    pid: int

    def client(self, key: str | None = None, **options: object) -> httpx.Client:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, **options)

    def uploads(self) -> list[str]:
        return sorted(path.name for path in (self.data / "uploads").iterdir())


def pallor(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pallor", *map(str, arguments)]
    environment = {**os.environ, **variables}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def succeed(*arguments: object) -> str:
    run = pallor(*arguments)
    assert run.returncode == 0, run.stderr
    return run.stdout


@contextmanager
def serve(
    data: Path, *options: object, files: int | None = None, own_group: bool = False
) -> Iterator[Served]:
    """Run ``pallor serve``, where asked with no right to more than so many open files."""
    log = data.with_name(f"{data.name}.log")
    command = [sys.executable, "-m", "pallor", "serve", "--data", data, "--port", "0", *options]
    if files is not None:
        command = ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", *command]
    with log.open("w") as stream:
        process = subprocess.Popen(
            list(map(str, command)), stderr=stream, stdout=stream, start_new_session=own_group
        )
    try:
        yield Served(_address(log, process), data, log, process.pid)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        finally:
            process.kill()


def _address(log: Path, process: subprocess.Popen[bytes]) -> str:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        text = log.read_text()
        found = re.search(r"running on (https?://[\w.:\[\]]+)", text)
        if found:
            return found[1]
        assert process.poll() is None, text
        time.sleep(0.05)
    raise AssertionError(log.read_text())


def finished(client: httpx.Client, estimate_id: str, within_s: float = 120) -> dict:
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        answer = client.get(f"/v1/estimates/{estimate_id}")
        assert answer.status_code == 200, answer.text
        state = answer.json()
        if state["state"] in {"done", "failed"}:
            return state
        time.sleep(0.2)
    raise AssertionError(f"not finished: {state}")


def no_inner_details(text: str, data: Path) -> None:
    """Fail where an answer tells of files or code."""
    inner = (str(data), os.sep + "tmp" + os.sep, "Traceback", 'File "', ".py", "site-packages")
    for word in (*inner, "object at 0x", "<_io."):
        assert word not in text, text
