from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pallor.cohort.hemoglobin_units import UNITS, doubtful_unit, wrong_unit
from pallor.cohort.table import (
    Cohort,
    CohortProblemsError,
    cohort_from_frame,
    read_cohort,
    write_cohort,
)
from pallor.errors import CohortError


def _read(tmp_path: Path, text: str | bytes, name: str = "cohort.csv") -> Cohort:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_cohort(path)


def _problems(tmp_path: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(CohortProblemsError) as caught:
        _read(tmp_path, text)
    assert "\n" not in caught.value.text
    return caught.value.problems


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_dialects_give_the_same_table(tmp_path: Path, mark: str, bom: bytes, end: str) -> None:
    rows = [
        [" Participant_ID ", "clip", "hemoglobin_g_dl ", "Sex", "note"],
        [" 007", "./a.mp4 ", "13.2", " F", "x"],
        ["8", "b//c.mp4", "", "Male", ""],
    ]
    cohort = _read(tmp_path, bom + end.join(mark.join(row) for row in rows).encode())
    frame = cohort.frame
    assert frame["participant_id"].tolist() == ["007", "8"]
    assert frame["clip"].tolist() == ["a.mp4", "b/c.mp4"]
    assert frame["sex"].tolist() == ["female", "male"]
    assert frame["hemoglobin_g_dl"].iloc[0] == 13.2
    assert frame.isna().to_numpy()[1].tolist() == [False, False, True, False, True]
    assert cohort.clip_paths() == [tmp_path / "a.mp4", tmp_path / "b/c.mp4"]


def test_a_quoted_cell_may_hold_the_separator(tmp_path: Path) -> None:
    cohort = _read(tmp_path, 'participant_id,clip,note\np,"a,b.mp4","say ""x"""\n')
    assert cohort.frame["clip"].item() == "a,b.mp4"
    assert cohort.frame["note"].item() == 'say "x"'


@pytest.mark.parametrize(
    ("column", "given_value"),
    [("hemoglobin_g_dl", 13.0), ("hemoglobin_g_l", 130.0), ("hemoglobin_mmol_l", 13.0 * 0.6206)],
)
def test_units_are_converted(tmp_path: Path, column: str, given_value: float) -> None:
    cohort = _read(tmp_path, f"participant_id,clip,{column}\np,a.mp4,{given_value!r}\n")
    assert cohort.frame["hemoglobin_g_dl"].item() == pytest.approx(13.0, rel=1e-12)
    assert set(UNITS) & set(cohort.frame.columns) == {"hemoglobin_g_dl"}


@pytest.mark.parametrize(
    ("column", "median", "advice"),
    [
        ("hemoglobin_g_dl", 130, "hemoglobin_g_l"),
        ("hemoglobin_g_l", 13, "hemoglobin_g_dl"),
        ("hemoglobin_g_l", 8.1, "hemoglobin_mmol_l"),
        ("hemoglobin_mmol_l", 13.5, "hemoglobin_g_dl"),
        ("hemoglobin_mmol_l", 135, "hemoglobin_g_l"),
    ],
)
def test_a_column_in_another_unit_is_refused_once(
    tmp_path: Path, column: str, median: float, advice: str
) -> None:
    rows = "".join(f"p{i},{i}.mp4,{median + d}\n" for i, d in enumerate((-1, 0, 1)))
    problems = _problems(tmp_path, f"participant_id,clip,{column}\n{rows}")
    assert len(problems) == 1
    assert f"rename the column to {advice}" in problems[0]


@given(st.floats(7, 18), st.sampled_from(sorted(UNITS)))
def test_no_plausible_cohort_is_refused_for_its_unit(median_g_dl: float, column: str) -> None:
    assert wrong_unit(column, [median_g_dl * UNITS[column].per_g_dl]) is None


def test_a_median_that_may_be_mmol_is_only_a_note() -> None:
    assert "mmol" in (doubtful_unit("hemoglobin_g_dl", [8.1, 8.5, 9.0]) or "")
    assert doubtful_unit("hemoglobin_g_dl", [12.0]) is None
    assert doubtful_unit("hemoglobin_g_dl", [float("nan")]) is None


def test_one_implausible_value_is_named_with_its_row(tmp_path: Path) -> None:
    problems = _problems(
        tmp_path, "participant_id,clip,hemoglobin_g_dl\na,1.mp4,13\nb,2.mp4,14\n\nc,3.mp4,135\n"
    )
    assert len(problems) == 1
    assert problems[0].startswith("row 5: hemoglobin_g_dl 135")


@pytest.mark.parametrize(
    ("header", "rows", "expected"),
    [
        ("participant_id,clip", [",a.mp4"], ["row 2: participant_id is empty"]),
        ("participant_id,clip", ["p,"], ["row 2: clip is empty"]),
        ("participant_id,clip", ["p,a.mp4", "q,./b/../a.mp4"], ["row 3: clip"]),
        ("participant_id,clip", ["p,ftp://x/a.mp4"], ["row 2: clip 'ftp://x/a.mp4' is an addr"]),
        ("participant_id,clip", ["p,gs://b/a", "q,gcs://b/a"], ["row 3: clip 'gcs://b/a' is in"]),
        ("participant_id,clip,sex", ["p,a.mp4,2"], ["row 2: sex '2' is not known"]),
        ("participant_id,clip,sex", ["p,a.mp4,f", "p,b.mp4,m"], ["row 3: participant 'p' is male"]),
        ("participant_id,clip,age_years", ["p,a.mp4,-1"], ["row 2: age_years -1"]),
        ("participant_id,clip,age_years", ["p,a.mp4,240"], ["months is divided by 12"]),
        ("participant_id,clip,age_years", ["p,a.mp4,30", "p,b.mp4,33"], ["row 3: age_years"]),
        ("participant_id,clip,bmi", ['p,a.mp4,"22,5"'], ["decimal comma: write '22.5'"]),
        ("participant_id,clip,altitude_m", ["p,a.mp4,nix"], ["row 2: altitude_m 'nix'"]),
        (
            "participant_id,clip,hemoglobin_g_dl",
            ["p,a.mp4,13.0", "p,b.mp4,13.1"],
            ["row 3: hemoglobin_g_dl of participant 'p' is 13.1 here and 13 in row 2"],
        ),
        (
            "participant_id,clip,hemoglobin_g_dl,hemoglobin_g_l",
            ["p,a.mp4,13,130"],
            ["keep one of the columns"],
        ),
    ],
)
def test_each_contradiction_is_told(
    tmp_path: Path, header: str, rows: list[str], expected: list[str]
) -> None:
    problems = _problems(tmp_path, "\n".join([header, *rows]))
    assert len(problems) == len(expected)
    for problem, part in zip(problems, expected, strict=True):
        assert part in problem


def test_what_differs_between_sessions_is_no_contradiction(tmp_path: Path) -> None:
    cohort = _read(
        tmp_path,
        "participant_id,clip,session,hemoglobin_g_dl,age_years\np,a.mp4,1,13.0,30\np,b.mp4,2,11,35",
    )
    assert len(cohort) == 2


def test_all_problems_are_held_and_twenty_are_shown(tmp_path: Path) -> None:
    rows = "".join(f"p{i},{i}.mp4,x\n" for i in range(50))
    path = tmp_path / "c.csv"
    path.write_text("participant_id,clip,sex\n" + rows)
    with pytest.raises(CohortProblemsError, match=r"50 problems.*and 30 more") as caught:
        read_cohort(path)
    assert [p.split(":")[0] for p in caught.value.problems] == [f"row {i + 2}" for i in range(50)]
    assert caught.value.code == "cohort"
    assert caught.value.text.count("row ") == 20


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "empty"),
        (b"participant_id,clip\n", "no row"),
        (b"participant_id,video\nx,y\n", "lacks clip"),
        (b"participant_id,clip,clip\na,b,c\n", "occurs twice"),
        (b"participant_id,clip,hemoglobin_g_dl\na,b.mp4,12,3\n", "row 2 has 4 cells"),
        (b"participant_id,clip,sex\na,b.mp4\n", "row 2 has 2 cells"),
        ("participant_id,clip\na,b\n".encode("utf-16"), "UTF-16"),
        (b"participant_id,clip\n\xff,b\n", "line 2 is not UTF-8"),
        (b"PK\x03\x04....", "spreadsheet"),
        (b'participant_id,clip\n"a,b\n', "not valid CSV"),
    ],
)
def test_files_that_are_no_table_are_refused(tmp_path: Path, content: bytes, part: str) -> None:
    with pytest.raises(CohortError, match=part):
        _read(tmp_path, content)


