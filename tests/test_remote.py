from __future__ import annotations

import hashlib
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

pytest.importorskip("s3fs", reason="s3fs is not installed")
pytest.importorskip("moto", reason="moto is not installed")

import pallor
from cluster import running
from encoding import write_clip
from fake_worker import fake
from pallor.cohort.address import shown_address
from pallor.cohort.clip_outcome import ClipOutcome, ClipTask
from pallor.cohort.clip_store import ClipStore
from pallor.cohort.extraction import extract
from pallor.cohort.extraction_places import extract_to, work_folder
from pallor.cohort.extraction_worker import outcome_of
from pallor.cohort.feature_table import load_features, read_table
from pallor.cohort.fetched_clip import measure_fetched
from pallor.cohort.remote_file import fetch, status
from pallor.cohort.table import cohort_from_frame, read_cohort, write_cohort
from pallor.cohort.worker_pool import Worker
from pallor.errors import (
    ClipMissingError,
    ClipTooLargeError,
    CohortError,
    FeatureTableError,
    FetchError,
    UsageError,
)
from portrait import pulsing
from s3_server import BUCKET, SECRET, Store, s3_server

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("remote")]

CLIPS = 3


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with (
        pytest.MonkeyPatch.context() as patch,
        s3_server(patch, tmp_path_factory.mktemp("moto")) as store,
    ):
        yield store


