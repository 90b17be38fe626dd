from __future__ import annotations

import json
import shutil
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pallor
from fake_worker import fake
from feature_parts import parts_of, write_store
from pallor.cohort import atomic, table_assembly
from pallor.cohort.clip_outcome import ClipOutcome, ClipTask
from pallor.cohort.clip_store import ClipStore, clip_key
from pallor.cohort.extraction import extract
from pallor.cohort.feature_folder import IDENTITY, settings_digest
from pallor.cohort.feature_table import iter_features, load_features, modalities_of
from pallor.cohort.frame_columns import load_frames
from pallor.cohort.table import Cohort, cohort_from_frame
from pallor.cohort.table_assembly import assemble, assemble_parts, rows_a_part
from pallor.cohort.table_layout import ClipLayout, LayoutUnion, TableLayout
from pallor.cohort.table_parts import write_parts
from pallor.errors import FeatureTableError
from planted import Ridge, features

NAMES = (
    ("color.a.b.c", "color.a.b.d", "pulse.a.b.c"),
    ("color.a.b.c", "color.x.b.d"),
    ("pulse.a.b.c",),
    (),
)


def _outcome(row: int, names: tuple[str, ...], *, frames: int = 0) -> ClipOutcome:
    task = ClipTask(clip_key(f"p{row}", f"{row}.mp4"), f"p{row}", f"{row}.mp4", "/x", ("color",))
    measured = {
        "input_kind": "face_video",
        "simulated": row % 3 == 0,
        "fps": None if row % 2 else 30.0,
        "usable_pulse": True,
        "warnings": "dark" if row == 1 else None,
        "content_sha256": f"{row:064x}",
    }
    values = {name: float(np.float32(np.sin(row + i))) for i, name in enumerate(names)}
    if row % 5 == 4:
        values = dict.fromkeys(values, float("nan"))
    rng = np.random.default_rng(row)
    kept = {"resnet152": rng.normal(size=(frames, 3)).astype(np.float32)} if frames else {}
    times = np.arange(frames, dtype=float) if frames else None
    return ClipOutcome(task, measured, values, frames=kept, frame_time_s=times)


def _frame(rows: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "participant_id": [f"p{i}" for i in range(rows)],
            "clip": [f"{i}.mp4" for i in range(rows)],
            "hemoglobin_g_dl": [12.0 if i == 0 else None for i in range(rows)],
            "site": pd.Series([None if i else "Ängelholm" for i in range(rows)], dtype=object),
            "nothing": pd.Series([None] * rows, dtype=object),
            "visits": np.arange(rows),
        }
    )


def _layout(outcomes: list[ClipOutcome]) -> TableLayout:
    union = LayoutUnion()
    for outcome in outcomes:
        union.add(outcome.layout())
    return union.table()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 3), st.booleans()), min_size=1),
    st.integers(1, 5),
    st.randoms(use_true_random=False),
)
def test_the_parts_are_the_table_cut_into_pieces_of_one_schema(clips, most, random) -> None:
    outcomes = [_outcome(row, names, frames=n) for row, (names, n, _) in enumerate(clips)]
    there = [(row, outcomes[row]) for row, (_, _, failed) in enumerate(clips) if not failed]
    layout = _layout([outcome for _, outcome in there])
    shuffled = [outcome for _, outcome in there]
    random.shuffle(shuffled)
    assert _layout(shuffled) == layout
    frame = _frame(len(clips))
    whole = assemble(frame, there, layout)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_assembly, "ROWS_A_PART", most)
        parts = list(assemble_parts(frame, iter(there), layout))
    assert [len(part) for part in parts[:-1]] == [most] * (len(parts) - 1)
    assert sum(map(len, parts)) == len(there)
    assert all(part.schema.equals(whole.schema, check_metadata=True) for part in parts)
    if parts:
        # As text, since NaN equals nothing.
        assert repr(pa.concat_tables(parts).to_pylist()) == repr(whole.to_pylist())
    # Closed form: every clip has its own row, and what it did not measure is missing.
    read = whole.to_pandas()
    assert read["clip"].tolist() == [f"{row}.mp4" for row, _ in there]
    assert read["simulated"].tolist() == [row % 3 == 0 for row, _ in there]
    for place, (_, outcome) in enumerate(there):
        got = read.loc[place, list(layout.features)].to_numpy(np.float32)
        expected = [outcome.features.get(name, np.nan) for name in layout.features]
        np.testing.assert_array_equal(got, np.array(expected, np.float32))


