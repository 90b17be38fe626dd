"""Workers and servers that are killed, hang, crash or fill the memory: no job is lost."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from long_tests import rounds
from pallor.service.jobs.limits import FILE_BYTES, OPEN_FILES, limited
from pallor.service.jobs.supervisor import Supervisor
from pallor.service.settings import ServiceSettings
from pallor.service.store.audit import AuditLog
from pallor.service.store.engine import Store, open_store
from pallor.service.store.job import ESTIMATE, Job
from postgres_server import postgres_database
from service_databases import postgres, settings, store
from service_jobs import Service, is_alive, kill, server, service, supervised, until

__all__ = ["postgres", "service", "settings", "store"]

pytestmark = pytest.mark.slow


def test_jobs_are_done_and_uploads_deleted(
    settings: ServiceSettings, store: Store, service: Service
) -> None:
    with supervised(settings, store, workers=2):
        jobs = [service.submit(f"clip {n}") for n in range(12)]
        for n, job in enumerate(jobs):
            done = service.finished(job)
            assert done.state == "done" and done.result is not None
            assert done.result["content"] == f"clip {n}"
        service.no_upload_is_left()


def test_one_worker_serves_owners_in_turn(
    settings: ServiceSettings, store: Store, service: Service
) -> None:
    jobs = []
    for owner in ("many", "many", "many", "few"):
        token, _, file = service.files.create()
        file.close()
        jobs.append(service.jobs.create(ESTIMATE, token, {}, owner))
    with supervised(settings, store):
        ends = [service.finished(job).finished_s for job in jobs]
    assert ends[0] < ends[3] < ends[1] < ends[2]


def test_the_job_of_a_killed_worker_is_done_by_another(
    settings: ServiceSettings, store: Store, service: Service, tmp_path: Path
) -> None:
    with supervised(settings, store) as supervisor:
        job = service.submit(do="sleep_once", s=60, mark=str(tmp_path / "mark"))
        service.running(job)
        (pid,) = supervisor.status().pids
        kill(pid)
        # Seen by its end, without waiting for heartbeats that fail to come.
        done = service.finished(job, within_s=15.0)
        assert done.state == "done" and done.attempts == 2 and done.result is not None
        assert done.result["pid"] != pid
        assert supervisor.status().restarts == 1
        service.no_upload_is_left()


def test_a_clip_that_kills_its_workers_fails_and_others_are_done(
    settings: ServiceSettings, store: Store, service: Service
) -> None:
    with supervised(settings, store):
        bad, good = service.submit(do="crash"), service.submit("good")
        failed = service.finished(bad)
        assert (failed.state, failed.code, failed.attempts) == ("failed", "crashed", 2)
        assert service.finished(good).state == "done"
        service.no_upload_is_left()


@pytest.mark.parametrize("how", ["hang", "spin"])
def test_a_clip_that_hangs_is_stopped(
    settings: ServiceSettings, store: Store, service: Service, how: str
) -> None:
    with supervised(settings, store, job_time_limit_s=1.5) as supervisor:
        bad, good = service.submit(do=how), service.submit("good")
        service.running(bad)
        (pid,) = supervisor.status().pids
        failed = service.finished(bad)
        assert (failed.state, failed.code, failed.attempts) == ("failed", "time_limit", 1)
        assert failed.finished_s is not None and failed.started_s is not None
        assert failed.finished_s - failed.started_s < 6.0
        assert not is_alive(pid)
        assert service.finished(good).state == "done"
        service.no_upload_is_left()


def test_a_clip_that_fills_the_memory_fails(
    settings: ServiceSettings, store: Store, service: Service
) -> None:
    with supervised(settings, store, job_memory_bytes=300 * 2**20):
        small = service.submit(do="memory", bytes=100 * 2**20)
        large = service.submit(do="memory", bytes=600 * 2**20)
        good = service.submit("good")
        assert service.finished(small).state == "done"
        failed = service.finished(large)
        assert (failed.state, failed.code, failed.attempts) == ("failed", "memory_limit", 1)
        assert service.finished(good).state == "done"
        service.no_upload_is_left()


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
def test_a_clip_that_opens_or_writes_too_much_fails(
    settings: ServiceSettings, store: Store, service: Service, tmp_path: Path
) -> None:
    with supervised(settings, store):
        few = service.submit(do="many_files", number=100)
        many = service.submit(do="many_files", number=OPEN_FILES)
        small = service.submit(do="big_file", path=str(tmp_path / "small"), bytes=FILE_BYTES // 2)
        big = service.submit(do="big_file", path=str(tmp_path / "big"), bytes=2 * FILE_BYTES)
        good = service.submit("good")
        states = [service.finished(job) for job in (few, many, small, big, good)]
        assert [job.state for job in states] == ["done", "failed", "done", "failed", "done"]
        assert states[1].attempts == states[3].attempts == 1
        assert (tmp_path / "big").stat().st_size == 0
        service.no_upload_is_left()


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
def test_a_large_database_can_be_written_during_a_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pallor.service.jobs.limits.FILE_BYTES", 2 * 2**20)
    with closing(sqlite3.connect(tmp_path / "large.db", isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE t (x BLOB)")
        database.execute("INSERT INTO t VALUES (zeroblob(?))", (8 * 2**20,))
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with limited(2**30, 10.0):
            for _ in range(20):
                database.execute("INSERT INTO t VALUES (zeroblob(50000))")
            # Written behind the end of the file as it was, too.
            assert database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
            with (tmp_path / "other").open("wb", buffering=0) as file:
                file.seek(12 * 2**20)
                with pytest.raises(OSError, match="too large"):
                    file.write(b"x")
        database.execute("INSERT INTO t VALUES (zeroblob(?))", (20 * 2**20,))
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert (tmp_path / "large.db").stat().st_size > 20 * 2**20


def test_no_path_and_no_trace_in_what_is_said(
    settings: ServiceSettings, store: Store, service: Service
) -> None:
    with supervised(settings, store):
        refused = service.finished(service.submit(do="refuse"))
        assert (refused.code, refused.text) == ("clip", "no good, see clip")
        fault = service.finished(service.submit(do="fault"))
        assert fault.code == "internal" and fault.text is not None
        weights = service.finished(service.submit(do="weights"))
        assert weights.code == "weights" and weights.text is not None
        for word in ("secret", "Traceback", str(settings.data)):
            assert word not in fault.text and word not in weights.text
        hidden = service.finished(service.submit(do="hidden_memory"))
        assert hidden.code == "memory_limit"
        service.no_upload_is_left()


def test_an_upload_that_is_gone_fails(
    settings: ServiceSettings, store: Store, service: Service
) -> None:
    gone = service.submit()
    service.files.delete(gone.file_token)
    with supervised(settings, store):
        assert service.finished(gone).code == "upload_missing"


def test_a_deleted_job_is_stopped(
    settings: ServiceSettings, store: Store, service: Service
) -> None:
    with supervised(settings, store) as supervisor:
        job = service.submit(do="hang")
        service.running(job)
        (pid,) = supervisor.status().pids
        deleted = service.jobs.delete(job.id)
        assert deleted is not None
        service.files.delete(deleted.file_token)
        until(lambda: not is_alive(pid), 10.0)
        assert service.finished(service.submit("next")).state == "done"


def test_who_deletes_jobs_at_work_keeps_nobody_waiting(
    settings: ServiceSettings, store: Store, service: Service
) -> None:
    with supervised(settings, store) as supervisor:
        ready = []
        for _ in range(4):
            job = service.submit(do="hang")
            service.running(job)
            (pid,) = supervisor.status().pids
            service.jobs.delete(job.id)
            while is_alive(pid):
                ready.append(supervisor.status().ready)
            # The worker was young, and the next one comes all the same.
            began = time.monotonic()
            while not supervisor.status().pids:
                ready.append(supervisor.status().ready)
            assert time.monotonic() - began < 2.0
        assert ready and all(ready)


def test_a_clip_that_ends_its_worker_makes_no_other_wait(
    settings: ServiceSettings, store: Store, service: Service
) -> None:
    with supervised(settings, store) as supervisor:
        for _ in range(3):
            assert service.finished(service.submit(do="crash")).code == "crashed"
        until(lambda: supervisor.status().pids, 2.0)


def test_results_that_are_too_old_leave_one_line_in_the_audit_log(
    settings: ServiceSettings, store: Store, service: Service
) -> None:
    jobs = [service.submit(f"clip {n}") for n in range(3)]
    with supervised(settings, store):
        for job in jobs:
            service.finished(job)
    with supervised(settings, store, keep_results_s=-1.0):
        until(lambda: service.jobs.get(jobs[0].id) is None)
        (entry,) = until(AuditLog(store).entries, 5.0)
    assert (entry.who, entry.action, entry.what) == (
        "system", "estimate.expire", "3 finished jobs"
    )  # fmt: skip


def test_a_job_at_work_when_the_server_stops_is_done_after_the_next_start(
    settings: ServiceSettings, store: Store, service: Service, tmp_path: Path
) -> None:
    with supervised(settings, store) as supervisor:
        job = service.submit(do="sleep_once", s=60, mark=str(tmp_path / "mark"))
        service.running(job)
        (pid,) = supervisor.status().pids
    assert not is_alive(pid)
    assert (service.get(job).state, service.get(job).attempts) == ("queued", 0)
    with supervised(settings, store):
        assert service.finished(job).state == "done"
    service.no_upload_is_left()


def test_a_server_that_stops_lets_a_short_job_end(
    settings: ServiceSettings, store: Store, service: Service
) -> None:
    with supervised(settings, store) as supervisor:
        job = service.submit(do="sleep", s=1)
        waiting = service.submit("waits")
        service.running(job)
        supervisor.stop(grace_s=20.0)
        assert service.get(job).state == "done"
        assert service.get(waiting).state == "queued"


def test_the_workers_of_a_killed_server_end_and_its_jobs_are_done(
    settings: ServiceSettings, store: Store, service: Service, tmp_path: Path
) -> None:
    first = server(settings)
    assert first.stdout is not None
    (pid,) = map(int, first.stdout.readline().split())
    job = service.submit(do="sleep_once", s=60, mark=str(tmp_path / "mark"))
    waiting = service.submit("waits")
    service.running(job)
    kill(first.pid)
    until(lambda: not is_alive(pid), 2.0)
    first.wait()
    first.stdout.close()
    assert service.get(job).state == "running"
    with supervised(settings, store):
        done = service.finished(job)
        assert (done.state, done.attempts) == ("done", 2)
        assert service.finished(waiting).state == "done"
    service.no_upload_is_left()


def set_clock(store: Store, by_s: float) -> None:
    """Let the times of running jobs look as if the clock had been set."""
    from sqlalchemy import update

    from pallor.service.store.tables import JobRow

    with store.transaction() as session:
        times = {
            name: getattr(JobRow, name) - by_s for name in ("created_s", "started_s", "heartbeat_s")
        }
        session.execute(update(JobRow).where(JobRow.state == "running").values(times))


def test_a_job_of_a_killed_server_is_done_although_the_clock_was_set_back(
    settings: ServiceSettings, store: Store, service: Service, tmp_path: Path
) -> None:
    first = server(settings)
    assert first.stdout is not None
    job = service.submit(do="sleep_once", s=60, mark=str(tmp_path / "mark"))
    service.running(job)
    kill(first.pid)
    first.wait()
    first.stdout.close()
    set_clock(store, -3600.0)
    with supervised(settings, store):
        done = service.finished(job, within_s=20.0)
        assert (done.state, done.attempts) == ("done", 2)


@pytest.mark.parametrize("by_s", [600.0, -600.0])
def test_a_running_job_outlives_a_clock_that_is_set(
    settings: ServiceSettings, store: Store, service: Service, by_s: float
) -> None:
    with supervised(settings, store, job_time_limit_s=30.0):
        job = service.submit(do="sleep", s=4)
        service.running(job)
        for _ in range(3):
            set_clock(store, by_s)
            time.sleep(0.5)
        done = service.finished(job)
        assert (done.state, done.attempts) == ("done", 1)


def test_a_worker_that_is_silent_is_replaced_and_its_job_done(
    settings: ServiceSettings, store: Store, service: Service, tmp_path: Path
) -> None:
    with supervised(settings, store) as supervisor:
        job = service.submit(do="sleep_once", s=60, mark=str(tmp_path / "mark"))
        service.running(job)
        (pid,) = supervisor.status().pids
        os.kill(pid, signal.SIGSTOP)
        done = service.finished(job)
        assert (done.state, done.attempts) == ("done", 2)
        assert not is_alive(pid)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_processes_of_the_server_costs_no_attempt(
    settings: ServiceSettings,
    store: Store,
    service: Service,
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    job = service.submit(do="sleep_once", s=60, mark=str(tmp_path / "mark"))
    for _ in range(2):
        (tmp_path / "mark").unlink(missing_ok=True)
        running = server(settings)
        assert running.stdout is not None
        service.running(job)
        # As systemd and a terminal do it, and somebody who is impatient.
        os.killpg(running.pid, number)
        time.sleep(0.3)
        os.killpg(running.pid, number)
        assert running.wait(20) == 0
        running.stdout.close()
        assert (service.get(job).state, service.get(job).attempts) == ("queued", 0)
    with supervised(settings, store):
        assert service.finished(job).state == "done"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_that_only_begins_hears_no_signal(
    settings: ServiceSettings, store: Store, number: signal.Signals
) -> None:
    with supervised(settings, store) as supervisor:
        (pid,) = until(lambda: supervisor.status().pids)
        os.kill(pid, number)
        time.sleep(1.0)
        assert supervisor.status().pids == (pid,)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(rounds(short=2, full=12)))
def test_killed_at_random_moments_no_job_is_lost_or_mixed_up(
    settings: ServiceSettings, store: Store, service: Service, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    jobs: dict[str, Job] = {}
    for _ in range(rounds(short=2, full=5)):
        running = server(settings, workers=2)
        assert running.stdout is not None
        pids = [int(word) for word in running.stdout.readline().split()]
        for _ in range(6):
            content = rng.bytes(8).hex()
            jobs[content] = service.submit(content, do="sleep", s=float(rng.uniform(0, 0.3)))
        time.sleep(rng.uniform(0.2, 2.0))
        if rng.random() < 0.5 and is_alive(pids[0]):
            kill(pids[0])
            time.sleep(rng.uniform(0.0, 0.5))
        kill(running.pid)
        running.wait()
        running.stdout.close()
    with supervised(settings, store, workers=2):
        ends = {content: service.finished(job) for content, job in jobs.items()}
    for content, end in ends.items():
        if end.state == "done":
            assert end.result is not None and end.result["content"] == content
        else:
            assert (end.code, end.attempts) == ("crashed", 2)
    assert sum(end.state == "done" for end in ends.values()) >= len(ends) / 2
    # A worker that was killed between its result and the upload's end leaves a file behind.
    service.files.sweep(service.jobs.file_tokens, older_than_s=-1.0)
    service.no_upload_is_left()


def test_orphans_are_swept_and_what_is_needed_stays(
    settings: ServiceSettings, store: Store, service: Service
) -> None:
    orphan, _, file = service.files.create()
    file.close()
    stale = time.time() - 3600
    os.utime(service.files.path(orphan), (stale, stale))
    needed = service.submit(do="sleep", s=2)
    assert needed.file_token is not None
    os.utime(service.files.path(needed.file_token), (stale, stale))
    arriving, _, open_file = service.files.create()
    os.utime(service.files.path(arriving), (stale, stale))
    with open_file, supervised(settings, store):
        until(lambda: not service.files.path(orphan).exists())
        assert service.files.path(arriving).exists()
        assert service.finished(needed).state == "done"


def test_workers_that_do_not_start_are_tried_again_ever_more_slowly(
    settings: ServiceSettings, store: Store, service: Service
) -> None:
    with Supervisor(settings, store, work="service_work:absent") as supervisor:
        time.sleep(4.0)
        assert 1 <= supervisor.status().restarts <= 6
    job = service.submit()
    assert service.get(job).state == "queued"


def test_the_supervisor_outlives_an_outage_of_its_database(
    tmp_path: Path, postgres: str, caplog: pytest.LogCaptureFixture
) -> None:
    import psycopg

    url = postgres_database(postgres, "outage")
    settings = ServiceSettings(tmp_path / "data", database_url=url)

    def told() -> list[str]:
        return [line.getMessage() for line in caplog.records if line.name.endswith(".store")]

    store = open_store(settings)
    service = Service(settings, store)
    with supervised(settings, store):
        job = service.submit(do="sleep", s=3)
        service.running(job)
        with psycopg.connect(postgres, autocommit=True) as connection:
            # Every connection is cut, and for a while no new one is let in.
            connection.execute('ALTER DATABASE "outage" ALLOW_CONNECTIONS false')
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'outage'"
            )
            time.sleep(4.0)
            connection.execute('ALTER DATABASE "outage" ALLOW_CONNECTIONS true')
        assert service.finished(job).state == "done"
        assert service.finished(service.submit("after")).state == "done"
        # The supervisor itself looks again some seconds later.
        until(lambda: len(told()) > 1)
    store.close()
    first, *others = told()
    assert "does not answer" in first
    assert others == ["the database answers again"]
