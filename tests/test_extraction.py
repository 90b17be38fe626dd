from __future__ import annotations

import ast
import csv
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fake_worker import fake
from feature_parts import parts_of
from pallor.cohort.clip_outcome import ClipOutcome, ClipTask, DamagedOutcomeError, decode, encode
from pallor.cohort.clip_store import ClipStore
from pallor.cohort.extraction import extract
from pallor.cohort.extraction_worker import function_name, measure
from pallor.cohort.feature_table import (
    feature_columns,
    load_features,
    modalities_of,
    read_table,
)
from pallor.cohort.folder_lock import locked
from pallor.cohort.table import Cohort, cohort_from_frame
from pallor.cohort.table_layout import ClipLayout
from pallor.errors import ClipError, CohortError, FeatureTableError, UsageError


def _cohort(folder: Path, texts: dict[str, str], **more: list[object]) -> Cohort:
    for clip, text in texts.items():
        (folder / clip).write_text(text)
    people = [f"{i:03d}" for i in range(len(texts))]
    return cohort_from_frame(
        pd.DataFrame({"participant_id": people, "clip": list(texts), **more}), folder
    )


def _features(folder: Path) -> pd.DataFrame:
    return load_features(folder)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    extract(_cohort(folder, {"a.mp4": "fine"}), folder / "F", ["color"], worker=fake)
    return folder / "F"


def test_every_clip_ends_as_done_or_failed_and_the_order_is_that_of_the_cohort(
    tmp_path: Path,
) -> None:
    texts = {
        "a.mp4": "fine",
        "b.mp4": "no face",
        "c.mp4": "bug",
        "d.mp4": "crash",
        "e.mp4": "print",
        "f.mp4": "simulated",
    }
    cohort = _cohort(tmp_path, texts, hemoglobin_g_dl=[10, 11, 12, 13, 14, 15])
    seen: list[tuple[int, int, str]] = []
    result = extract(
        cohort,
        tmp_path / "F",
        ["color", "pulse"],
        2,
        lambda *report: seen.append(report),
        command="pallor extract ...",
        worker=fake,
    )
    assert (result.read, result.done, result.failed, result.resumed) == (6, 3, 3, 0)
    assert [(f.clip, f.code) for f in result.failures] == [
        ("b.mp4", "no_face"),
        ("c.mp4", "internal"),
        ("d.mp4", "crashed"),
    ]
    assert "ZeroDivisionError: oh no" in result.failures[1].text
    assert [report[:2] for report in seen] == [(n, 6) for n in range(1, 7)]
    table = _features(tmp_path / "F")
    assert table["clip"].tolist() == ["a.mp4", "e.mp4", "f.mp4"]
    assert table["participant_id"].tolist() == ["000", "004", "005"]
    assert table["hemoglobin_g_dl"].tolist() == [10.0, 14.0, 15.0]
    assert table["simulated"].tolist() == [False, False, True]
    assert table[["heart_rate_bpm", "snr_db"]].isna().all(axis=None)
    assert modalities_of(table) == ["color", "pulse"]
    assert feature_columns(table, "color") == ["color.a.b.c", "color.a.b.d"]
    assert (table.dtypes[feature_columns(table, "pulse")] == np.float32).all()
    assert table["pulse.a.b.c"].iloc[0] == np.float32(sum(b"a.mp4") / 3)
    assert table["color.a.b.c"].isna().all()
    settings = table.attrs["extraction"]
    assert settings["counts"] == {"read": 6, "done": 3, "failed": 3, "participants": 3}
    assert settings["simulated"] is True
    assert settings["command"] == "pallor extract ..."
    assert settings["precision"] == "float32"
    assert settings["versions"]["numpy"] == np.__version__
    with (tmp_path / "F" / "failures.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["participant_id"], r["code"], r["hemoglobin_g_dl"]) for r in rows] == [
        ("001", "no_face", "11.0"),
        ("002", "internal", "12.0"),
        ("003", "crashed", "13.0"),
    ]


