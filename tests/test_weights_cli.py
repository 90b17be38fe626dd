from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pallor.cli import weights as commands
from pallor.errors import UsageError
from pallor.weights.weight_file import Carrier, WeightFile
from tls_server import tls_servers

CONTENTS = {"face_landmarker": b"landmarks" * 50, "small": b"small network" * 50}


def weight(name: str) -> WeightFile:
    content = CONTENTS.get(name, b"")
    sha256 = hashlib.sha256(content).hexdigest()
    return WeightFile(
        name=name,
        file=f"{name}.bin",
        url=f"https://publisher.invalid/{name}.bin",
        sha256=sha256,
        sha256_prefix=sha256[:8],
        max_bytes=1000,
        license="MIT (weights); trained on pictures",
        publisher="nobody",
    )


FACE, SMALL = weight("face_landmarker"), weight("small")
BEGINNING = dataclasses.replace(SMALL, name="beginning", sha256=None)


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path) -> Path:
    for name in ("PALLOR_MIRROR", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PALLOR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(
        commands, "all_weight_files", lambda: {w.name: w for w in (FACE, SMALL, BEGINNING)}
    )
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


@pytest.fixture
def serve(monkeypatch, tmp_path):
    with tls_servers(monkeypatch, tmp_path) as start:
        yield start


def run(*arguments: str):
    return CliRunner().invoke(commands.app, arguments)


def put(folder: Path, which: WeightFile, content: bytes | None = None) -> Path:
    path = folder / which.file
    path.write_bytes(CONTENTS[which.name] if content is None else content)
    return path


def test_list_says_what_is_there_what_is_missing_and_what_is_wrong(cache):
    face = put(cache, FACE)
    small = put(cache, SMALL, b"something else")
    done = run("list", "--json")
    assert done.exit_code == 0
    there, wrong, _ = (json.loads(line) for line in done.stdout.splitlines())
    assert there == {
        "name": "face_landmarker",
        "state": "ok",
        "place": "cache",
        "path": str(face),
        "sha256": FACE.sha256,
        "license": FACE.license,
        "publisher": "nobody",
        "url": FACE.url,
        "text": None,
    }
    assert (wrong["state"], wrong["path"], wrong["sha256"]) == ("wrong", str(small), None)
    assert str(SMALL.sha256) in wrong["text"]


def test_list_of_an_empty_cache_says_how_to_get_the_files_and_is_no_failure(cache):
    done = run("list", "--json")
    assert done.exit_code == 0
    files = [json.loads(line) for line in done.stdout.splitlines()]
    assert [file["state"] for file in files] == ["missing"] * 3
    assert all(file["place"] is None for file in files)
    assert files[0]["path"] == str(cache / FACE.file)
    assert "pallor weights fetch face_landmarker" in files[0]["text"]


def test_list_as_a_table_has_a_line_a_file_and_reasons_on_stderr(cache):
    face = put(cache, FACE)
    done = run("list")
    assert done.exit_code == 0
    header, first, second, *_ = done.stdout.splitlines()
    assert header.split() == ["name", "state", "place", "sha256", "license", "path"]
    assert first.split() == [FACE.name, "ok", "cache", str(FACE.sha256)[:12], "MIT", str(face)]
    assert second.split() == ["small", "missing", "MIT"]
    assert FACE.license in done.stdout
    assert "small: small.bin is not installed" in done.stderr


def test_a_named_file_that_is_absent_is_missing_where_it_was_named(cache, monkeypatch, tmp_path):
    named = dataclasses.replace(FACE, environment="PALLOR_TEST_NETWORK")
    monkeypatch.setenv("PALLOR_TEST_NETWORK", str(tmp_path / "absent"))
    monkeypatch.setattr(commands, "all_weight_files", lambda: {named.name: named})
    (file,) = (json.loads(line) for line in run("list", "--json").stdout.splitlines())
    assert (file["state"], file["place"]) == ("missing", "environment")
    assert file["path"] == str(tmp_path / "absent")


@pytest.mark.parametrize(
    ("there", "names", "status"),
    [
        ([], [], 1),
        ([FACE], [], 0),
        ([SMALL], [], 1),
        ([SMALL], ["small"], 0),
        ([FACE], ["small"], 1),
        ([FACE, SMALL], ["face_landmarker", "small"], 0),
    ],
)
def test_verify_fails_where_a_named_file_or_the_landmark_model_is_missing(
    cache, there, names, status
):
    for which in there:
        put(cache, which)
    done = run("verify", *names)
    assert done.exit_code == status
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert list(lines) == (names or ["face_landmarker", "small", "beginning"])
    for which in (FACE, SMALL):
        if which.name in lines:
            expected = f"ok  {which.sha256}  {cache / which.file}" if which in there else "missing"
            assert lines[which.name] == f"{which.name}  {expected}"


@pytest.mark.parametrize("names", [[], ["small"]])
def test_verify_fails_where_any_file_is_wrong(cache, names):
    put(cache, FACE)
    put(cache, SMALL, b"something else")
    done = run("verify", *names)
    assert done.exit_code == 1
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("small  wrong  "))
    assert hashlib.sha256(b"something else").hexdigest() in line
    assert str(SMALL.sha256) in line


