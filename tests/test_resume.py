"""An evaluation that is interrupted goes on where it was, and comes to the same result."""

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

from feature_parts import write_store
from pallor.evaluation import shared_fitting
from pallor.evaluation.part_store import PartStore
from pallor.evaluation.protocol import evaluate
from planted import features

OPTIONS = {"quick": True, "regressors": ("stacking",), "bootstrap": 50}
FITS = 4 * 3  # color and pulse, each with sex and age taken out and without, in three folds
STEPS = FITS + 2 * 3  # and the sex probes


@pytest.fixture(autouse=True)
def _cheap_stacking(monkeypatch):
    from pallor.models.regressors import REGRESSORS

    monkeypatch.setitem(REGRESSORS, "stacking", ("ridge", "chromophore"))


@pytest.fixture
def fitted(monkeypatch):
    """What has been fitted, in order."""
    names = []
    original = shared_fitting.members_say

    def counted(source, *rest):
        names.append(source.name)
        return original(source, *rest)

    monkeypatch.setattr(shared_fitting, "members_say", counted)
    return names


@pytest.fixture(scope="module")
def table():
    return features(people=24)


def stopping(after):
    def progress(done, total, label):
        if done == after:
            raise KeyboardInterrupt

    return progress


def interrupted(table, folder, after, **options):
    with pytest.raises(KeyboardInterrupt):
        evaluate(table, resume_dir=folder, progress=stopping(after), **{**OPTIONS, **options})


def parts(folder):
    return sorted(folder.rglob("*.npz"))


@pytest.mark.parametrize("after", [1, 5, FITS, FITS + 2])
def test_an_interrupted_run_goes_on_and_ends_like_an_undisturbed_one(
    table, tmp_path, fitted, after
):
    whole = evaluate(table, **OPTIONS)
    assert len(fitted) == FITS
    folder = tmp_path / "unfinished"
    interrupted(table, folder, after)
    known = min(after, FITS)
    assert len(parts(folder)) == known
    fitted.clear()
    calls = []
    again = evaluate(
        table, resume_dir=folder, progress=lambda *call: calls.append(call[:2]), **OPTIONS
    )
    assert len(fitted) == FITS - known
    assert calls == [(done, STEPS) for done in range(1, STEPS + 1)]
    assert again.metrics == whole.metrics
    pd.testing.assert_frame_equal(again.predictions, whole.predictions, check_exact=True)
    assert not folder.exists()


def test_a_run_may_be_interrupted_again_and_again(table, tmp_path, fitted):
    whole = evaluate(table, **OPTIONS)
    fitted.clear()
    for after in (2, 5, 9):
        interrupted(table, tmp_path / "unfinished", after)
    assert evaluate(table, resume_dir=tmp_path / "unfinished", **OPTIONS).metrics == whole.metrics
    assert len(fitted) == FITS


def test_parts_serve_whatever_they_do_not_depend_on(table, tmp_path, fitted):
    interrupted(table, tmp_path / "unfinished", FITS)
    fitted.clear()
    # The last step was an interruption after everything was fitted; resamples are no fits.
    found = evaluate(table, resume_dir=tmp_path / "unfinished", **{**OPTIONS, "bootstrap": 20})
    assert fitted == []
    assert found.metrics == evaluate(table, **{**OPTIONS, "bootstrap": 20}).metrics


def one_value(table):
    table.loc[7, "color.chin.log_rg.mean"] += 0.5


def one_gap(table):
    table.loc[7, "pulse.chin.green.ac_dc"] = np.nan


def one_outcome(table):
    table.loc[[8, 9], "hemoglobin_g_dl"] += 0.1


def one_age(table):
    table.loc[[8, 9], "age_years"] += 1


def one_person(table):
    table.loc[1, "participant_id"] = "p023"


def one_name(table):
    # The same numbers, but another column is expected to show blood.
    table.columns = [name.replace("chin.log_rg", "chin.other") for name in table.columns]


def one_place(table):
    # The same numbers, explained as those of another region.
    table.columns = [name.replace("pulse.chin", "pulse.nose") for name in table.columns]


@pytest.mark.parametrize(
    "change", [one_value, one_gap, one_outcome, one_age, one_person, one_name, one_place]
)
def test_parts_of_a_changed_table_are_not_taken(table, tmp_path, fitted, change):
    folder = tmp_path / "unfinished"
    interrupted(table, folder, FITS)
    changed = table.copy()
    change(changed)
    whole = evaluate(changed, **OPTIONS)
    fitted.clear()
    again = evaluate(changed, resume_dir=folder, **OPTIONS)
    assert len(fitted) == FITS
    assert again.metrics == whole.metrics
    # Those of the other table are of no use to anybody any more.
    assert not folder.exists()


