from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("distributed", reason="the extra cluster is not installed")

from cluster import Cluster, kill, measuring, none_measuring, running
from encoding import write_clip
from fake_worker import fake
from pallor.cohort.clip_outcome import ClipTask
from pallor.cohort.dask_runner import DaskRunner
from pallor.cohort.dask_task import circumstances, fitting
from pallor.cohort.extraction import ExtractionResult, extract
from pallor.cohort.extraction_places import extract_to
from pallor.cohort.feature_table import load_features
from pallor.cohort.scheduler_address import check_scheduler, trust_note
from pallor.cohort.table import Cohort, cohort_from_frame
from pallor.errors import FeatureTableError, UsageError
from portrait import pulsing

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("cluster"),
    pytest.mark.skipif(os.name == "nt", reason="Windows knows no SIGKILL"),
]

CLIPS = 8


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder = tmp_path_factory.mktemp("clips")
    names = [f"{i}.mp4" for i in range(CLIPS)]
    for i, name in enumerate(names):
        times = np.arange(150) / 30
        write_clip(folder / name, pulsing(times, bpm=60 + 4 * i, seed=i), times_s=times)
    frame = pd.DataFrame({"participant_id": [f"p{i}" for i in range(CLIPS)], "clip": names})
    return cohort_from_frame(frame.assign(hemoglobin_g_dl=12.0), folder)


@pytest.fixture(scope="module")
def at_home(real: Cohort, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    folder = tmp_path_factory.mktemp("home")
    result = extract(real, folder / "F", ["color", "pulse"])
    assert result.done == CLIPS, result.failures
    return load_features(folder / "F")


def texts(folder: Path, what: dict[str, str]) -> Cohort:
    for clip, text in what.items():
        (folder / clip).write_text(text)
    people = [f"{i:03d}" for i in range(len(what))]
    return cohort_from_frame(pd.DataFrame({"participant_id": people, "clip": list(what)}), folder)


def on(
    cluster: Cluster, cohort: Cohort, out: Path, *, wait_s: float = 60, **options: object
) -> ExtractionResult:
    """Extract with the worker of the tests, which does what the text of a file says."""
    progress: Callable[[int, int, str], None] | None = options.pop("progress", None)
    runner = DaskRunner(cluster.address, wait_s, fake, **options)
    return extract(cohort, out, ["color"], progress=progress, pool=lambda: runner)


def test_a_worker_killed_in_the_middle_changes_nothing(
    tmp_path: Path, real: Cohort, at_home: pd.DataFrame, capfd: pytest.CaptureFixture[str]
) -> None:
    with running(tmp_path) as cluster:
        read: list[int] = []

        def progress(done: int, total: int, clip: str) -> None:
            read.append(done)
            if len(read) == 2:
                kill(cluster.workers[0])

        result = extract_to(
            real, tmp_path / "F", scheduler=cluster.address, modalities=["color", "pulse"],
            progress=progress,
        )  # fmt: skip
        assert none_measuring(tmp_path)
    assert (result.read, result.done, result.failed) == (CLIPS, CLIPS, 0), result.failures
    assert read == list(range(1, CLIPS + 1))
    table = load_features(tmp_path / "F")
    pd.testing.assert_frame_equal(table, at_home, check_exact=True)
    assert capfd.readouterr() == ("", "")


def test_a_killed_parent_leaves_no_measuring_process(tmp_path: Path) -> None:
    """The worker alone is killed, not its children, and its clip would take minutes."""
    cohort = texts(tmp_path, {"a.mp4": "hang"})
    with running(tmp_path, workers=1) as cluster:

        def run() -> None:
            with pytest.raises(FeatureTableError, match="no Dask worker for 5 s"):
                on(cluster, cohort, tmp_path / "F", wait_s=5)

        thread = threading.Thread(target=run)
        thread.start()
        until = time.monotonic() + 30
        while not measuring(tmp_path) and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(1)
        assert len(measuring(tmp_path)) == 1
        kill(cluster.workers[0], children=False)
        assert none_measuring(tmp_path)
        thread.join(60)
        assert not thread.is_alive()


def test_outcomes_are_those_of_one_machine(tmp_path: Path) -> None:
    what = {
        "a.mp4": "fine", "b.mp4": "no face", "c.mp4": "bug", "d.mp4": "crash", "e.mp4": "print",
        "f.mp4": "hang", "g.mp4": "simulated",
    }  # fmt: skip
    cohort = texts(tmp_path, what)
    here = extract(cohort, tmp_path / "H", ["color"], worker=fake, time_limit_s=2)
    with running(tmp_path) as cluster:
        there = on(cluster, cohort, tmp_path / "F", time_limit_s=2)
        assert there.failures == here.failures
        assert [f.code for f in there.failures] == ["no_face", "internal", "crashed", "time_limit"]
        pd.testing.assert_frame_equal(
            load_features(tmp_path / "F"), load_features(tmp_path / "H"), check_exact=True
        )
        again = on(cluster, cohort, tmp_path / "F", time_limit_s=2)
        assert (again.resumed, again.failed) == (3, 4)


def test_a_clip_that_kills_dask_workers_is_a_failure(tmp_path: Path) -> None:
    cohort = texts(tmp_path, {"a.mp4": "parent", **{f"{i}.mp4": "slow" for i in range(6)}})
    allowed = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}
    with running(tmp_path, 3, environment=allowed) as cluster:
        result = on(cluster, cohort, tmp_path / "F")
    assert [(f.clip, f.code) for f in result.failures] == [("a.mp4", "crashed")]
    assert "a.mp4: 2 Dask workers died over it" in result.failures[0].text
    assert result.done == 6