def test_absent_folder_and_damaged_parquet_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="no such file"):
        read_cohort(tmp_path / "x.csv")
    with pytest.raises(CohortError, match="folder"):
        read_cohort(tmp_path)
    with pytest.raises(CohortError, match="not a readable Parquet"):
        _read(tmp_path, b"PAR1 nonsense PAR1", "c.parquet")


def test_absent_clips_are_a_problem_only_when_asked_for(tmp_path: Path) -> None:
    (tmp_path / "there.mp4").write_bytes(b"x")
    cohort = _read(tmp_path, "participant_id,clip\np,there.mp4\nq,gone.mp4\n")
    assert len(cohort) == 2
    with pytest.raises(CohortProblemsError, match=r"1 problem: row 3: clip 'gone.mp4'"):
        read_cohort(tmp_path / "cohort.csv", check_files=True)


def test_near_misses_of_column_names_are_noted(tmp_path: Path) -> None:
    cohort = _read(tmp_path, "participant_id,clip,hemoglobin,haemoglobin_g_dl\np,a.mp4,13,13\n")
    assert any("haemoglobin_g_dl" in note for note in cohort.notes)
    assert {"hemoglobin", "haemoglobin_g_dl"} <= set(cohort.frame.columns)


def test_an_index_without_name_is_left_out_and_noted(tmp_path: Path) -> None:
    cohort = _read(tmp_path, ",participant_id,clip\n0,p,a.mp4\n")
    assert list(cohort.frame.columns) == ["participant_id", "clip"]
    assert len(cohort.notes) == 1


