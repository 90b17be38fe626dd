"""Extraction by its command line, its processes killed, stopped and crashed.

Two rounds of killing in ``make test``, ten in ``make test-long``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from encoding import write_clip
from long_tests import rounds
from pallor.cohort.clip_store import clip_key
from pallor.cohort.feature_table import load_features
from portrait import pulsing

CLIPS = 10
LOST = 3
"""Number of the clip that is not there: a failure that has to stay one."""


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kill")
    rows = []
    for i in range(CLIPS):
        if i != LOST:
            times = np.arange(60) / 30
            write_clip(folder / f"{i}.mp4", pulsing(times, seed=i), crf=20)
        rows.append({"participant_id": f"p{i}", "clip": f"{i}.mp4", "hemoglobin_g_dl": 10 + i / 2})
    pd.DataFrame(rows).to_csv(folder / "cohort.csv", index=False)
    return folder / "cohort.csv"


def command(cohort: Path, out: Path, *more: str) -> list[str]:
    extract = ["extract", str(cohort), "-o", str(out), "--modalities", "color", "--workers", "2"]
    return [sys.executable, "-m", "pallor", *extract, *more]


def start(cohort: Path, out: Path, *more: str) -> subprocess.Popen[bytes]:
    # A session of its own: all of it can be killed, as by a machine that goes down.
    return subprocess.Popen(
        command(cohort, out, *more),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def finish(cohort: Path, out: Path, *more: str) -> str:
    done = subprocess.run(
        command(cohort, out, *more), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def children(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                status = (entry / "stat").read_text()
            except OSError:
                continue
            if int(status.rpartition(")")[2].split()[1]) == parent:
                found.append(int(entry.name))
    return found


@pytest.fixture(scope="module")
def undisturbed(cohort: Path) -> tuple[Path, float]:
    out = cohort.parent / "undisturbed"
    begin = time.monotonic()
    said = finish(cohort, out)
    assert f"read {CLIPS} = done {CLIPS - 1} + failed 1" in said
    return out, time.monotonic() - begin


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("seed", range(rounds(short=2, full=10)))
def test_killed_at_a_random_moment_nothing_is_lost_and_nothing_is_there_twice(
    cohort: Path, undisturbed: tuple[Path, float], tmp_path: Path, seed: int
) -> None:
    whole, takes_s = undisturbed
    rng = np.random.default_rng(seed)
    out = tmp_path / "features"
    kills = 0
    # The first may come while it starts, later ones while it measures or writes the table.
    for _ in range(int(rng.integers(1, 4))):
        run = start(cohort, out)
        time.sleep(rng.uniform(0.1, 1.0) * takes_s)
        if run.poll() is None:
            # The parent alone, or all processes at once.
            (os.killpg if rng.random() < 0.5 else os.kill)(run.pid, signal.SIGKILL)
            kills += 1
        run.wait()
    said = finish(cohort, out)
    assert f"read {CLIPS} = done {CLIPS - 1} + failed 1" in said
    found, expected = load_features(out), load_features(whole)
    assert not found["clip"].duplicated().any()
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    assert (out / "failures.csv").read_text() == (whole / "failures.csv").read_text()
    counts = json.loads((out / "extraction.json").read_text())["counts"]
    assert counts == json.loads((whole / "extraction.json").read_text())["counts"]
    left = [p for p in out.rglob("*") if p.name.endswith(".part") or ".part." in p.name]
    assert kills == 0 or not left, left


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("way", "code"), [(signal.SIGSTOP, "time_limit"), (signal.SIGSEGV, "crashed")]
)
def test_a_process_that_stops_or_crashes_costs_its_clip_alone(
    cohort: Path, tmp_path: Path, way: signal.Signals, code: str
) -> None:
    out = tmp_path / "features"
    run = start(cohort, out, "--time-limit", "8")
    deadline = time.monotonic() + 60
    workers: list[int] = []
    while not workers and time.monotonic() < deadline:
        stored = list((out / "clips").rglob("*.zip")) if out.exists() else []
        workers = children(run.pid) if stored else []  # they are at work
        time.sleep(0.02)
    os.kill(workers[0], way)
    assert run.wait(timeout=120) == 0
    failures = pd.read_csv(out / "failures.csv")
    assert sorted(failures["code"]) == sorted(["missing", code])
    assert len(load_features(out)) == CLIPS - 2
    # Once more, undisturbed: the failed one is tried again, the others are not.
    stored = {p.name: p.stat().st_mtime_ns for p in (out / "clips").rglob("*.zip")}
    said = finish(cohort, out)
    assert f"read {CLIPS} = done {CLIPS - 1} + failed 1" in said
    again = {p.name: p.stat().st_mtime_ns for p in (out / "clips").rglob("*.zip")}
    assert stored.items() <= again.items()
    keys = {clip_key(f"p{i}", f"{i}.mp4") for i in range(CLIPS) if i != LOST}
    assert {name.partition(".")[0] for name in again} == keys