def test_a_second_run_does_only_what_is_missing_failed_or_changed(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    cohort = _cohort(tmp_path, {"a.mp4": f"log {log}", "b.mp4": f"log {log}", "c.mp4": "no face"})
    extract(cohort, tmp_path / "F", ["color"], worker=fake)
    assert sorted(log.read_text().split()) == ["a.mp4", "b.mp4"]
    (tmp_path / "c.mp4").write_text(f"log {log}")
    (tmp_path / "b.mp4").write_text(f"log {log}\n")
    relabeled = Cohort(cohort.frame.assign(site="x"), cohort.root)
    result = extract(relabeled, tmp_path / "F", ["color"], worker=fake)
    assert (result.done, result.resumed) == (3, 1)
    assert sorted(log.read_text().split()[2:]) == ["b.mp4", "c.mp4"]
    assert _features(tmp_path / "F")["site"].tolist() == ["x"] * 3
    result = extract(relabeled, tmp_path / "F", ["color"], worker=fake)
    assert result.resumed == 3
    result = extract(relabeled, tmp_path / "F", ["color"], worker=fake, overwrite=True)
    assert (result.done, result.resumed) == (3, 0)
    assert len(log.read_text().split()) == 7


def test_other_settings_are_refused_until_overwritten(tmp_path: Path) -> None:
    cohort = _cohort(tmp_path, {"a.mp4": "fine"})
    extract(cohort, tmp_path / "F", ["color"], worker=fake)
    before = parts_of(tmp_path / "F")
    for asked, samples in ((["pulse"], 16), (["color"], 8), (None, 16)):
        with pytest.raises(FeatureTableError, match=r"--overwrite"):
            extract(cohort, tmp_path / "F", asked, worker=fake, samples=samples)
    assert parts_of(tmp_path / "F") == before
    extract(cohort, tmp_path / "F", ["pulse"], worker=fake, overwrite=True)
    assert _features(tmp_path / "F").attrs["extraction"]["modalities_asked"] == ["pulse"]


def test_a_hanging_clip_is_stopped(tmp_path: Path) -> None:
    cohort = _cohort(tmp_path, {"a.mp4": "hang", "b.mp4": "fine"})
    result = extract(cohort, tmp_path / "F", ["color"], worker=fake, time_limit_s=0.5)
    assert [f.code for f in result.failures] == ["time_limit"]
    assert result.done == 1


def test_nothing_extracted_is_told_and_leaves_no_old_table(tmp_path: Path) -> None:
    cohort = _cohort(tmp_path, {"a.mp4": "fine"})
    extract(cohort, tmp_path / "F", ["color"], worker=fake)
    (tmp_path / "a.mp4").write_text("no face")
    result = extract(cohort, tmp_path / "F", ["color"], worker=fake)
    assert (result.read, result.done, result.failed) == (1, 0, 1)
    assert not result.table.exists()
    with pytest.raises(FeatureTableError, match=r"no clip could be extracted; failures.csv"):
        load_features(tmp_path / "F")


def test_wrong_requests_are_refused_before_any_work(tmp_path: Path) -> None:
    cohort = _cohort(tmp_path, {"a.mp4": "fine"})
    with pytest.raises(UsageError, match="unknown modality"):
        extract(cohort, tmp_path / "F", ["colour"])
    with pytest.raises(UsageError, match="at least 1"):
        extract(cohort, tmp_path / "F", ["color"], 0)
    for column in ("fps", "color.x"):
        odd = Cohort(cohort.frame.assign(**{column: 1}), cohort.root)
        with pytest.raises(CohortError, match="rename it"):
            extract(odd, tmp_path / "F", ["color"])
    assert not (tmp_path / "F").exists()
    (tmp_path / "G").mkdir()
    (tmp_path / "G" / "thesis.txt").write_text("x")
    with pytest.raises(FeatureTableError, match=r"other files \(thesis.txt\)"):
        extract(cohort, tmp_path / "G", ["color"], worker=fake)
    with pytest.raises(FeatureTableError, match="this is a file"):
        extract(cohort, tmp_path / "a.mp4", ["color"], worker=fake)


def test_a_folder_in_use_is_refused_and_a_left_over_lock_file_is_not(tmp_path: Path) -> None:
    cohort = _cohort(tmp_path, {"a.mp4": "fine"})
    (tmp_path / "F").mkdir()
    with locked(tmp_path / "F"), pytest.raises(FeatureTableError, match="another pallor extract"):
        extract(cohort, tmp_path / "F", ["color"], worker=fake)
    assert (tmp_path / "F" / ".lock").exists()
    assert extract(cohort, tmp_path / "F", ["color"], worker=fake).done == 1


def test_workers_that_do_not_start_are_no_clips_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort = _cohort(tmp_path, {"a.mp4": "fine"})
    monkeypatch.setattr(fake, "__qualname__", "absent")
    with pytest.raises(FeatureTableError, match=r"does not start: AttributeError.*absent"):
        extract(cohort, tmp_path / "F", ["color"], worker=fake)
    with pytest.raises(FeatureTableError, match="interrupted"):
        load_features(tmp_path / "F")


def test_only_functions_that_can_be_imported_serve_as_workers() -> None:
    assert function_name(measure) == "pallor.cohort.extraction_worker:measure"
    with pytest.raises(ValueError, match="cannot be imported"):
        function_name(lambda task: fake(task))


class _Forgetful:
    """A cluster that loses the last task."""

    def run(self, tasks: list[ClipTask]) -> Iterator[ClipOutcome]:
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        for task in tasks[:-1]:
            yield fake(task)


def test_another_pool_may_do_the_work_and_what_it_loses_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    @contextmanager
    def pool() -> Iterator[_Forgetful]:
        yield _Forgetful()

    cohort = _cohort(tmp_path, {"a.mp4": "fine", "b.mp4": "fine"})
    result = extract(cohort, tmp_path / "F", ["color"], pool=pool)
    assert (result.read, result.done, result.failed) == (2, 1, 1)
    assert result.failures[0].clip == "b.mp4"


def _still(path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(60, 200, (40, 60, 4), dtype=np.uint8)
    pixels[..., 3] = 0
    pixels[8:32, 10:50, 3] = 255
    Image.fromarray(pixels, "RGBA").save(path)


def test_real_stills_give_color_and_refuse_pulse(tmp_path: Path) -> None:
    for index in range(3):
        _still(tmp_path / f"{index}.png", index)
    frame = pd.DataFrame(
        {"participant_id": list("pqrs"), "clip": ["0.png", "1.png", "2.png", "gone.png"]}
    )
    cohort = cohort_from_frame(frame.assign(reference_method="simulated"), tmp_path)
    result = extract(cohort, tmp_path / "F", workers=2)
    assert [(f.clip, f.code) for f in result.failures] == [("gone.png", "missing")]
    table = _features(tmp_path / "F")
    assert modalities_of(table) == ["color"]
    assert table.attrs["extraction"]["input_kinds"] == ["region_still"]
    assert table["simulated"].all()
    assert table["heart_rate_bpm"].isna().all()
    assert not table["usable_pulse"].any()
    assert table["content_sha256"].nunique() == 3
    red = table["color.tissue.red.mean"].to_numpy()
    assert np.isfinite(red).all()
    assert len(set(red)) == 3
    alone = measure(ClipTask("k", "p", "0.png", str(tmp_path / "0.png"), ("color",)))
    assert table[list(alone.features)].iloc[0].to_numpy().tobytes() == alone.values().tobytes()
    refused = extract(cohort, tmp_path / "G", ["color", "pulse"])
    assert [f.code for f in refused.failures] == ["still_image"] * 3 + ["missing"]


def _part(folder: Path, number: int = 0) -> Path:
    return folder / "features.parquet" / f"part-{number:05d}.parquet"


@pytest.mark.parametrize(
    ("break_it", "part"),
    [
        (lambda f: (f / "extraction.json").unlink(), "no feature table"),
        (lambda f: (f / "extraction.json").write_text("{"), "damaged"),
        (lambda f: (f / "extraction.json").write_text("[]"), "damaged"),
        (lambda f: shutil.rmtree(f / "features.parquet"), "features.parquet is absent"),
        (lambda f: _part(f).write_bytes(b"x"), "not a readable Parquet"),
        (lambda f: _part(f).unlink(), "1 of 1 parts are absent"),
        (lambda f: shutil.copy(_part(f), _part(f, 1)), "part-00001.parquet is no part"),
        (
            lambda f: pd.DataFrame({"participant_id": ["p"]}).to_parquet(_part(f)),
            "pallor extract did not write this",
        ),
        (
            lambda f: (f / "extraction.json").write_text(
                (f / "extraction.json").read_text().replace('"samples": 16', '"samples": 8')
            ),
            r"other settings than extraction.json tells of \(samples\)",
        ),
        (
            lambda f: (f / "extraction.json").write_text(
                (f / "extraction.json").read_text().replace('"complete": true', '"complete": false')
            ),
            "interrupted",
        ),
        (
            lambda f: (f / "extraction.json").write_text(
                (f / "extraction.json").read_text().replace('"done": 1', '"done": 2')
            ),
            "tells of 2 rows, but of 1",
        ),
        (
            lambda f: (f / "extraction.json").write_text(
                (f / "extraction.json").read_text().replace('"content": "', '"content": "0')
            ),
            "do not belong together",
        ),
    ],
)
def test_a_damaged_feature_folder_says_what_to_do(
    tmp_path: Path, finished: Path, break_it: Callable[[Path], object], part: str
) -> None:
    shutil.copytree(finished, tmp_path / "F")
    assert len(load_features(tmp_path / "F")) == 1
    break_it(tmp_path / "F")
    with pytest.raises(FeatureTableError, match=part) as caught:
        load_features(tmp_path / "F")
    assert str(tmp_path / "F") in caught.value.text


def test_a_table_is_read_from_a_folder_or_a_cohort_file(tmp_path: Path, finished: Path) -> None:
    (tmp_path / "c.csv").write_text("participant_id,clip\np,a.mp4\n")
    assert modalities_of(read_table(finished)) == ["color", "pulse"]
    assert len(read_table(finished / "features.parquet")) == 1
    assert len(read_table(finished / "extraction.json")) == 1
    plain = read_table(tmp_path / "c.csv")
    assert modalities_of(plain) == []
    with pytest.raises(FeatureTableError, match="no features of 'color'"):
        feature_columns(plain, "color")
    with pytest.raises(FeatureTableError, match="no such folder"):
        read_table(tmp_path / "nix")


@given(
    st.dictionaries(
        st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), min_size=1),
        st.floats(width=32),
        max_size=5,
    )
)
def test_an_outcome_survives_storage_bit_by_bit(features: dict[str, float]) -> None:
    task = ClipTask("k", "p", "c", "/c", ("color",))
    outcome = ClipOutcome(task, {"fps": float("nan"), "warnings": "é"}, features, None, 3, 4)
    got = decode(encode(outcome))
    assert got.task == task
    assert list(got.features) == list(features)
    assert np.array_equal(got.values(), outcome.values(), equal_nan=True)
    assert got.measured["warnings"] == "é"
    assert (got.file_size, got.file_mtime_ns) == (3, 4)