def test_parquet_keeps_types_and_reads_numbers_as_identifiers(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "participant_id": [1.0, 2.0],
            "clip": ["a.mp4", "b.mp4"],
            "hemoglobin_g_l": [130, 141],
            "extra": [1.5, np.nan],
            "simulated": [True, False],
        }
    )
    frame.to_parquet(tmp_path / "c.parquet")
    got = read_cohort(tmp_path / "c.parquet").frame
    assert got["participant_id"].tolist() == ["1", "2"]
    assert got["hemoglobin_g_dl"].tolist() == [13.0, 14.1]
    assert got["extra"].dtype == np.float64
    assert got["simulated"].tolist() == [True, False]


def test_writing_elsewhere_keeps_paths_pointing_at_the_clips(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "a.mp4").write_bytes(b"x")
    cohort = _read(data, f"participant_id,clip\np,a.mp4\nq,{tmp_path / 'data' / 'b.mp4'}\n")
    out = write_cohort(cohort, tmp_path / "tables" / "deep" / "c.csv")
    again = read_cohort(out)
    assert again.frame["clip"].tolist() == ["../../data/a.mp4", str(tmp_path / "data" / "b.mp4")]
    assert again.clip_paths()[0].is_file()


def test_an_interrupted_write_leaves_the_old_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c.csv"
    path.write_text("old")

    def fail(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    frame = pd.DataFrame({"participant_id": ["p"], "clip": ["a"]})
    monkeypatch.setattr(pd.DataFrame, "to_csv", fail)
    with pytest.raises(KeyboardInterrupt):
        write_cohort(frame, path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["c.csv"]


_CELL = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        ["", "F", "male", "13.2", "1e400", "nan", "12,3", "-5", "a.mp4", "../b", "C:\\x", "NA", '"']
    ),
)
_COLUMNS = ["participant_id", "clip", "sex", "age_years", "hemoglobin_g_dl", "session", "extra", ""]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    header=st.lists(st.one_of(st.sampled_from(_COLUMNS), st.text(max_size=4)), max_size=8),
    rows=st.lists(st.lists(_CELL, max_size=8), max_size=6),
    mark=st.sampled_from(",;\t"),
)
def test_any_text_is_a_cohort_or_a_cohort_error(
    tmp_path: Path, header: list[str], rows: list[list[str]], mark: str
) -> None:
    text = "\n".join(mark.join(row) for row in [header, *rows])
    (tmp_path / "c.csv").write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        cohort = read_cohort(tmp_path / "c.csv")
    except CohortError as error:
        assert error.text
        return
    assert cohort.frame["participant_id"].str.len().gt(0).all()
    assert cohort.frame["clip"].is_unique


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.binary(max_size=300))
def test_any_bytes_are_a_cohort_or_a_cohort_error(tmp_path: Path, data: bytes) -> None:
    for name, content in (("c.csv", data), ("c.parquet", b"PAR1" + data + b"PAR1")):
        (tmp_path / name).write_bytes(content)
        try:
            read_cohort(tmp_path / name)
        except CohortError:
            continue


_WORD = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)


@st.composite
def _frames(draw: st.DrawFn) -> pd.DataFrame:
    count = draw(st.integers(1, 6))
    number = st.one_of(st.none(), st.floats(3, 25))

    def column(of: st.SearchStrategy[object]) -> list[object]:
        return draw(st.lists(of, min_size=count, max_size=count))

    return pd.DataFrame(
        {
            "participant_id": [f"{i}-{word}" for i, word in enumerate(column(_WORD))],
            "clip": [f"{word}/{i}.mp4" for i, word in enumerate(column(_WORD))],
            "hemoglobin_g_dl": pd.Series(column(number), dtype="float64"),
            "sex": column(st.sampled_from(["female", "male", None])),
            "age_years": pd.Series(
                column(st.one_of(st.none(), st.floats(0, 120))), dtype="float64"
            ),
            "site": column(st.one_of(st.none(), _WORD)),
            "my note": column(st.one_of(st.none(), _WORD)),
        }
    )


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40
)
@given(frame=_frames(), suffix=st.sampled_from([".csv", ".parquet"]))
def test_what_is_written_is_read_back_exactly(
    tmp_path: Path, frame: pd.DataFrame, suffix: str
) -> None:
    try:
        first = cohort_from_frame(frame, tmp_path)
    except CohortError:
        return  # such as a path that looks like an address
    second = read_cohort(write_cohort(first.frame, tmp_path / f"c{suffix}"))
    pd.testing.assert_frame_equal(second.frame, first.frame, check_dtype=False)
