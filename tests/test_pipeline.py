"""The main job on simulated clips, through the command line as a user types it."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from feature_parts import parts_of

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("pipeline")]

PARTICIPANTS = 14
NETWORK = "efficientnet_lite0"


def pallor(*arguments: object, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [*prefix, sys.executable, "-m", "pallor", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def succeed(*arguments: object) -> subprocess.CompletedProcess[str]:
    run = pallor(*arguments)
    assert run.returncode == 0, run.stderr
    assert "Traceback" not in run.stderr
    return run


@dataclass(frozen=True)
class Made:
    folder: Path
    cohort: Path
    clip: Path
    features: Path
    model: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("pipeline")
    options = ("--preset", "easy", "--participants", PARTICIPANTS, "--duration", 6)
    succeed("simulate", folder / "cohort", *options)
    cohort = folder / "cohort" / "cohort.csv"
    # A broken and an absent clip must neither stop the run nor get lost in it.
    (folder / "cohort" / "clips" / "broken.mp4").write_bytes(b"not a video at all" * 100)
    with cohort.open("a", encoding="utf-8") as table:
        columns = cohort.read_text(encoding="utf-8").splitlines()[0].split(",")
        for person, clip in (("broken", "clips/broken.mp4"), ("absent", "clips/absent.mp4")):
            values = {"participant_id": person, "clip": clip, "hemoglobin_g_dl": "13.0"}
            table.write(",".join(values.get(c, "") for c in columns) + "\n")
    run = succeed("extract", cohort, "-o", folder / "features")
    read = PARTICIPANTS + 2
    assert f"read {read} = done {PARTICIPANTS} + failed 2" in run.stdout
    model = folder / "model.pallor"
    succeed("train", folder / "features", "-o", model, "--quick")
    clip = next(iter(sorted((folder / "cohort" / "clips").glob("sim*.mp4"))))
    return Made(folder, cohort, clip, folder / "features", model)


def test_failures_are_named_with_reasons(made: Made) -> None:
    lines = (made.features / "failures.csv").read_text(encoding="utf-8")
    assert re.search(r"broken.*not_a_video", lines)
    assert re.search(r"absent.*missing", lines)


def test_a_second_run_does_only_what_is_missing(made: Made) -> None:
    before = parts_of(made.features)
    run = succeed("extract", made.cohort, "-o", made.features)
    assert f"done {PARTICIPANTS} + failed 2" in run.stdout
    assert parts_of(made.features) == before


def test_evaluate_writes_metrics_and_report(made: Made) -> None:
    succeed("evaluate", made.features, "-o", made.folder / "run", "--quick")
    metrics = json.loads((made.folder / "run" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["simulated"] is True
    assert metrics["participants"] == PARTICIPANTS
    assert {b["name"] for b in metrics["baselines"]} == {"mean", "sex", "sex_age"}
    modality_sets = {tuple(m["modalities"]) for m in metrics["models"]}
    assert {("color",), ("pulse",), ("color", "pulse")} <= modality_sets
    assert {m["regressor"] for m in metrics["models"]} == {"xgboost", "random_forest", "stacking"}
    for model in metrics["models"]:
        for score in ("mae", "rmse"):
            interval = model[score]
            assert 0 < interval["low"] <= interval["value"] <= interval["high"]
    report = (made.folder / "run" / "report.html").read_text(encoding="utf-8")
    assert "SIMULATED" in report
    assert "Research use only" in report


def test_predict_gives_an_estimate_with_an_interval(made: Made) -> None:
    run = succeed("predict", made.model, made.clip, "--json")
    (line,) = run.stdout.splitlines()
    estimate = json.loads(line)
    assert estimate["usable"] is True
    assert estimate["simulated"] is True
    low, high = estimate["interval_low_g_dl"], estimate["interval_high_g_dl"]
    assert 3 < low < estimate["hemoglobin_g_dl"] < high < 25
    assert estimate["coverage"] == 0.9
    assert estimate["reasons"] == []


def test_predict_refuses_what_it_cannot_serve_and_goes_on(made: Made, tmp_path: Path) -> None:
    from PIL import Image

    still = tmp_path / "tissue.png"
    picture = Image.new("RGBA", (80, 60), (180, 90, 80, 200))
    picture.save(still)
    run = pallor("predict", made.model, "nowhere.mp4", still, made.clip, "--json")
    assert run.returncode == 1
    absent, tissue, good = (json.loads(line) for line in run.stdout.splitlines())
    assert absent["usable"] is False
    assert absent["reasons"][0]["code"] == "missing"
    assert tissue["usable"] is False
    assert tissue["reasons"][0]["code"] == "outside_model"
    assert tissue["hemoglobin_g_dl"] is None
    assert good["usable"] is True
    assert "nowhere.mp4" in run.stderr
    assert "Traceback" not in run.stderr


def test_predict_speaks_fhir(made: Made) -> None:
    from fhir.resources.R4B.observation import Observation

    person = ("--sex", "female", "--age-years", 30, "--pregnancy", "third", "--altitude-m", 600)
    clips = ("nowhere.mp4", made.clip)
    run = pallor("predict", made.model, *clips, "--fhir", *person, "--subject", "Patient/12")
    assert run.returncode == 1
    absent, good = (json.loads(line) for line in run.stdout.splitlines())
    for resource in (absent, good):
        Observation.model_validate(resource)
        assert resource["subject"] == {"reference": "Patient/12"}
        assert resource["meta"]["security"][0]["code"] == "HTEST"
        # 110 g/L in the third trimester and 4 g/L for the altitude.
        assert resource["referenceRange"][0]["low"]["value"] == 11.4
    assert "valueQuantity" not in absent
    assert absent["dataAbsentReason"]["coding"][1]["code"] == "missing"
    estimate = json.loads(succeed("predict", made.model, made.clip, "--json").stdout)
    assert math.isclose(good["valueQuantity"]["value"], estimate["hemoglobin_g_dl"], abs_tol=0.0501)


def test_python_names_mirror_the_command_line(made: Made) -> None:
    import pallor as package

    check = package.check(made.clip)
    assert check.usable
    assert check.simulated
    recording = package.record(made.clip)
    series = package.features(recording, ["color", "pulse"])
    assert series.dtype == "float32"
    assert abs(series["pulse.face.heart_rate.value"] - check.heart_rate_bpm) < 0.1
    model = package.load_model(made.model)
    estimate = model.predict(made.clip)
    from_command = json.loads(succeed("predict", made.model, made.clip, "--json").stdout)
    assert math.isclose(estimate.hemoglobin_g_dl, from_command["hemoglobin_g_dl"])


def test_a_changed_byte_of_the_model_is_refused(made: Made, tmp_path: Path) -> None:
    altered = tmp_path / "altered.pallor"
    content = bytearray(made.model.read_bytes())
    content[len(content) // 2] ^= 1
    altered.write_bytes(content)
    run = pallor("predict", altered, made.clip)
    assert run.returncode == 1
    assert "altered.pallor" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("command", ["check", "extract", "networks", "predict"])
def test_no_connection_is_opened(made: Made, tmp_path: Path, command: str) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is absent: install it to look at the system calls")
    one = tmp_path / "one.csv"
    one.write_text(f"participant_id,clip\na,{made.clip}\n", encoding="utf-8")
    arguments = {
        "check": ("check", made.clip),
        "extract": ("extract", one, "-o", tmp_path / "features", "--workers", 2),
        "networks": ("extract", one, "-o", tmp_path / "f", "--modalities", NETWORK),
        "predict": ("predict", made.model, made.clip),
    }[command]
    log = tmp_path / "calls"
    prefix = ("strace", "-f", "-qq", "-e", "trace=socket,connect,sendto,bind", "-o", str(log))
    run = pallor(*arguments, prefix=prefix)
    assert run.returncode == 0, run.stderr
    calls = log.read_text(encoding="utf-8")
    assert "AF_INET" not in calls, calls
    assert "connect(" not in calls, calls


def test_strace_would_see_a_connection(tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is absent: install it to look at the system calls")
    log = tmp_path / "calls"
    code = "import socket; socket.socket().connect_ex(('127.0.0.1', 9))"
    subprocess.run(
        [
            "strace",
            "-f",
            "-qq",
            "-e",
            "trace=socket,connect",
            "-o",
            log,
            sys.executable,
            "-c",
            code,
        ],
        check=True,
    )
    assert "AF_INET" in log.read_text(encoding="utf-8")


def test_the_oracle_measures_a_run(made: Made) -> None:
    faces = ("--preset", "easy", "--participants", PARTICIPANTS, "--duration", 6)
    run = made.folder / "run"
    if not run.exists():
        succeed("evaluate", made.features, "-o", run, "--quick")
    answer = json.loads(succeed("simulate", *faces, "--oracle", "--run", run, "--json").stdout)
    assert answer["simulated"] is True
    assert answer["participants"] == PARTICIPANTS
    assert [entry["name"] for entry in answer["observers"]][-2:] == [
        "color+sex",
        "color+pulse+sex",
    ]
    names = {entry["name"] for entry in answer["models"]}
    assert {"color+pulse:stacking", "baseline:sex_age"} <= names
    other = pallor("simulate", *faces, "--seed", 1, "--oracle", "--run", run)
    assert other.returncode == 2
    assert "not an evaluation of this cohort" in other.stderr
    assert "Traceback" not in other.stderr


def test_simulate_refuses_what_makes_no_sense(tmp_path: Path) -> None:
    for arguments, told in (
        ((), "name a folder"),
        ((tmp_path / "c", "--run", tmp_path), "belong to --oracle"),
        ((tmp_path / "c", "--camera", "kodak"), "nikon_d5100"),
        ((tmp_path / "c", "--codec", "av2"), "h264, mjpeg"),
        ((tmp_path / "c", "--quality", 99), "0 (best) to 51"),
    ):
        run = pallor("simulate", *arguments)
        assert run.returncode == 2
        assert told in run.stderr
        assert "Traceback" not in run.stderr
    assert list(tmp_path.iterdir()) == []


def test_every_option_of_simulate_reaches_the_clip(tmp_path: Path) -> None:
    import pandas as pd

    options = ("--participants", 1, "--sessions", 2, "--duration", 0.5, "--size", 96, "--fps", 20)
    cameras = ("--camera", "sigma_sd1_merrill", "--light", "led_b1", "--codec", "mjpeg")
    run = succeed("simulate", tmp_path / "c", *options, *cameras, "--no-sex-cue")
    assert run.stdout.strip() == str(tmp_path / "c" / "cohort.csv")
    assert "SIMULATED" in run.stderr
    truth = pd.read_parquet(tmp_path / "c" / "truth.parquet")
    assert truth["sensor"].tolist() == ["sigma_sd1_merrill"] * 2
    assert truth["light"].tolist() == ["led_b1"] * 2
    assert [len(times) for times in truth["time_s"]] == [10, 10]
    sheet = tmp_path / "sheets" / "faces.png"
    assert succeed("simulate", "--contact-sheet", sheet).stdout.strip() == str(sheet)
    assert sheet.read_bytes().startswith(b"\x89PNG")
