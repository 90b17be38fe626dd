from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pallor.features.registry import MODALITIES


def pallor(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pallor", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "command",
    [
        "demo",
        "check",
        "simulate",
        "cohort",
        "extract",
        "evaluate",
        "train",
        "predict",
        "features",
        "serve",
    ],
)
def test_every_command_explains_itself(command: str) -> None:
    run = pallor(command, "--help")
    assert run.returncode == 0
    assert len(run.stdout.splitlines()) > 8


@pytest.mark.parametrize(
    "arguments",
    [["check"], ["nonsense"], ["check", "--nonsense", "x"], ["features", "--modalities", "nope"]],
)
def test_wrong_usage_is_status_2_without_a_traceback(arguments: list[str]) -> None:
    run = pallor(*arguments)
    assert run.returncode == 2
    assert "Traceback" not in run.stderr
    assert run.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("command", [["features"], ["--version"]])
def test_output_that_cannot_be_written_is_one_line(command: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        run = subprocess.run(
            [sys.executable, "-m", "pallor", *command],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert run.returncode == 1
    assert run.stderr == "pallor: the output cannot be written: No space left on device\n"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--json", "--fhir"], "choose one"),
        (["--pregnancy", "no"], "--pregnancy"),
        (["--json", "--altitude-m", "0"], "--altitude-m"),
        (["--smoking", "no"], "--smoking"),
        (["--subject", "Patient/1"], "--subject"),
    ],
)
def test_what_only_fhir_says_is_refused_elsewhere(options: list[str], says: str) -> None:
    run = pallor("predict", "nowhere.pallor", "x.mp4", *options)
    assert run.returncode == 2
    (line,) = run.stderr.splitlines()
    assert says in line


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["check", "nowhere.mp4"], "nowhere.mp4"),
        (["extract", "nowhere.csv"], "nowhere.csv"),
        (["evaluate", "nowhere"], "nowhere"),
        (["train", "nowhere"], "nowhere"),
        (["predict", "nowhere.pallor", "x.mp4"], "nowhere.pallor"),
        (["cohort", "cp-anemic", "nowhere"], "nowhere"),
        (["serve", "--model", "nowhere.pallor", "--data", "nowhere"], "nowhere.pallor"),
    ],
)
def test_what_is_absent_is_named_in_one_line(arguments: list[str], says: str) -> None:
    run = pallor(*arguments)
    assert run.returncode == 1
    (line,) = run.stderr.splitlines()
    assert says in line


def test_json_comes_even_when_nothing_can_be_read() -> None:
    run = pallor("check", "nowhere.mp4", "--json")
    assert run.returncode == 1
    answer = json.loads(run.stdout)
    assert answer["usable"] is False
    assert answer["heart_rate_bpm"] is None
    assert answer["reasons"][0]["code"] == "missing"


def test_features_lists_names_formulas_units_and_sources() -> None:
    run = pallor("features", "--json")
    docs = [json.loads(line) for line in run.stdout.splitlines()]
    assert {doc["pattern"].split(".")[0] for doc in docs} == set(MODALITIES)
    assert all(doc[key] for doc in docs for key in ("description", "formula", "unit", "source"))


@pytest.mark.shared
def test_a_real_face_gives_its_heart_rate(shared: Path) -> None:
    run = pallor("check", shared / "face_clips" / "sample_video_1.mp4", "--json")
    assert run.returncode == 0, run.stderr
    (line,) = run.stdout.splitlines()
    answer = json.loads(line)
    assert answer["usable"] is True
    assert answer["reasons"] == []
    assert answer["frames"] == 354
    # The spectral peak of the contact photoplethysmogram recorded with the clip.
    assert abs(answer["heart_rate_bpm"] - 75.6) <= 1.5
    assert answer["duration_s"] == pytest.approx(11.8, abs=0.05)
    assert answer["fps"] == pytest.approx(30.0, abs=0.2)
    assert answer["face_coverage"] == 1.0
    assert answer["snr_db"] > 0


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("no_face.mp4", "no_face"),
        ("single_face.mp4", "too_short"),
        ("face_noface.mov", "too_short"),
    ],
)
def test_real_clips_that_cannot_serve_are_refused(shared: Path, name: str, code: str) -> None:
    run = pallor("check", shared / "edge_clips" / name, "--json")
    assert run.returncode == 1
    answer = json.loads(run.stdout)
    assert answer["usable"] is False
    assert answer["heart_rate_bpm"] is None
    assert [reason["code"] for reason in answer["reasons"]] == [code]
    assert name in run.stderr


@pytest.mark.shared
def test_a_face_that_leaves_is_measured_where_it_is_visible(shared: Path) -> None:
    run = pallor("check", shared / "edge_clips" / "face_noface.mov", "--json")
    (warning,) = json.loads(run.stdout)["warnings"]
    assert warning["code"] == "face_lost"
    assert "0.0-2.3 s" in warning["text"]


@pytest.mark.shared
def test_labels_without_videos_give_the_baselines(shared: Path, tmp_path: Path) -> None:
    read = pallor("cohort", "mcd-rppg", shared / "mcd_rppg", "-o", tmp_path / "mcd.csv")
    assert read.returncode == 0, read.stderr
    assert "1800 of 1800 videos are absent" in read.stderr
    assert "1800 clips of 300 participants" in read.stdout
    run = pallor("evaluate", tmp_path / "mcd.csv", "-o", tmp_path / "run", "--json")
    assert run.returncode == 0, run.stderr
    metrics = json.loads(run.stdout)
    assert metrics["models"] == []
    baselines = {entry["name"]: entry for entry in metrics["baselines"]}
    assert round(baselines["mean"]["in_sample"]["mae"], 2) == 1.30
    assert round(baselines["sex"]["in_sample"]["mae"], 2) == 0.98
    for name in ("mean", "sex"):
        held_out, in_sample = baselines[name], baselines[name]["in_sample"]
        assert held_out["mae"]["value"] == pytest.approx(in_sample["mae"], abs=0.02)
        # Least squares minimizes the squared error in sample; held out it can only be larger.
        assert held_out["rmse"]["value"] > in_sample["rmse"]
    shown = pallor("evaluate", tmp_path / "mcd.csv", "-o", tmp_path / "run")
    assert "1.30" in shown.stdout
    assert "0.98" in shown.stdout


def test_weights_are_listed_and_verified() -> None:
    listed = pallor("weights", "list")
    assert listed.returncode == 0
    assert listed.stdout.splitlines()[1].startswith("face_landmarker  ")
    verified = pallor("weights", "verify")
    assert verified.returncode == 0
    assert "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff" in verified.stdout
    assert pallor("weights", "fetch", "nonsense").returncode == 2