def test_parts_know_whose_clips_they_were_fitted_to(table, tmp_path, fitted):
    # Sites are held out inside as well, so the folds stay what they are.
    table = table.assign(site=np.repeat(list("ABCD"), 12), clip=[f"{i:02d}.mp4" for i in range(48)])
    options = {**OPTIONS, "group": "site", "modalities": ["color"]}
    interrupted(table, tmp_path / "unfinished", 5, **options)
    changed = table.copy()
    changed["participant_id"] = np.repeat(table["participant_id"].to_numpy()[::4], 4)
    whole = evaluate(changed, **options)
    fitted.clear()
    again = evaluate(changed, resume_dir=tmp_path / "unfinished", **options)
    assert len(fitted) == 2 * 4
    assert again.metrics == whole.metrics


@pytest.mark.parametrize(
    "options", [{"seed": 1}, {"folds": 4}, {"quick": False, "folds": 3, "repeats": 1}]
)
def test_parts_of_other_settings_are_not_taken(table, tmp_path, fitted, options):
    interrupted(table, tmp_path / "unfinished", 3)
    fitted.clear()
    whole = evaluate(table, **{**OPTIONS, **options})
    count = len(fitted)
    again = evaluate(table, resume_dir=tmp_path / "unfinished", **{**OPTIONS, **options})
    assert again.metrics == whole.metrics
    assert len(fitted) == 2 * count


def test_a_table_with_copies_goes_on_with_and_without_them(table, tmp_path, fitted):
    table = table.copy()
    table.loc[[10, 11], "content_sha256"] = ["c30", "c31"]
    whole = evaluate(table, **OPTIONS)
    assert len(fitted) == 2 * FITS
    assert whole.metrics["without_duplicates"] is not None
    interrupted(table, tmp_path / "unfinished", FITS + 3)
    fitted.clear()
    assert evaluate(table, resume_dir=tmp_path / "unfinished", **OPTIONS).metrics == whole.metrics
    assert len(fitted) == FITS - 3


def test_nothing_but_the_parts_is_removed(table, tmp_path):
    folder = tmp_path / "mine"
    (folder / "photographs").mkdir(parents=True)
    (folder / "photographs" / "one.npz").write_bytes(b"mine")
    (folder / "notes.txt").write_text("mine")
    evaluate(table, resume_dir=folder, **OPTIONS)
    assert sorted(path.name for path in folder.rglob("*")) == [
        "notes.txt", "one.npz", "photographs",
    ]  # fmt: skip
    assert PartStore.clear(tmp_path / "absent") is None


@pytest.mark.slow
def test_two_workers_stop_and_go_on_as_well(table, tmp_path):
    whole = evaluate(table, **OPTIONS)
    interrupted(table, tmp_path / "unfinished", 4, workers=2)
    assert len(parts(tmp_path / "unfinished")) == 4
    again = evaluate(table, resume_dir=tmp_path / "unfinished", workers=2, **OPTIONS)
    assert again.metrics["models"] == whole.metrics["models"]


SCRIPT = """
import sys
from planted import features
from pallor.evaluation import shared_fitting
from pallor.evaluation.protocol import evaluate

fitted, original = [], shared_fitting.members_say

def counted(*arguments):
    fitted.append(1)
    return original(*arguments)

shared_fitting.members_say = counted

def progress(done, total, label):
    print(done, flush=True)

result = evaluate(
    features(people=24), quick=True, regressors=("xgboost",), bootstrap=50,
    resume_dir=sys.argv[1], progress=progress,
)
result.save(sys.argv[2])
print("fitted", len(fitted), flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows knows no SIGKILL")
def test_a_killed_process_leaves_what_the_next_one_goes_on_from(tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    def start(name):
        return subprocess.Popen(
            [sys.executable, "-c", SCRIPT, tmp_path / "unfinished", tmp_path / name],
            env=environment, cwd=Path(__file__).parent, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    with start("killed") as process:
        for line in process.stdout:
            if int(line) == 3:
                process.send_signal(signal.SIGKILL)
                break
        assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed").exists()
    kept = len(parts(tmp_path / "unfinished"))
    assert kept >= 3
    with start("again") as process:
        said, _ = process.communicate()
    assert said.endswith(f"fitted {6 - kept}\n")
    assert not (tmp_path / "unfinished").exists()
    with start("undisturbed") as process:
        said, _ = process.communicate()
    assert said.endswith("fitted 6\n")
    texts = [(tmp_path / name / "metrics.json").read_bytes() for name in ("again", "undisturbed")]
    assert texts[0] == texts[1]
    assert json.loads(texts[0])["models"]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows knows no SIGKILL")
def test_a_killed_command_is_given_again_and_writes_what_an_undisturbed_one_does(tmp_path):
    write_store(features(people=24), tmp_path / "features")
    run = tmp_path / "run"
    command = [
        sys.executable, "-m", "pallor", "evaluate", tmp_path / "features", "-o", run,
        "--regressors", "xgboost", "--quick", "--workers", "1",
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    run.rename(tmp_path / "undisturbed")
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while len(parts(run)) < 2 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert len(parts(run / "unfinished")) >= 2
    assert not (run / "metrics.json").exists()
    subprocess.run(command, check=True, capture_output=True)
    assert not (run / "unfinished").exists()
    texts = [(folder / "metrics.json").read_bytes() for folder in (run, tmp_path / "undisturbed")]
    assert texts[0] == texts[1]