def test_outcomes_are_decoded_without_the_parser_of_python(monkeypatch: pytest.MonkeyPatch) -> None:
    task = ClipTask("k", "p", "c", "/c", ("color",))
    frames = np.arange(6, dtype=np.float32).reshape(2, 3)
    data = encode(
        ClipOutcome(task, {}, {"color.a": 1.0}, frames={"custom": frames}, frame_time_s=np.ones(2))
    )

    def parse(*_arguments: object, **_more: object) -> None:
        raise AssertionError("not safe in several threads under Python 3.11")

    monkeypatch.setattr(ast, "parse", parse)
    got = decode(data)
    assert dict(got.features) == {"color.a": 1.0}
    np.testing.assert_array_equal(got.frames["custom"], frames)
    np.testing.assert_array_equal(got.frame_time_s, np.ones(2))


@given(st.binary(max_size=200), st.integers(0, 2000))
def test_damaged_outcomes_are_noticed(noise: bytes, cut: int) -> None:
    whole = encode(ClipOutcome(ClipTask("k", "p", "c", "/c", ()), {}, {"color.a": 1.0}))
    with pytest.raises(DamagedOutcomeError):
        decode(noise)
    with pytest.raises(DamagedOutcomeError):
        decode(whole[: cut % len(whole)])


