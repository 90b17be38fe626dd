"""The PostgreSQL of the tests leaves nothing behind, however they end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from postgres_server import postgres_server

pytestmark = pytest.mark.slow

SCRIPT = """
import time
from postgres_server import postgres_server
with postgres_server() as url:
    print(url, flush=True)
    time.sleep(600)
"""


def listens(url: str) -> bool:
    port = int(url.rpartition(":")[2].partition("/")[0])
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def folder_of(url: str) -> Path:
    import psycopg

    with psycopg.connect(url) as connection:
        row = connection.execute("SHOW data_directory").fetchone()
    assert row is not None
    return Path(row[0]).parent


def test_it_ends_with_the_tests() -> None:
    with postgres_server() as url:
        folder = folder_of(url)
        assert folder.is_dir()
    assert not listens(url)
    assert not folder.exists()


@pytest.mark.parametrize("group", [False, True])
def test_it_ends_with_tests_that_are_killed(group: bool) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    tests = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True, env=environment,
        start_new_session=True,
    )  # fmt: skip
    assert tests.stdout is not None
    with tests.stdout:
        url = tests.stdout.readline().strip()
        if not url:
            pytest.skip("PostgreSQL is absent, or cannot be run by this user")
        folder = folder_of(url)
        (os.killpg if group else os.kill)(tests.pid, signal.SIGKILL)
        tests.wait()
    until = time.monotonic() + 15
    while (listens(url) or folder.exists()) and time.monotonic() < until:
        time.sleep(0.1)
    assert not listens(url)
    assert not folder.exists()