def test_verify_holds_a_file_to_the_hash_of_its_first_use(cache):
    put(cache, SMALL)
    assert run("verify", "beginning").exit_code == 0
    record = cache / "small.bin.sha256"
    record.write_text(record.read_text().replace(str(SMALL.sha256)[8:], "0" * 56))
    done = run("verify", "beginning")
    assert done.exit_code == 1
    assert str(record) in done.stdout


def test_fetch_prints_what_sha256sum_would_and_does_not_fetch_twice(cache, serve):
    asked = serve(200, CONTENTS["small"], Content_Length=str(len(CONTENTS["small"])))
    first = run("fetch", "small")
    assert first.exit_code == 0, first.output
    assert first.stdout == f"{SMALL.sha256}  {cache / SMALL.file}\n"
    assert f"small, bytes: {len(CONTENTS['small'])} of {len(CONTENTS['small'])}" in first.stderr
    again = run("fetch", "small", "small")
    assert again.stdout == first.stdout
    assert "not fetched again" in again.stderr
    assert asked == ["/small.bin"]


def test_fetch_of_a_size_that_is_not_stated_says_so(cache, serve):
    serve(200, CONTENTS["small"])
    done = run("fetch", "small")
    assert f"{len(CONTENTS['small'])} of 1000 (at most)" in done.stderr


def test_fetch_goes_on_after_a_failure_and_then_fails(cache, serve):
    serve(200, CONTENTS["small"])
    done = run("fetch", "--all")
    assert done.exit_code == 1
    assert (cache / SMALL.file).is_file()
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("pallor: "))
    assert "not face_landmarker.bin: its SHA-256 is" in line


@pytest.mark.parametrize("arguments", [["fetch"], ["fetch", "--all", "small"], ["fetch", "no"]])
def test_what_to_fetch_must_be_said_and_known(arguments):
    done = run(*arguments)
    assert isinstance(done.exception, UsageError)
    for name in ("face_landmarker", "small", "beginning"):
        assert name in done.exception.text


def test_an_unknown_name_is_wrong_usage_of_verify():
    assert isinstance(run("verify", "nonsense").exception, UsageError)


# ---------------------------------------------------------------------- the program as it is


def pallor(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pallor", "weights", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "200", **environment},
    )


def test_every_file_that_pallor_can_use_is_in_the_list(tmp_path):
    run = pallor("list", "--json", PALLOR_CACHE=str(tmp_path))
    assert run.returncode == 0, run.stderr
    files = {file["name"]: file for file in map(json.loads, run.stdout.splitlines())}
    assert next(iter(files)) == "face_landmarker"
    assert set(files) == {
        "face_landmarker", "mobilenet_v2", "mobilenet_v2-v1", "resnet152", "resnet152-v1",
        "efficientnet_lite0",
    }  # fmt: skip
    assert all(file["license"] and file["publisher"] for file in files.values())


def test_exit_statuses_reach_the_shell(tmp_path):
    wrong = tmp_path / "wrong.task"
    wrong.write_bytes(b"another")
    assert pallor("fetch", "nonsense").returncode == 2
    assert pallor("fetch").returncode == 2
    assert pallor("verify", "nonsense").returncode == 2
    done = pallor("verify", "face_landmarker", PALLOR_FACE_MODEL=str(wrong))
    assert done.returncode == 1
    assert "face_landmarker  wrong" in done.stdout
    mirror = {"PALLOR_MIRROR": "https://127.0.0.1:9", "PALLOR_CACHE": str(tmp_path / "cache")}
    done = pallor("fetch", "face_landmarker", **mirror)
    assert done.returncode == 1
    assert "https://storage.googleapis.com/" in done.stderr
    assert str(tmp_path / "cache" / "face_landmarker.task") in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "variable",
    ["PALLOR_CACHE", "PALLOR_MIRROR", "HTTPS_PROXY", "PALLOR_FACE_MODEL", "TORCH_HOME"],
)
def test_the_help_explains_the_environment(variable):
    assert f"{variable}: " in pallor("--help").stdout


def test_a_carried_file_is_found_in_its_package(cache, monkeypatch, tmp_path):
    carrier = Carrier("carrier_for_list", "carrier-for-list==1", "models/small.bin")
    carried = dataclasses.replace(SMALL, carrier=carrier, url=None)
    monkeypatch.setattr(commands, "all_weight_files", lambda: {"small": carried})
    models = tmp_path / "site" / "carrier_for_list" / "models"
    models.mkdir(parents=True)
    put(models, SMALL)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    (file,) = (json.loads(line) for line in run("list", "--json").stdout.splitlines())
    assert (file["state"], file["place"]) == ("ok", "package")
    done = run("fetch", "small")
    assert done.exit_code == 0
    assert "right and there already (package)" in done.stderr