def test_a_task_survives_the_pipe() -> None:
    task = ClipTask("k", "p\n", "ü\udc80", "/c", ("color", "pulse"), True, 4)
    assert "\n" not in task.to_json()
    assert ClipTask.from_json(task.to_json()) == task


def test_what_a_killed_run_was_writing_is_removed_by_the_next(tmp_path: Path) -> None:
    cohort = _cohort(tmp_path, {"a.mp4": "fine", "b.mp4": "fine"})
    extract(cohort, tmp_path / "F", ["color"], worker=fake)
    before = {path.relative_to(tmp_path) for path in (tmp_path / "F").rglob("*")}
    stored = next((tmp_path / "F" / "clips").rglob("*.zip"))
    # Named as a process that was killed in the middle of writing leaves them.
    for path in (stored, tmp_path / "F" / "extraction.json", tmp_path / "F" / "failures.csv"):
        path.with_name(f".{path.name}.4711.0123abcd.part").write_bytes(b"half")
    result = extract(cohort, tmp_path / "F", ["color"], worker=fake)
    assert (result.done, result.resumed) == (2, 2)
    assert {path.relative_to(tmp_path) for path in (tmp_path / "F").rglob("*")} == before


def test_the_store_forgets_what_no_longer_fits(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"12345")
    digest = "5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5"
    task = ClipTask("k", "p", "a.mp4", str(path), ("color",))
    status = path.stat()
    store = ClipStore(tmp_path / "clips")
    assert store.check(task) is None
    store.put(
        ClipOutcome(
            task,
            {"file_sha256": digest},
            {"color.a": 1.0},
            file_size=5,
            file_mtime_ns=status.st_mtime_ns,
        )
    )
    assert store.check(task) == ClipLayout(("color.a",))
    os.utime(path, (1, 1))
    assert store.check(task) is not None  # same content
    path.write_bytes(b"54321")
    os.utime(path, (2, 2))
    assert store.check(task) is None
    assert store.load(task) is not None
    assert store.load(replace(task, samples=3)) is None
    (tmp_path / "clips" / "k" / "k.zip").write_bytes(b"damaged")
    assert store.load(task) is None
    assert store.check(task) is None
    store.forget(task)
    store.forget(task)
    assert not (tmp_path / "clips" / "k" / "k.zip").exists()