def test_wide_tables_have_parts_of_fewer_rows() -> None:
    assert rows_a_part(0) == rows_a_part(970) == 4096
    assert rows_a_part(2**14) == 512
    assert rows_a_part(2**30) == 1
    assert TableLayout(("a.b", "a.c"), {"x": 10}, 4).cells == 2 + 4 + 40


def test_columns_stand_in_the_order_of_the_registry_and_of_the_longest_list() -> None:
    union = LayoutUnion()
    union.add(ClipLayout(("color.d", "pulse.x")))
    union.add(ClipLayout(("pulse.x", "color.c", "color.d"), (("resnet152", 5),), 2))
    union.add(ClipLayout((), (("mobilenet_v2", 3),), 7))
    table = union.table()
    assert table.features == ("color.c", "color.d", "pulse.x")
    assert (list(table.frames.items()), table.times) == ([("mobilenet_v2", 3), ("resnet152", 5)], 7)
    assert table.modalities == ["color", "pulse"]


def _memory_of_parts(parts: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Most bytes held by Python, NumPy and Arrow while so many parts are made."""
    rows = 60
    monkeypatch.setattr(table_assembly, "ROWS_A_PART", rows)
    names = tuple(f"color.a.b.{i}" for i in range(400))
    frame = _frame(parts * rows)[["participant_id", "clip"]]
    layout = TableLayout(names)
    stream = assemble_parts(
        frame, ((row, _outcome(row, names)) for row in range(len(frame))), layout
    )
    next(stream)
    held = pa.total_allocated_bytes()
    tracemalloc.start()
    arrow = 0
    for _ in stream:
        arrow = max(arrow, pa.total_allocated_bytes() - held)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak + arrow


def test_the_memory_of_assembling_is_that_of_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = (_memory_of_parts(parts, monkeypatch) for parts in (3, 15))
    matrix = 60 * 400 * 4
    assert many < few + matrix  # 12 parts more, and not the room of one


def _cohort(folder: Path, count: int, **more: object) -> Cohort:
    for i in range(count):
        if not (folder / f"{i}.mp4").exists():  # or it would be another clip by its time
            (folder / f"{i}.mp4").write_text("fine")
    people = [f"{i:03d}" for i in range(count)]
    clips = [f"{i}.mp4" for i in range(count)]
    table = pd.DataFrame({"participant_id": people, "clip": clips, **more})
    return cohort_from_frame(table, folder)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_assembly, "ROWS_A_PART", 2)


@pytest.fixture
def five(tmp_path: Path, small_parts: None) -> Path:
    """FEATURES of five clips in three parts; the site of the first clip alone is known."""
    cohort = _cohort(
        tmp_path, 5, site=["Å", None, None, None, None], hemoglobin_g_dl=[9, 10, 11, 12, 13]
    )
    extract(cohort, tmp_path / "F", ["color"], worker=fake)
    return tmp_path / "F"


def test_every_part_has_the_schema_and_tells_how_it_was_extracted(five: Path) -> None:
    record = json.loads((five / "extraction.json").read_text())
    paths = sorted((five / "features.parquet").iterdir())
    assert [path.name for path in paths] == [f"part-{i:05d}.parquet" for i in range(3)]
    schemas = [pq.read_schema(path) for path in paths]
    assert schemas[0].equals(schemas[1])
    assert schemas[0].equals(schemas[2])
    for number, path in enumerate(paths):
        own = json.loads(pq.read_metadata(path).metadata[b"pallor"])
        assert {name: own[name] for name in IDENTITY} == {name: record[name] for name in IDENTITY}
        assert own["versions"] == record["versions"]
        assert own["settings_sha256"] == settings_digest(record)
        assert own["part"] == number
        assert {name: own[name] for name in ("rows", "content", "simulated")} == (
            record["parts"][number]
        )
    assert [part["rows"] for part in record["parts"]] == [2, 2, 1]
    assert len({part["content"] for part in record["parts"]}) == 3


def test_pandas_polars_and_duckdb_open_the_same_table(five: Path) -> None:
    import duckdb
    import polars

    loaded = load_features(five)
    assert loaded["clip"].tolist() == [f"{i}.mp4" for i in range(5)]
    folder = five / "features.parquet"
    by_pandas = pd.read_parquet(folder)
    loaded.attrs = {}
    pd.testing.assert_frame_equal(by_pandas, loaded, check_exact=True)
    expected = [tuple(row) for row in loaded.astype(object).where(loaded.notna(), None).to_numpy()]
    for source in (folder, f"{folder}/*.parquet"):
        assert polars.read_parquet(source).rows() == expected
    assert polars.scan_parquet(folder).collect().columns == list(loaded.columns)
    found = duckdb.read_parquet(f"{folder}/*.parquet")
    assert found.fetchall() == expected
    lowest = duckdb.sql(f"select min(hemoglobin_g_dl) from '{folder}/*.parquet'")  # noqa: S608
    assert lowest.fetchall() == [(9.0,)]


def test_part_by_part_is_the_whole(five: Path) -> None:
    parts = list(iter_features(five))
    assert [len(part) for part in parts] == [2, 2, 1]
    whole = load_features(five)
    pd.testing.assert_frame_equal(pd.concat(parts), whole, check_exact=True)
    assert all(part.attrs["extraction"]["samples"] == 16 for part in parts)
    pulse = pd.concat(iter_features(five, ["pulse"]))
    pd.testing.assert_frame_equal(pulse, load_features(five, ["pulse"]), check_exact=True)


def test_only_what_is_asked_for_is_read(five: Path) -> None:
    whole = load_features(five)
    pulse = load_features(five, ["pulse", "demographics"])
    assert modalities_of(pulse) == ["pulse"]
    labels = [name for name in whole.columns if "." not in name]
    pd.testing.assert_frame_equal(pulse, whole[[*labels, "pulse.a.b.c"]], check_exact=True)
    more = load_features(five, ["pulse"], also=["color.a.b.d"])
    assert [name for name in more.columns if "." in name] == ["color.a.b.d", "pulse.a.b.c"]
    with pytest.raises(
        FeatureTableError, match=r"F: holds no features of resnet152, only of color"
    ):
        load_features(five, ["color", "resnet152"])
    with pytest.raises(FeatureTableError, match="holds no features of resnet152"):
        iter_features(five, ["resnet152"])


class _Killed(BaseException):
    """What nothing cleans up after."""


@pytest.mark.parametrize("step", range(4))
def test_a_kill_at_any_step_leaves_what_the_next_run_repairs(
    tmp_path: Path, five: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    before = load_features(five)
    cohort = _cohort(tmp_path, 5, site=["Å"] * 5, hemoglobin_g_dl=[9, 10, 11, 12, 13])
    with monkeypatch.context() as patch:
        if step < 2:  # old table put away, new one put in its place

            def rename(path: Path, target: Path, left: list[int] = [step]) -> Path:  # noqa: B006
                if left[0] == 0:
                    raise _Killed
                left[0] -= 1
                return Path(shutil.move(path, target))

            patch.setattr(Path, "rename", rename)
            # Whoever is killed sweeps nothing.
            patch.setattr(atomic, "_sweep", lambda _path: None)
        else:  # before the second part is written; before the record calls it complete
            module = "table_parts._write" if step == 2 else "extraction_finish.write_record"

            def stop(*_arguments: object) -> None:
                raise _Killed

            patch.setattr(f"pallor.cohort.{module}", stop)
        with pytest.raises(_Killed):
            extract(cohort, five, ["color"], worker=fake)
    with pytest.raises(FeatureTableError, match="interrupted"):
        load_features(five)
    result = extract(cohort, five, ["color"], worker=fake)
    assert (result.done, result.resumed) == (5, 5)
    after = load_features(five)
    assert after["site"].tolist() == ["Å"] * 5
    pd.testing.assert_frame_equal(after.drop(columns="site"), before.drop(columns="site"))
    names = {path.name for path in five.iterdir()}
    assert names == {".lock", "clips", "extraction.json", "failures.csv", "features.parquet"}


def test_a_failed_write_leaves_the_old_table_as_it_was(five: Path) -> None:
    before = parts_of(five)

    def full() -> Iterator[pa.Table]:
        yield pq.read_table(five / "features.parquet" / "part-00000.parquet")
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        write_parts(five, full(), {})
    assert parts_of(five) == before
    assert not list(five.glob("*.part"))
    assert not list(five.glob(".features*"))


def test_parts_of_another_table_are_refused(tmp_path: Path, five: Path) -> None:
    parts = five / "features.parquet"
    other = tmp_path / "other"
    other.mkdir()
    cohort = _cohort(other, 5, site=["B"] * 5, hemoglobin_g_dl=[9, 10, 11, 12, 13])
    extract(cohort, other / "F", ["color"], worker=fake)
    again = tmp_path / "again"
    shutil.copytree(five, again)
    # Of the same settings and as many rows: only the content tells.
    shutil.copy(other / "F" / "features.parquet" / "part-00001.parquet", again / "features.parquet")
    with pytest.raises(FeatureTableError, match=r"part-00001.parquet: is another part than"):
        load_features(again)
    assert len(next(iter_features(again))) == 2
    shutil.copy(parts / "part-00000.parquet", again / "features.parquet" / "part-00001.parquet")
    with pytest.raises(FeatureTableError, match=r"part-00001.parquet: is another part than"):
        load_features(again)
    (again / "features.parquet" / "part-00001.parquet").unlink()
    with pytest.raises(
        FeatureTableError, match=r"1 of 3 parts are absent, the first is part-00001"
    ):
        load_features(again)
    table = pq.read_table(parts / "part-00001.parquet")
    metadata = table.schema.metadata
    wrong = table.rename_columns([*table.column_names[:-1], "pulse.a.b.z"])
    wrong = wrong.replace_schema_metadata(metadata)
    pq.write_table(wrong, again / "features.parquet" / "part-00001.parquet")
    with pytest.raises(FeatureTableError, match=r"part-00001.parquet: has other columns than"):
        load_features(again)


def test_a_flipped_bit_of_a_feature_is_noticed(five: Path) -> None:
    path = five / "features.parquet" / "part-00000.parquet"
    column = (
        pq.read_metadata(path).row_group(0).column(pq.read_schema(path).names.index("pulse.a.b.c"))
    )
    data = bytearray(path.read_bytes())
    data[column.data_page_offset + column.total_compressed_size - 1] ^= 1
    path.write_bytes(data)
    with pytest.raises(FeatureTableError, match=r"part-00000.parquet: not a readable"):
        load_features(five)


def test_the_single_file_of_an_earlier_version_is_named(five: Path) -> None:
    table = pd.read_parquet(five / "features.parquet")
    shutil.rmtree(five / "features.parquet")
    table.to_parquet(five / "features.parquet")
    with pytest.raises(FeatureTableError, match="single file, and a feature table is a folder"):
        load_features(five)
    extract(_cohort(five.parent, 5), five, ["color"], worker=fake)
    assert len(load_features(five)) == 5


def test_damaged_numbers_of_a_stored_clip_are_a_failure_and_measured_again(
    tmp_path: Path, five: Path
) -> None:
    (path,) = five.glob(f"clips/*/{clip_key('002', '2.mp4')}.zip")
    assert path.parent.name == path.name[:2]
    data = bytearray(path.read_bytes())
    place = data.index(b"values.f4") + len(b"values.f4")
    data[place : place + 8] = bytes(8)
    path.write_bytes(data)
    cohort = _cohort(tmp_path, 5)
    result = extract(cohort, five, ["color"], worker=fake)
    assert [(f.clip, f.code) for f in result.failures] == [("2.mp4", "internal")]
    assert "damaged: run again" in result.failures[0].text
    assert load_features(five)["clip"].tolist() == ["0.mp4", "1.mp4", "3.mp4", "4.mp4"]
    assert extract(cohort, five, ["color"], worker=fake).resumed == 4
    assert len(load_features(five)) == 5


def test_a_check_reads_names_once_and_no_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x").write_bytes(b"12345")
    status = (tmp_path / "x").stat()
    store = ClipStore(tmp_path / "clips")
    tasks = [ClipTask(f"{i:032x}", "p", "x", str(tmp_path / "x"), ("color",)) for i in range(5)]
    for i, task in enumerate(tasks):
        values = dict.fromkeys(NAMES[i % 2], 1.0)
        store.put(
            ClipOutcome(
                task, {}, values, file_size=status.st_size, file_mtime_ns=status.st_mtime_ns
            )
        )
    read: list[str] = []
    real = zipfile.ZipFile.read

    def member(archive: zipfile.ZipFile, name: str) -> bytes:
        read.append(name)
        return real(archive, name)

    monkeypatch.setattr(zipfile.ZipFile, "read", member)
    found = [store.check(task) for task in tasks]
    assert found == [ClipLayout(NAMES[i % 2]) for i in range(5)]
    assert (read.count("meta.json"), read.count("names.txt")) == (5, 2)
    assert set(read) == {"meta.json", "names.txt"}


def test_frames_go_through_parts(tmp_path: Path, small_parts: None) -> None:
    outcomes = [_outcome(row, NAMES[0], frames=(2, 0, 3)[row % 3]) for row in range(5)]
    layout = _layout(outcomes)
    folder = tmp_path / "F"
    write_store(assemble(_frame(5), [], layout).to_pandas(), folder)  # the record alone is of use
    record = json.loads((folder / "extraction.json").read_text())
    parts = write_parts(folder, assemble_parts(_frame(5), enumerate(outcomes), layout), record)
    record["parts"] = [vars(part) for part in parts]
    record["counts"]["done"] = 5
    (folder / "extraction.json").write_text(json.dumps(record))
    frames, times = load_frames(folder, "resnet152")
    assert (frames.shape, times.shape) == ((5, 3, 3), (5, 3))
    for row, outcome in enumerate(outcomes):
        kept = outcome.frames.get("resnet152", np.empty((0, 3)))
        np.testing.assert_array_equal(frames[row, : len(kept)], kept)
        assert np.isnan(frames[row, len(kept) :]).all()
        assert np.isnan(times[row]).sum() == 3 - len(kept)
    assert "frame_time_s" not in load_features(folder).columns
    with pytest.raises(FeatureTableError, match="--keep-frames"):
        load_frames(folder, "mobilenet_v2")


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    table = features(people=24)
    half = len(table) // 2
    return tuple(
        write_store(part.reset_index(drop=True), tmp_path / name, rows=7, samples=16)
        for name, part in (("A", table[:half]), ("B", table[half:]))
    )


def _change(folder: Path, **changes: object) -> None:
    """Extract anew with other settings, as far as the record and the parts tell."""
    table = load_features(folder)
    record = json.loads((folder / "extraction.json").read_text())
    shutil.rmtree(folder)
    write_store(table, folder, **(record | changes))


def test_several_folders_are_one_table(two: tuple[Path, Path]) -> None:
    together = load_features(two)
    whole = features(people=24)
    pd.testing.assert_frame_equal(together[list(whole.columns)], whole, check_exact=True)
    assert together.attrs["extraction"]["counts"] == {"read": 48, "done": 48, "failed": 0}
    assert not together.attrs["extraction"]["notes"]
    pd.testing.assert_frame_equal(pd.concat(iter_features(two)), together, check_exact=True)
    assert len(load_features([two[0]])) == 24
    with pytest.raises(FeatureTableError, match="named twice"):
        load_features([two[0], two[0].parent / "B" / ".." / "A"])
    with pytest.raises(FeatureTableError, match="no feature table is named"):
        load_features([])


def test_what_one_table_lacks_is_missing(two: tuple[Path, Path]) -> None:
    table = load_features(two[1])
    shutil.rmtree(two[1])
    write_store(table.drop(columns=["site", "pulse.chin.green.ac_dc"]), two[1], samples=16)
    together = load_features(two)
    assert together["site"].isna().tolist() == [False] * 24 + [True] * 24
    assert together["pulse.chin.green.ac_dc"].isna().tolist() == [False] * 24 + [True] * 24
    assert (together.dtypes[[n for n in together.columns if "." in n]] == np.float32).all()
    parts = list(iter_features(two))
    assert {tuple(part.columns) for part in parts} == {tuple(together.columns)}


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("format", 3, "format 2 and 3"),
        ("modalities_asked", ["color"], "modalities_asked None and color"),
        ("samples", 8, "samples 16 and 8"),
        ("precision", "bfloat16", "precision None and bfloat16"),
        ("keep_frames", True, "keep_frames None and True"),
        ("networks", {"custom": {"sha256": "0"}}, "networks None and custom {'sha256': '0'}"),
        ("pallor", "9", "pallor None and 9"),
        ("input_kinds", ["region_still"], "input_kinds face_video and region_still"),
    ],
)
def test_tables_of_other_settings_are_not_mixed(
    two: tuple[Path, Path], name: str, value: object, told: str
) -> None:
    _change(two[1], **{name: value})
    with pytest.raises(FeatureTableError) as caught:
        load_features(two)
    assert told in caught.value.text
    assert f"{two[0]} and {two[1]} were extracted with different settings" in caught.value.text
    with pytest.raises(FeatureTableError, match="cannot be mixed"):
        iter_features(two)
    assert name in {*IDENTITY, "input_kinds"}


def test_other_libraries_are_let_through_with_a_note(two: tuple[Path, Path], capsys) -> None:
    _change(two[0], versions={"numpy": "2.0", "av": "14"})
    _change(two[1], versions={"numpy": "2.1", "av": "14"}, simulated=True)
    together = load_features(two)
    settings = together.attrs["extraction"]
    (note,) = settings["notes"]
    assert "different libraries (numpy 2.0 and 2.1)" in note
    assert settings["versions_before"] == [{"numpy": "2.1", "av": "14"}]
    assert settings["simulated"] is True
    model = pallor.train(two, regressor="random_forest", quick=True)
    assert note in model.metadata["notes"]
    result = pallor.evaluate(two, regressors=["stacking"], quick=True, model_factory=Ridge)
    assert note in result.metrics["notes"]


def test_evaluating_paths_reads_less_and_says_the_same(two: tuple[Path, Path]) -> None:
    options = {
        "modalities": ["pulse"], "regressors": ["stacking"], "quick": True, "bootstrap": 100,
        "model_factory": Ridge, "command": "same",
    }  # fmt: skip
    whole = pallor.evaluate(load_features(two), **options)
    assert pallor.evaluate(two, **options).metrics == whole.metrics


def test_controls_see_the_background_whatever_is_asked_for(tmp_path: Path) -> None:
    table = features(people=24)
    table["color.background.luma.mean"] = np.float32(table.index % 5)
    table["pulse.background.red.dc"] = np.float32(table.index % 7)
    folder = write_store(table, tmp_path / "F")
    options = {
        "modalities": ["pulse"], "regressors": ["stacking"], "quick": True, "bootstrap": 100,
        "model_factory": Ridge, "command": "same",
    }  # fmt: skip
    metrics = pallor.evaluate(folder, **options).metrics
    assert metrics == pallor.evaluate(load_features(folder), **options).metrics
    blind = pallor.evaluate(load_features(folder, ["pulse"]), **options).metrics
    assert metrics != blind


def test_the_commands_take_several_folders(two: tuple[Path, Path], tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from pallor.cli import app

    runner = CliRunner()
    model = tmp_path / "m.pallor"
    run = runner.invoke(app, ["train", *map(str, two), "-o", str(model), "--quick", "--modalities",
                              "color", "--regressor", "xgboost"])  # fmt: skip
    assert run.exit_code == 0, run.output
    metadata = pallor.load_model(model).metadata
    assert metadata["cohort"]["participants"] == 24
    assert metadata["modalities"] == ["color"]
    _change(two[1], samples=8)
    for command in ("train", "evaluate"):
        run = runner.invoke(app, [command, *map(str, two), "-o", str(tmp_path / "out")])
        assert "cannot be mixed" in str(run.exception)