def test_a_lost_scheduler_ends_the_run_and_the_rest_is_done_without_it(tmp_path: Path) -> None:
    cohort = texts(tmp_path, {f"{i:02d}.mp4": "slow" for i in range(30)})
    with running(tmp_path) as cluster:

        def progress(done: int, total: int, clip: str) -> None:
            if done == 5:
                kill(cluster.scheduler)

        began = time.monotonic()
        with pytest.raises(FeatureTableError, match=r"scheduler is gone; finished clips are kept"):
            on(cluster, cohort, tmp_path / "F", progress=progress)
        assert time.monotonic() - began < 45
        for worker in cluster.workers:  # which give up by themselves
            worker.wait(60)
        assert none_measuring(tmp_path)
    result = extract(cohort, tmp_path / "F", ["color"], 2, worker=fake)
    assert result.done == 30
    assert 5 <= result.resumed < 30
    extract(cohort, tmp_path / "G", ["color"], worker=fake)
    pd.testing.assert_frame_equal(
        load_features(tmp_path / "F"), load_features(tmp_path / "G"), check_exact=True
    )


def test_workers_may_come_late_and_more_of_them(tmp_path: Path) -> None:
    cohort = texts(tmp_path, {f"{i}.mp4": "slow" for i in range(40)})
    with running(tmp_path, workers=0) as cluster:
        known: list[int] = []
        late = threading.Timer(2, cluster.add_worker)
        late.start()

        def progress(done: int, total: int, clip: str) -> None:
            if done == 2:
                cluster.add_worker()
            if done in {1, 12}:
                known.append(cluster.tasks())

        result = on(cluster, cohort, tmp_path / "F", progress=progress)
        late.join()
    assert result.done == 40
    assert 1 <= min(known) <= max(known) <= 16  # never the whole cohort


def test_without_workers_it_ends_after_the_wait(tmp_path: Path) -> None:
    cohort = texts(tmp_path, {"a.mp4": "fine"})
    with (
        running(tmp_path, workers=0) as cluster,
        pytest.raises(FeatureTableError, match="there was no Dask worker for 2 s: start some"),
    ):
        on(cluster, cohort, tmp_path / "F", wait_s=2)


def test_other_versions_are_refused_at_the_start_and_when_they_come_later(tmp_path: Path) -> None:
    cohort = texts(tmp_path, {f"{i}.mp4": "slow" for i in range(20)})
    site = tmp_path / "site"
    site.mkdir()
    # What Python runs at the start of each worker that finds it.
    (site / "sitecustomize.py").write_text("import pallor._version as v\nv.__version__ = '9.9'\n")
    path = os.pathsep.join([str(site), *filter(None, sys.path)])
    with running(tmp_path, 1) as cluster:

        def progress(done: int, total: int, clip: str) -> None:
            if done == 2:
                cluster.add_worker(PYTHONPATH=path)

        with pytest.raises(FeatureTableError, match=r"a worker has pallor 9\.9 instead of"):
            on(cluster, cohort, tmp_path / "F", progress=progress)
        with pytest.raises(
            FeatureTableError, match=r"the worker tcp://\S+ has pallor 9\.9 instead"
        ):
            on(cluster, cohort, tmp_path / "F")