def test_an_error_of_the_progress_bar_ends_the_workers(tmp_path: Path) -> None:
    cohort = _cohort(tmp_path, {f"{i}.mp4": "slow" for i in range(20)})

    def stop(done: int, total: int, clip: str) -> None:
        raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        extract(cohort, tmp_path / "F", ["color"], 2, stop, worker=fake)
    assert time.monotonic() - began < 20
    with locked(tmp_path / "F"):
        pass
    with pytest.raises(FeatureTableError, match="interrupted"):
        load_features(tmp_path / "F")


_SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from pallor.cohort.extraction import extract
from pallor.cohort.table import read_cohort
from fake_worker import fake
from feature_parts import parts_of
extract(read_cohort({table!r}), {out!r}, ["color"], 2, worker=fake)
"""


@pytest.mark.slow
def test_a_killed_run_goes_on_and_gives_the_table_of_an_undisturbed_one(tmp_path: Path) -> None:
    cohort = _cohort(tmp_path, {f"{i:02d}.mp4": "slow" for i in range(30)})
    cohort.frame.to_csv(tmp_path / "c.csv", index=False)
    script = _SCRIPT.format(
        tests=str(Path(__file__).parent), table=str(tmp_path / "c.csv"), out=str(tmp_path / "F")
    )
    # A plain script, without a guard for the main module, as users write them.
    (tmp_path / "run.py").write_text(script)
    run = subprocess.Popen([sys.executable, tmp_path / "run.py"])
    clips = tmp_path / "F" / "clips"
    until = time.monotonic() + 60
    while len(list(clips.rglob("*.zip"))) < 5 and time.monotonic() < until:
        assert run.poll() is None
        time.sleep(0.01)
    run.kill()
    run.wait()
    stored = len(list(clips.rglob("*.zip")))
    assert 5 <= stored < 30
    assert json.loads((tmp_path / "F" / "extraction.json").read_text())["complete"] is False
    with pytest.raises(FeatureTableError, match="interrupted"):
        load_features(tmp_path / "F")
    result = extract(cohort, tmp_path / "F", ["color"], 2, worker=fake)
    assert (result.done, result.resumed) == (30, stored)
    extract(cohort, tmp_path / "G", ["color"], 1, worker=fake)
    pd.testing.assert_frame_equal(
        _features(tmp_path / "F"), _features(tmp_path / "G"), check_exact=True
    )


def test_clip_errors_keep_their_code(tmp_path: Path) -> None:
    from pallor.cohort.extraction_worker import outcome_of

    def refuse(task: ClipTask) -> ClipOutcome:
        raise ClipError("a\nb")

    failure = outcome_of(ClipTask("k", "p", "c", "/c", ()), refuse).failure
    assert failure is not None
    assert (failure.code, failure.text) == ("clip", "a b")
