"""A PostgreSQL server of Debian's package, for the tests alone."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# Waits for the end of the tests, however they end, then stops the server at once and clears up.
# A server that is just starting has no file with its number yet: hence the rounds.
_WATCHDOG = """
cat > /dev/null
for round in 1 2 3 4 5; do
  pid=$(head -n 1 "$1/data/postmaster.pid" 2> /dev/null) && kill -QUIT "$pid" 2> /dev/null
  for tenth in 1 2 3 4 5 6 7 8 9 10; do
    [ -e "$1/data/postmaster.pid" ] && kill -0 "$pid" 2> /dev/null && sleep 0.1
  done
  rm -rf "$1"
  [ -e "$1" ] || exit 0
  sleep 0.5
done
"""


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    initdb = shutil.which("initdb")
    if initdb is None:
        pytest.skip("PostgreSQL is absent: install Debian's package postgresql")
    return Path(initdb).parent


def _other_user() -> list[str]:
    """The start of a command that runs as somebody else: the server refuses to run as root."""
    if os.getuid() != 0:
        return []
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return ["setpriv", f"--reuid={name}", "--regid", str(pwd.getpwnam(name).pw_gid),
                "--clear-groups"]  # fmt: skip
    pytest.skip("no user to run PostgreSQL as: it refuses root")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _watched(folder: Path) -> Iterator[None]:
    """Have the server of a folder end with this process, even where that is killed."""
    # In a session of its own: who ends the group of the tests does not end the watchdog.
    watchdog = subprocess.Popen(
        ["sh", "-c", _WATCHDOG, "watchdog", str(folder)],
        stdin=subprocess.PIPE, cwd="/", start_new_session=True,
    )  # fmt: skip
    try:
        yield
    finally:
        watchdog.communicate(timeout=30)


@contextmanager
def postgres_server() -> Iterator[str]:
    """Give the URL of an empty server; databases are made with `postgres_database`."""
    programs, user = _programs(), _other_user()
    # Not below pytest's folder: that one is closed to other users.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    with _watched(folder):
        folder.chmod(0o755)
        data = folder / "data"
        data.mkdir(mode=0o700)
        if user:
            owner = pwd.getpwnam(user[1].partition("=")[2])
            os.chown(data, owner.pw_uid, owner.pw_gid)
        port = _free_port()
        environment = {**os.environ, "LC_ALL": "C", "HOME": str(data)}

        def run(program: str, *arguments: str) -> None:
            done = subprocess.run(
                [*user, str(programs / program), *arguments],
                capture_output=True, text=True, env=environment, cwd="/", check=False, timeout=120,
            )  # fmt: skip
            assert done.returncode == 0, done.stdout + done.stderr

        run("initdb", "-D", str(data), "-U", "pallor", "--auth=trust", "-E", "UTF8", "--no-sync")
        options = (
            f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={data} "
            "-c fsync=off -c shared_buffers=16MB -c max_connections=60"
        )
        run("pg_ctl", "-D", str(data), "-w", "-l", str(data / "log"), "-o", options, "start")
        try:
            yield f"postgresql://pallor@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "-D", str(data), "-w", "-m", "immediate", "stop")


def postgres_database(server: str, name: str) -> str:
    """Make an empty database and return its URL."""
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')  # type: ignore[arg-type]
        connection.execute(f'CREATE DATABASE "{name}"')  # type: ignore[arg-type]
    return server.rpartition("/")[0] + f"/{name}"