@pytest.fixture
def store(server: Store) -> Iterator[Store]:
    yield server
    server.empty()


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a cohort table and its clips."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "clips").mkdir()
    rows = ["participant_id,clip,hemoglobin_g_dl"]
    for i in range(CLIPS):
        times = [k / 30 for k in range(150)]
        write_clip(folder / f"clips/{i} a.mp4", pulsing(times, bpm=64 + i, seed=i), times_s=times)
        rows.append(f"p{i},clips/{i} a.mp4,{12 + i}")
    (folder / "cohort.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def at_home(study: Path, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    out = tmp_path_factory.mktemp("home") / "F"
    assert extract(read_cohort(study / "cohort.csv"), out, ["color"]).done == CLIPS
    return load_features(out)


def upload(study: Path, store: Store) -> None:
    for path in study.rglob("*"):
        if path.is_file():
            store.put(f"study/{path.relative_to(study).as_posix()}", path.read_bytes())


def task(place: str, clip: str = "a.mp4") -> ClipTask:
    return ClipTask("k", "p", clip, place, ("color",))


def test_cohort_clips_and_output_at_an_object_store_give_the_local_table(
    study: Path, store: Store, at_home: pd.DataFrame, tmp_path: Path
) -> None:
    upload(study, store)
    address = f"s3://{BUCKET}/out/features"

    def command(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pallor", *map(str, arguments)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    extraction = (
        "extract", f"s3://{BUCKET}/study/cohort.csv", "-o", address, "--modalities", "color",
        "--work", tmp_path / "work",
    )  # fmt: skip
    run = command(*extraction)
    assert run.returncode == 0, run.stderr
    assert f"{address}: read 3 = done 3 + failed 0" in run.stdout
    table = load_features(address)
    pd.testing.assert_frame_equal(table, at_home, check_exact=True)
    assert table.attrs["extraction"]["complete"] is True
    pd.testing.assert_frame_equal(read_table(address + "/"), at_home, check_exact=True)
    kept = {key for key in store.names() if key.startswith("out/")}
    assert all("/clips/" not in key and "/." not in key for key in kept)
    before = (tmp_path / "work" / "features.parquet").stat()
    (tmp_path / "work" / "clips" / "note.txt").write_text("x")
    store.put("out/features/features.parquet.d/mine.txt", b"mine")
    store.put("study/clips/0 a.mp4", (study / "clips/1 a.mp4").read_bytes())
    again = command(*extraction)
    assert again.returncode == 0, again.stderr
    changed = load_features(address)
    assert before != (tmp_path / "work" / "features.parquet").stat()
    assert changed["file_sha256"][0] == changed["file_sha256"][1]
    assert store.get("out/features/features.parquet.d/mine.txt") == b"mine"
    evaluated = command("evaluate", address, "-o", tmp_path / "run", "--quick")
    assert evaluated.returncode == 1  # three people are too few, and it says so
    assert len(evaluated.stderr.splitlines()) == 1


def test_a_second_run_fetches_only_what_changed(study: Path, store: Store, tmp_path: Path) -> None:
    upload(study, store)
    cohort = read_cohort(f"s3://{BUCKET}/study/cohort.csv")
    assert extract(cohort, tmp_path / "F", ["color"]).done == CLIPS
    assert extract(cohort, tmp_path / "F", ["color"]).resumed == CLIPS
    # Of the same size, so that the mark alone tells.
    data = bytearray((study / "clips/0 a.mp4").read_bytes())
    data[-1] ^= 1
    store.put("study/clips/0 a.mp4", bytes(data))
    result = extract(cohort, tmp_path / "F", ["color"])
    assert (result.done, result.resumed) == (CLIPS, CLIPS - 1)
    digest = hashlib.sha256(data).hexdigest()
    assert load_features(tmp_path / "F")["file_sha256"][0] == digest


def test_a_cluster_fetches_the_clips_itself(
    study: Path, store: Store, at_home: pd.DataFrame, tmp_path: Path
) -> None:
    pytest.importorskip("distributed")
    upload(study, store)
    with running(tmp_path) as cluster:
        result = extract_to(
            read_cohort(f"s3://{BUCKET}/study/cohort.csv"), f"s3://{BUCKET}/F",
            scheduler=cluster.address, modalities=["color"], work=tmp_path / "work",
        )  # fmt: skip
    assert result.done == CLIPS, result.failures
    pd.testing.assert_frame_equal(load_features(f"s3://{BUCKET}/F"), at_home, check_exact=True)


def test_what_cannot_be_fetched_is_a_failure_with_a_reason(store: Store, tmp_path: Path) -> None:
    store.put("empty.mp4", b"")
    store.put("text.mp4", b"no video")
    places = [f"s3://{BUCKET}/gone.mp4", f"s3://{BUCKET}/empty.mp4", f"s3://{BUCKET}/text.mp4",
              "s3://no-such-bucket-here/a.mp4", "gs://b/a.mp4"]  # fmt: skip
    frame = pd.DataFrame({"participant_id": list("abcde"), "clip": places})
    result = extract(cohort_from_frame(frame, tmp_path), tmp_path / "F", ["color"])
    assert [f.code for f in result.failures] == [
        "missing", "empty", "not_a_video", "missing", "fetch_failed",
    ]  # fmt: skip
    for place, failure in zip(places, result.failures, strict=True):
        assert failure.text.startswith(f"{place}: ")
        assert "/proc" not in failure.text
    assert "pip install fsspec gcsfs" in result.failures[4].text


def test_keys_that_nobody_made_are_refused_and_not_shown(store: Store, tmp_path: Path) -> None:
    store.put("a.mp4", b"x")
    store.ask_for_credentials(on=True)
    try:
        failure = outcome_of(task(f"s3://{BUCKET}/a.mp4"), fake).failure
        assert failure is not None
        assert (failure.code, "access denied" in failure.text) == ("fetch_failed", True)
        with pytest.raises(CohortError, match="access denied"):
            read_cohort(f"s3://{BUCKET}/cohort.csv")
        frame = pd.DataFrame({"participant_id": ["p"], "clip": ["a.mp4"]})
        with pytest.raises(FeatureTableError, match="access denied") as caught:
            extract_to(cohort_from_frame(frame, tmp_path), f"s3://{BUCKET}/F")
        assert SECRET not in f"{failure.text} {caught.value}"
        assert "AKIA" not in f"{failure.text} {caught.value}"
    finally:
        store.ask_for_credentials(on=False)


def test_without_credentials_the_reason_is_said(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code = f"from pallor.cohort.remote_file import status\nstatus('s3://{BUCKET}/a.mp4')\n"
    quiet = {k: v for k, v in os.environ.items() if not k.startswith("AWS_ACC")}
    quiet |= {"AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path)}
    quiet.pop("AWS_SECRET_ACCESS_KEY")
    run = subprocess.run([sys.executable, "-c", code], env=quiet, capture_output=True, text=True)
    assert "no credentials for it on this machine" in run.stderr.splitlines()[-1]


def test_no_more_than_the_limit_is_read(store: Store, tmp_path: Path) -> None:
    store.put("large.mp4", bytes(5000))
    with (tmp_path / "copy").open("w+b") as copy:
        with pytest.raises(ClipTooLargeError, match=r"large\.mp4: the file has more than"):
            fetch(f"s3://{BUCKET}/large.mp4", copy, 4999)
        assert copy.seek(0, 2) == 0
        assert fetch(f"s3://{BUCKET}/large.mp4", copy, 5000).size == 5000
    with pytest.raises(ClipTooLargeError):
        measure_fetched(task(f"s3://{BUCKET}/large.mp4"), fake, max_bytes=10)


class _Web:
    """A web server that answers as told, and counts."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.status = 200
        self.failures = 0
        self.endless = False
        self.sent = 0
        self.asked: list[str] = []
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.answer(body=False)

            def do_GET(self) -> None:
                self.answer(body=True)

            def answer(self, *, body: bool) -> None:
                web.asked.append(f"{self.command} {self.path}")
                data = web.files.get(self.path.partition("?")[0])
                code = 404 if data is None else web.status
                if web.failures:
                    web.failures -= 1
                    code = 503
                self.send_response(code)
                if code != 200:
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                if not web.endless:
                    self.send_header("Content-Length", str(len(data)))
                    self.send_header("ETag", f'"{hashlib.md5(data).hexdigest()}"')  # noqa: S324
                self.end_headers()
                if body:
                    self.send(data)

            def send(self, data: bytes) -> None:
                try:
                    self.wfile.write(data)
                    while web.endless:
                        self.wfile.write(bytes(65536))
                        web.sent += 65536
                except OSError:
                    pass

            def log_message(self, *args: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture
def web() -> Iterator[_Web]:
    web = _Web()
    yield web
    web.server.shutdown()
    web.server.server_close()


def test_a_web_server_serves_table_and_clips(
    web: _Web, study: Path, at_home: pd.DataFrame, tmp_path: Path
) -> None:
    for path in study.rglob("*.*"):
        name = path.relative_to(study).as_posix().replace(" ", "%20")
        web.files[f"/d/{name}"] = path.read_bytes()
    table = pallor.extract(f"{web.url}/d/cohort.csv", tmp_path / "F", modalities=["color"])
    pd.testing.assert_frame_equal(table, at_home, check_exact=True)
    web.asked.clear()
    result = extract(read_cohort(f"{web.url}/d/cohort.csv"), tmp_path / "F", ["color"])
    assert result.resumed == CLIPS
    assert not any(line.startswith("GET") and "clips" in line for line in web.asked)


def test_a_server_that_never_stops_sending_is_left(web: _Web, tmp_path: Path) -> None:
    web.files["/a.mp4"] = b"x"
    web.endless = True
    with (tmp_path / "copy").open("w+b") as copy:
        with pytest.raises(ClipTooLargeError):
            fetch(f"{web.url}/a.mp4", copy, 2**20)
        assert copy.seek(0, 2) <= 2**20
    assert web.sent < 2**28


def test_a_signed_address_is_fetched_and_its_signature_told_nobody(
    web: _Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    web.files["/a.mp4"] = b"fine"
    signed = f"{web.url}/a.mp4?X-Amz-Signature={SECRET}&Expires=60"
    done = outcome_of(task(signed, signed), fake)
    assert done.failure is None
    assert (done.task.path, done.file_size) == (signed, 4)
    for code, says in ((403, "access denied"), (404, "no such file"), (400, "cannot be fetched")):
        web.status = code
        failure = outcome_of(task(signed, signed), fake).failure
        assert failure is not None
        assert says in failure.text
        assert shown_address(signed) in failure.text
        assert SECRET not in failure.text
    web.status, web.files["/a.mp4"] = 200, b"bug"
    broken = outcome_of(task(signed, signed), fake).failure
    assert broken is not None
    assert (broken.code, SECRET in broken.text) == ("internal", False)


def test_a_signature_is_in_no_output_of_the_command(web: _Web, tmp_path: Path) -> None:
    web.files["/c.csv"] = f"participant_id,clip\np,{web.url}/a.mp4?sig={SECRET}\n".encode()
    web.files["/a.mp4"] = b"no video"
    run = subprocess.run(
        [sys.executable, "-m", "pallor", "extract", f"{web.url}/c.csv?sig={SECRET}", "-o",
         str(tmp_path / "F")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 1
    assert "a.mp4?...: " in run.stderr
    assert SECRET not in run.stdout + run.stderr
    record = json.loads((tmp_path / "F" / "extraction.json").read_text())
    assert f"{web.url}/c.csv?..." in record["command"]
    assert SECRET not in record["command"] + record["failures"][0]["text"]


def test_the_network_is_tried_again_but_not_for_ever(
    web: _Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pallor.cohort.remote_file._PAUSES_S", (0.0, 0.0))
    web.files["/a.mp4"] = b"fine"
    web.failures = 2  # HEAD and GET of the first attempt
    with (tmp_path / "copy").open("w+b") as copy:
        assert fetch(f"{web.url}/a.mp4", copy, 100).size == 4
    web.failures = 100
    with pytest.raises(FetchError, match=r"could not be reached \(3 attempts; .*503"):
        status(f"{web.url}/a.mp4")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(FetchError, match="could not be reached"):
        status(f"http://127.0.0.1:{port}/a.mp4")


def test_no_copy_of_a_clip_stays_even_when_processes_are_killed(
    web: _Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    for name in ("fine", "no face", "crash"):
        web.files[f"/{name.replace(' ', '')}.mp4"] = name.encode()
    worker = Worker(fake, 60)
    codes = []
    for name in ("fine", "noface", "crash", "fine"):
        outcome = worker.run(task(f"{web.url}/{name}.mp4"))
        codes.append(None if outcome.failure is None else outcome.failure.code)
        assert [p for p in tmp_path.rglob("*") if p.is_file()] == []
    worker.close()
    assert codes == [None, "no_face", "crashed", None]
    assert list(tmp_path.iterdir()) == []
    # The whole family at once: on Linux a copy has no name that could stay.
    monkeypatch.setattr("pallor.cohort.fetched_clip._OPEN_FILES", tmp_path / "absent")
    named = outcome_of(task(f"{web.url}/noface.mp4", "a.mp4"), fake).failure
    assert named is not None
    assert str(tmp_path) not in named.text
    assert list(tmp_path.iterdir()) == []


def test_a_server_without_marks_is_gone_by_size(tmp_path: Path, web: _Web) -> None:
    store = ClipStore(tmp_path / "clips")
    here = task(f"{web.url}/a.mp4")
    web.files["/a.mp4"] = b"fine"
    found = status(here.path)
    assert (found.size, found.mark.split()[0]) == (4, "etag")
    store.put(ClipOutcome(here, {}, {"color.a": 1.0}, file_size=4, file_mark=found.mark))
    assert store.check(here) is not None
    web.files["/a.mp4"] = b"fin."
    assert store.check(here) is None
    store.put(ClipOutcome(here, {}, {"color.a": 1.0}, file_size=4, file_mark=""))
    assert store.check(here) is None  # it had no mark then, and has one now


def test_publishing_replaces_what_is_its_own_and_says_so_until_it_is_done(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pallor.cohort import remote_folder

    def folder(name: str, parts: dict[str, str]) -> Path:
        for part, text in {**parts, ".lock": "", "clips/00.npz": "x"}.items():
            path = tmp_path / name / part
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path / name

    owned = ("features.parquet", "failures.csv")
    address = f"s3://{BUCKET}/F"
    first = folder("one", {
        "features.parquet/part-0.parquet": "a", "features.parquet/part-1.parquet": "b",
        "failures.csv": "c", "extraction.json": '{"complete": true, "n": 1}',
    })  # fmt: skip
    remote_folder.check_writable(address, "extraction.json")
    remote_folder.publish(first, address, "extraction.json", owned)
    assert store.names() == [
        "F/extraction.json", "F/failures.csv", "F/features.parquet/part-0.parquet",
        "F/features.parquet/part-1.parquet",
    ]  # fmt: skip
    store.put("F/notes.txt", b"mine")
    second = folder("two", {
        "features.parquet/part-0.parquet": "z", "failures.csv": "c",
        "extraction.json": '{"complete": true, "n": 2}',
    })  # fmt: skip
    remote_folder.check_writable(address, "extraction.json")
    put = remote_folder._RemoteFolder.put

    def broken(self: object, source: Path, name: str) -> int:
        if name.endswith("part-0.parquet"):
            raise FeatureTableError("the network is gone")
        return put(self, source, name)

    monkeypatch.setattr(remote_folder._RemoteFolder, "put", broken)
    with pytest.raises(FeatureTableError, match="network is gone"):
        remote_folder.publish(second, address, "extraction.json", owned)
    with pytest.raises(FeatureTableError, match=rf"^{address}: the extraction was interrupted"):
        load_features(address)
    monkeypatch.undo()
    remote_folder.publish(second, address, "extraction.json", owned)
    assert json.loads(store.get("F/extraction.json")) == {"complete": True, "n": 2}
    assert store.get("F/features.parquet/part-0.parquet") == b"z"
    assert store.get("F/notes.txt") == b"mine"
    assert "F/features.parquet/part-1.parquet" not in store.names()
    for key in ("F//etc/x", "F/../x", "F/features.parquet/../../x", "F/a\\b", "F/"):
        store.put(key, b"hostile")
    with remote_folder.fetched_folder(address, ("features.parquet", "..", "", "etc")) as copy:
        kept = [path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file()]
        assert kept == ["features.parquet/part-0.parquet"]
        assert (copy / "features.parquet" / "part-0.parquet").read_text() == "z"


def test_outputs_that_cannot_be_are_refused_before_the_work(store: Store, tmp_path: Path) -> None:
    cohort = cohort_from_frame(pd.DataFrame({"participant_id": ["p"], "clip": ["a.mp4"]}), tmp_path)
    (tmp_path / "a.mp4").write_text("fine")
    store.put("G/thesis.txt", b"x")
    for output, error, says in (
        ("https://host/F", UsageError, "nothing can be written there"),
        ("ftp://host/F", UsageError, "another kind"),
        (f"s3://{BUCKET}/G", FeatureTableError, r"other files \(thesis.txt\)"),
        ("s3://no-such-bucket-here/F", FeatureTableError, "no such bucket"),
    ):
        with pytest.raises(error, match=says):
            extract_to(cohort, output, worker=fake, modalities=["color"])
    with pytest.raises(UsageError, match="--work"):
        extract_to(cohort, tmp_path / "F", work=tmp_path / "w")
    with pytest.raises(FeatureTableError, match="no such folder"):
        load_features(f"s3://{BUCKET}/nowhere")
    with pytest.raises(FeatureTableError, match="does not tell what is in a folder"):
        load_features("https://host/F")
    said: list[str] = []
    address = f"s3://{BUCKET}/H"
    done = extract_to(cohort, address, worker=fake, modalities=["color"], say=said.append)
    assert done.table.parent == work_folder(address)
    assert said == [f"note: working in {done.table.parent}"]
    assert len(load_features(f"{address}/")) == 1


def test_tables_at_an_address_name_it_in_their_errors(store: Store, tmp_path: Path) -> None:
    address = f"s3://{BUCKET}/c.csv"
    with pytest.raises(CohortError, match=rf"^{address}: there is no such file"):
        read_cohort(address)
    store.put("c.csv", b"participant_id,clip\np,/etc/passwd\nq,../../x.mp4\n")
    with pytest.raises(CohortError, match=rf"^{address}: 2 problems: row 2: .*; row 3: ") as caught:
        read_cohort(address)
    assert str(tmp_path) not in str(caught.value)
    store.put("c.csv", b"participant_id\np\n")
    with pytest.raises(CohortError, match=rf"^{address}: the header lacks clip"):
        read_cohort(address)
    store.put("c.csv", "participant_id,clip\np,a ü.mp4\nq,s3://other/x.mp4\n".encode())
    cohort = read_cohort(address)
    assert cohort.clip_places() == [f"s3://{BUCKET}/a ü.mp4", "s3://other/x.mp4"]
    with pytest.raises(CohortError, match="which only extraction reads"):
        cohort.clip_paths()
    here = read_cohort(write_cohort(cohort, tmp_path / "here.csv"))
    assert here.clip_places() == cohort.clip_places()
    pd.DataFrame({"participant_id": ["p"], "clip": ["x"]}).to_parquet(tmp_path / "c.parquet")
    store.put("c.parquet", (tmp_path / "c.parquet").read_bytes())
    assert len(read_table(f"s3://{BUCKET}/c.parquet")) == 1


def test_a_missing_folder_is_no_clip(store: Store) -> None:
    store.put("d/a.mp4", b"x")
    with pytest.raises(ClipMissingError, match="this is a folder"):
        status(f"s3://{BUCKET}/d")


def test_local_work_never_loads_what_reads_addresses(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("participant_id,clip\np,a.mp4\n")
    (tmp_path / "a.mp4").write_text("x")
    code = (
        "import sys, pallor.api\n"
        f"pallor.api.extract({str(tmp_path / 'c.csv')!r}, {str(tmp_path / 'F')!r})\n"
    )
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "no clip could be extracted" in run.stderr
    loaded = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in run.stderr.splitlines()}
    assert "pandas" in loaded
    assert not loaded & {"fsspec", "s3fs", "aiohttp", "distributed", "dask"}
