"""The queue, keys, audit log and migrations, on SQLite and PostgreSQL."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import subprocess
import sys
import threading
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from long_tests import rounds
from pallor.errors import UsageError
from pallor.service.errors import StoreError
from pallor.service.jobs.watch import Watch
from pallor.service.settings import ServiceSettings
from pallor.service.store.audit import AuditLog
from pallor.service.store.engine import Store, connect, open_store
from pallor.service.store.jobs import JobStore
from pallor.service.store.keys import KeyStore, Role
from service_databases import postgres, settings, store

__all__ = ["postgres", "settings", "store"]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_job_goes_its_way(store: Store) -> None:
    clock = Clock()
    jobs = JobStore(store, clock)
    job = jobs.create("estimate", "token", {"sex": "female", "age_years": 31.5}, "key")
    assert (job.state, job.share, job.attempts, job.owner) == ("queued", 0.0, 0, "key")
    assert jobs.get(job.id) == job
    assert not jobs.progress(job.id, "reading", 0.5)  # nobody works on it
    clock.now = 1001.0
    claimed = jobs.claim("a")
    assert claimed is not None and claimed.id == job.id
    assert (claimed.state, claimed.started_s, claimed.attempts) == ("running", 1001.0, 1)
    assert claimed.options == {"sex": "female", "age_years": 31.5}
    assert jobs.claim("b") is None
    assert jobs.progress(job.id, "reading", 7.0)
    running = jobs.get(job.id)
    assert running is not None and (running.stage, running.share) == ("reading", 1.0)
    clock.now = 1005.0
    assert jobs.finish(job.id, {"hemoglobin_g_dl": 12.25}, worker_id="a")
    done = jobs.get(job.id)
    assert done is not None and done.finished and done.result == {"hemoglobin_g_dl": 12.25}
    assert (done.state, done.finished_s, done.worker_id) == ("done", 1005.0, None)
    assert not jobs.fail(job.id, "late", "too late")  # what is done stays done


def test_what_a_worker_reports_counts_only_while_the_job_is_its_own(store: Store) -> None:
    clock = Clock()
    jobs = JobStore(store, clock)
    job = jobs.create("estimate", None, {})
    assert jobs.claim("slow") is not None
    assert [lost.state for lost in jobs.release("slow")] == ["queued"]
    again = jobs.claim("quick")
    assert again is not None and again.attempts == 2
    assert not jobs.heartbeat(job.id, "slow")
    assert not jobs.progress(job.id, "reading", 0.5, worker_id="slow")
    assert not jobs.finish(job.id, {"of": "slow"}, worker_id="slow")
    assert not jobs.fail(job.id, "x", "x", worker_id="slow")
    assert jobs.finish(job.id, {"of": "quick"}, worker_id="quick")
    found = jobs.get(job.id)
    assert found is not None and found.result == {"of": "quick"}


def test_a_heartbeat_is_heard_whatever_the_clock_of_the_database_shows(store: Store) -> None:
    clock, monotonic = Clock(), Clock()
    jobs, watch = JobStore(store, clock), Watch(monotonic)
    job = jobs.create("estimate", None, {})
    jobs.claim("a")
    watch.look(jobs.running())
    for set_by_s in (10.0, 600.0, -7200.0, 10.0):
        clock.now += set_by_s
        monotonic.now += 10.0
        assert jobs.heartbeat(job.id, "a")
        watch.look(jobs.running())
        assert watch.silent_s(job) == 0.0
    assert watch.running_s(job) == 40.0
    monotonic.now += 20.0
    watch.look(jobs.running())
    assert watch.silent_s(job) == 20.0
    watch.forgive()
    assert (watch.silent_s(job), watch.running_s(job)) == (0.0, 60.0)
    jobs.release("a")
    jobs.claim("b")
    watch.look(jobs.running())
    assert watch.running_s(job) == 0.0


def test_what_a_killed_server_left_is_put_back_at_once(store: Store) -> None:
    clock = Clock()
    jobs = JobStore(store, clock)
    first = jobs.create("estimate", None, {})
    jobs.claim("a")
    second = jobs.create("estimate", None, {})
    clock.now -= 500.0
    assert [(job.id, job.state, job.attempts) for job in jobs.requeue_running()] == [
        (first.id, "queued", 1)
    ]
    waiting = jobs.get(second.id)
    assert waiting is not None and (waiting.state, waiting.attempts) == ("queued", 0)


def test_a_job_that_loses_two_workers_has_failed(store: Store) -> None:
    jobs = JobStore(store)
    job = jobs.create("estimate", "token", {})
    jobs.claim("a")
    assert [j.state for j in jobs.release("a")] == ["queued"]
    jobs.claim("b")
    assert [(j.id, j.state, j.file_token) for j in jobs.release("b")] == [
        (job.id, "failed", "token")
    ]
    found = jobs.get(job.id)
    assert found is not None and found.code == "crashed" and found.finished_s is not None
    assert jobs.claim("c") is None


def test_a_worker_that_was_told_to_stop_costs_no_attempt(store: Store) -> None:
    jobs = JobStore(store)
    job = jobs.create("estimate", None, {})
    for number in range(4):
        claimed = jobs.claim(str(number))
        assert claimed is not None and claimed.attempts == 1
        assert [j.id for j in jobs.release(str(number), counted=False)] == [job.id]


def test_first_come_first_served(store: Store) -> None:
    clock = Clock()
    jobs = JobStore(store, clock)
    made = []
    for _ in range(5):
        made.append(jobs.create("estimate", None, {}).id)
        clock.now += 0.001
    assert [jobs.position(i) for i in made] == [0, 1, 2, 3, 4]
    claimed = [jobs.claim("a") for _ in made]
    assert [job.id for job in claimed if job is not None] == made
    assert jobs.position(made[0]) is None


def test_owners_take_turns(store: Store) -> None:
    clock = Clock()
    jobs = JobStore(store, clock)
    names = {}
    # Checks of a study's clips have no owner: together they are one.
    for owner, count in (("many", 4), ("few", 2), (None, 2), ("late", 1)):
        for number in range(count):
            clock.now += 1.0
            made = jobs.create("estimate", None, {}, owner)
            names[made.id] = f"{owner} {number}"
    by_turn = ["many 0", "few 0", "None 0", "late 0", "many 1", "few 1", "None 1", "many 2",
               "many 3"]  # fmt: skip
    assert {names[i]: jobs.position(i) for i in names} == {
        name: place for place, name in enumerate(by_turn)
    }

    # One worker after the other: none of its jobs runs when it asks again.
    served: list[str | None] = []
    taken = []
    for _ in range(5):
        job = jobs.claim("w", served)
        assert job is not None
        assert jobs.finish(job.id, {})
        taken.append(names[job.id])
        served = [owner for owner in served if owner != job.owner] + [job.owner]
    assert taken == by_turn[:5]
    # Several workers that remember nothing: who has the fewest jobs at work comes first.
    running = [jobs.claim(f"w{number}") for number in range(4)]
    expected = ["many 2", "few 1", "None 1", "many 3"]
    assert [names[job.id] for job in running if job is not None] == expected


def test_old_results_are_forgotten_and_waiting_jobs_are_not(store: Store) -> None:
    clock = Clock()
    jobs = JobStore(store, clock)
    done, waiting = jobs.create("estimate", "a", {}), None
    jobs.claim("w")
    jobs.finish(done.id, {})
    waiting = jobs.create("estimate", "b", {})
    assert jobs.expire(60.0) == 0
    clock.now += 61.0
    assert jobs.expire(60.0) == 1
    assert jobs.get(done.id) is None and jobs.get(waiting.id) is not None
    assert jobs.file_tokens() == {"b"}
    assert jobs.counts() == {"queued": 1, "running": 0, "done": 0, "failed": 0}
    deleted = jobs.delete(waiting.id)
    assert deleted is not None and deleted.id == waiting.id
    assert jobs.delete(waiting.id) is None and jobs.file_tokens() == frozenset()


@pytest.mark.long
def test_threads_never_share_a_job(store: Store) -> None:
    jobs = JobStore(store)
    made = {jobs.create("estimate", None, {"n": n}).id for n in range(rounds(60, 300))}
    start = threading.Barrier(8)

    def take(worker: str) -> list[str]:
        start.wait()
        taken = []
        while (job := jobs.claim(worker)) is not None:
            taken.append(job.id)
        return taken

    with ThreadPoolExecutor(8) as pool:
        taken = [i for part in pool.map(take, map(str, range(8))) for i in part]
    # PostgreSQL may find the last rows locked by others and stop early; none is left over.
    assert Counter(taken) == Counter(made)


def _take(url: str, worker: str, ready: object, answers: object) -> None:
    jobs = JobStore(connect(url))
    ready.wait()  # type: ignore[attr-defined]
    taken = []
    while (job := jobs.claim(worker)) is not None:
        taken.append(job.id)
        assert jobs.finish(job.id, {"by": worker}, worker_id=worker)
    answers.put((worker, taken))  # type: ignore[attr-defined]


@pytest.mark.long
def test_processes_never_share_a_job_while_others_come_in(
    store: Store, settings: ServiceSettings
) -> None:
    jobs = JobStore(store)
    made = [jobs.create("estimate", None, {}).id for _ in range(rounds(80, 600))]
    context = multiprocessing.get_context("spawn")
    ready, answers = context.Barrier(5), context.Queue()
    workers = [
        context.Process(target=_take, args=(settings.url, f"w{n}", ready, answers))
        for n in range(4)
    ]
    for worker in workers:
        worker.start()
    ready.wait(60)
    made += [jobs.create("estimate", None, {}).id for _ in range(20)]
    taken = dict(answers.get(timeout=120) for _ in workers)
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    # Those that came in after a worker had gone home.
    while (late := jobs.claim("late")) is not None:
        jobs.finish(late.id, {"by": "late"})
        taken.setdefault("late", []).append(late.id)
    assert Counter(i for part in taken.values() for i in part) == Counter(made)
    for worker_id, ids in taken.items():
        for job_id in ids:
            job = jobs.get(job_id)
            assert job is not None and job.result == {"by": worker_id} and job.attempts == 1


def test_keys(store: Store) -> None:
    keys = KeyStore(store)
    assert keys.list() == ()
    secret = keys.add("tablet 1", "measure")
    key = keys.check(secret)
    assert key is not None and key.role is Role.MEASURE and key.name == "tablet 1"
    assert keys.check(secret + "x") is None and keys.check("") is None
    assert keys.check("\udcff") is None  # what a header with odd bytes becomes
    admin = keys.check(keys.add("boss", "admin"))
    assert admin is not None and admin.role is Role.ADMIN
    with pytest.raises(UsageError, match="already"):
        keys.add("tablet 1", "study")
    with pytest.raises(UsageError, match="role"):
        keys.add("x", "root")
    with pytest.raises(UsageError, match="no key"):
        keys.revoke("nobody")
    keys.revoke("tablet 1")
    assert keys.check(secret) is None
    assert [k.revoked_s is None for k in keys.list()] == [False, True]


def test_a_key_that_is_named_like_the_id_of_another_is_not_revoked_for_it(store: Store) -> None:
    keys = KeyStore(store)
    meant = keys.check(keys.add("z", "study"))
    assert meant is not None
    other = keys.check(keys.add(meant.id, "study"))
    assert other is not None
    assert keys.revoke(meant.id).id == meant.id
    assert [(key.id, key.revoked_s is None) for key in keys.list()] == [
        (meant.id, False),
        (other.id, True),
    ]
    assert keys.revoke(other.id).id == other.id


def test_no_secret_is_stored(tmp_path: Path) -> None:
    store = open_store(ServiceSettings(tmp_path / "data"))
    secret = KeyStore(store).add("a", "study")
    store.close()
    stored = b"".join(p.read_bytes() for p in (tmp_path / "data").iterdir() if p.is_file())
    assert secret.encode() not in stored
    assert hashlib.sha256(secret.encode()).hexdigest().encode() in stored


def test_audit_log(store: Store) -> None:
    log = AuditLog(store)
    log.add("key", "estimate.delete", "a\nforged line\x00" + "x" * 600)
    log.add("system", "start")
    newest, oldest = log.entries()
    assert (newest.who, newest.action) == ("system", "start")
    assert "\n" not in oldest.what and "\x00" not in oldest.what and len(oldest.what) == 500


def test_migrations_make_what_the_tables_say(store: Store) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from pallor.service.store.tables import Base

    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_two_processes_may_open_a_new_database_at_once(settings: ServiceSettings) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from pallor.service.settings import ServiceSettings\n"
        "from pallor.service.store.engine import open_store\n"
        "from pallor.service.store.jobs import JobStore\n"
        "s = open_store(ServiceSettings(Path(sys.argv[1]), sys.argv[2]))\n"
        "print(JobStore(s).create('estimate', None, {}).state)\n"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(settings.data), settings.url],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(4)
    ]  # fmt: skip
    for process in started:
        out, err = process.communicate(timeout=120)
        assert (process.returncode, out) == (0, "queued\n"), err


def test_a_database_of_a_later_version_is_refused(settings: ServiceSettings) -> None:
    from sqlalchemy import text

    store = open_store(settings)
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    store.close()
    with pytest.raises(StoreError, match="later version"):
        open_store(settings)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:geheim@h/d",
        "no url geheim",
        "sqlite://",
        "postgresql://u:geheim@127.0.0.1:1/d",
        "postgresql://u:x@127.0.0.1:geheim/d",
        "postgresql://u:x/geheim@127.0.0.1:5432/d",
        "postgresql://u:x@geheim@127.0.0.1:1/d",
    ],
)
def test_a_database_that_does_not_serve_is_one_line_without_the_password(
    tmp_path: Path, url: str
) -> None:
    with pytest.raises(StoreError) as caught:
        open_store(ServiceSettings(tmp_path, database_url=url))
    assert "geheim" not in caught.value.text and "\n" not in caught.value.text


def test_what_fails_does_not_repeat_its_values(store: Store) -> None:
    from sqlalchemy import text

    statement = text("INSERT INTO gone (code) VALUES (:code)")
    values = {"code": "Rumpelstiltskin"}
    with pytest.raises(StoreError) as caught, store.transaction() as session:
        session.execute(statement, values)
    trace = "".join(traceback.format_exception(caught.value))
    assert "INSERT INTO gone" in trace and "Rumpelstiltskin" not in trace


def test_the_data_are_for_the_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = open_store(ServiceSettings(tmp_path / "data"))
        JobStore(store).create("estimate", None, {})
        modes = {p.name: oct(p.stat().st_mode & 0o777) for p in (tmp_path / "data").iterdir()}
        store.close()
    finally:
        os.umask(before)
    assert oct((tmp_path / "data").stat().st_mode & 0o777) == "0o700"
    assert set(modes.values()) == {"0o600"}, modes


def test_deleted_results_are_not_left_in_the_file(tmp_path: Path) -> None:
    settings = ServiceSettings(tmp_path / "data")
    store = open_store(settings)
    jobs = JobStore(store)
    job = jobs.create("estimate", None, {"note": "Rumpelstiltskin"})
    assert jobs.claim("w") is not None
    jobs.finish(job.id, {"note": "Rumpelstiltskin"})
    jobs.delete(job.id)
    store.close()  # the last connection folds the log into the database
    stored = b"".join(p.read_bytes() for p in settings.data.iterdir() if p.is_file())
    assert b"Rumpelstiltskin" not in stored


def test_deleting_a_participant_deletes_all_of_them(store: Store) -> None:
    from sqlalchemy import delete, func, select

    from pallor.service.store import tables as t

    with store.transaction() as session:
        for code in ("a", "b"):
            person = t.ParticipantRow(code=code, created_s=1.0, changed_s=1.0)
            session.add(person)
            session.flush()
            visit = t.SessionRow(participant_id=person.id, name="1", created_s=1.0)
            session.add(visit)
            session.flush()
            session.add_all([
                t.ConsentRow(
                    participant_id=person.id, version="1", language="en", keeps_video=True,
                    given_s=1.0,
                ),
                t.HemoglobinRow(
                    session_id=visit.id, value=130, unit="g/L", hemoglobin_g_dl=13.0,
                    method="venous_cbc", created_s=1.0,
                ),
                t.ClipRow(
                    session_id=visit.id, file_token=code, suffix=".webm", bytes=2**33,
                    sha256="0" * 64, simulated=False, created_s=1.0,
                ),
            ])  # fmt: skip
    with store.transaction() as session:
        session.execute(delete(t.ParticipantRow).where(t.ParticipantRow.code == "a"))
    every = (t.ParticipantRow, t.ConsentRow, t.SessionRow, t.HemoglobinRow, t.ClipRow)
    with store.reading() as session:
        assert [session.scalar(select(func.count()).select_from(row)) for row in every] == [1] * 5
        assert session.scalar(select(t.ClipRow.bytes)) == 2**33


def test_reading_waits_for_no_writer(tmp_path: Path) -> None:
    store = open_store(ServiceSettings(tmp_path / "data"))
    jobs = JobStore(store)
    job = jobs.create("estimate", None, {})
    with store.transaction():  # holds the lock of writers
        assert jobs.get(job.id) == job
        assert json.dumps(jobs.counts())
    store.close()