def test_an_interrupt_ends_the_work_on_the_cluster(tmp_path: Path) -> None:
    cohort = texts(tmp_path, {"a.mp4": "fine", **{f"{i}.mp4": "hang" for i in range(9)}})

    def stop(done: int, total: int, clip: str) -> None:
        raise KeyboardInterrupt

    with running(tmp_path) as cluster:
        with pytest.raises(KeyboardInterrupt):
            on(cluster, cohort, tmp_path / "F", progress=stop)
        assert none_measuring(tmp_path)
        more = texts(tmp_path, {"b.mp4": "fine", "c.mp4": "fine"})
        assert on(cluster, more, tmp_path / "G", time_limit_s=30).done == 2


def test_the_command_says_whom_dask_trusts_and_what_is_wrong(tmp_path: Path) -> None:
    texts(tmp_path, {"a.mp4": "fine"}).frame.to_csv(tmp_path / "c.csv", index=False)

    def pallor(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pallor", "extract", str(tmp_path / "c.csv"), "-o",
             str(tmp_path / "F"), *arguments],
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    both = pallor("--scheduler", "tcp://127.0.0.1:1", "--workers", "2")
    assert both.returncode == 2
    assert "--workers" in both.stderr
    away = pallor("--scheduler", "tcp://127.0.0.1:1")
    assert away.returncode == 1
    (line,) = away.stderr.splitlines()
    assert line.startswith("pallor: tcp://127.0.0.1:1: no Dask scheduler answers")
    with running(tmp_path, 1) as cluster:
        run = pallor("--scheduler", cluster.address)
    assert run.returncode == 1
    assert "read 1 = done 0 + failed 1" in run.stdout  # text is no video
    assert "note" not in run.stderr


def test_tls_is_what_dasks_configuration_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dask

    pem = tmp_path / "node.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "1", "-subj", "/CN=node", "-keyout", str(tmp_path / "key.pem"),
         "-out", str(pem)],
        check=True, capture_output=True,
    )  # fmt: skip
    node = ["--tls-ca-file", str(pem), "--tls-cert", str(pem), "--tls-key",
            str(tmp_path / "key.pem")]  # fmt: skip
    cohort = texts(tmp_path, {"a.mp4": "fine"})
    with running(tmp_path, 1, options=node, protocol="tls") as cluster:
        assert cluster.address.startswith("tls://")
        with pytest.raises(FeatureTableError, match=r"certificates are named in Dask's config"):
            on(cluster, cohort, tmp_path / "F")
        files = {"ca-file": pem, "client.cert": pem, "client.key": tmp_path / "key.pem"}
        chosen = {f"distributed.comm.tls.{name}": str(file) for name, file in files.items()}
        with dask.config.set(chosen):
            assert on(cluster, cohort, tmp_path / "F").done == 1


@pytest.mark.parametrize(
    "address", ["", "host:8786", "tcp://", "tcp://host", "tcp://h:0", "http://h:1", "tcp://h:99999"]
)
def test_an_address_of_another_form_is_wrong_usage(address: str) -> None:
    with pytest.raises(UsageError, match="write it as tcp://HOST:PORT"):
        check_scheduler(address)


def test_only_what_leaves_the_machine_unencrypted_is_noted() -> None:
    assert "trust" in trust_note("tcp://node-1:8786")
    assert "trust" in trust_note("tcp://[2001:db8::1]:8786")
    for quiet in ("tls://node-1:8786", "tcp://127.0.0.1:1", "tcp://[::1]:1", "tcp://localhost:1"):
        assert trust_note(quiet) == ""
        assert check_scheduler(quiet) == quiet


def test_networks_have_to_be_the_same_too() -> None:
    task = ClipTask("k", "p", "c", "/c", ("color",))
    expected = circumstances(task)
    assert fitting(expected, task.to_json()) == ""
    other = json.loads(expected) | {"networks": {"resnet152": {"sha256": "x"}}}
    assert "has resnet152 absent instead of" in fitting(json.dumps(other), task.to_json())
