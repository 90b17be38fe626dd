"""A study as an export: which rows, who is missing, and what changes while it is written."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from pathlib import Path

import pytest

from pallor.cohort.table import read_cohort
from pallor.service.export.contents import ExportContents, Tally
from pallor.service.export.folder import new_folder, write_folder
from pallor.service.export.study_export import export_of
from pallor.service.export.zip_stream import BLOCK_BYTES, zip_stream
from pallor.service.settings import ServiceSettings
from pallor.service.store.engine import Store
from pallor.service.study import clips, hemoglobin, participants
from pallor.service.study.study import Study
from service_databases import postgres, settings, store
from study_cases import AGREES, person, study, visited, with_clip

__all__ = ["postgres", "settings", "store", "study"]

pytestmark = pytest.mark.slow


def rows(archive: zipfile.ZipFile, name: str = "cohort.csv") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(archive.read(name).decode())))


def whole(contents: ExportContents) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(b"".join(zip_stream(contents))))


def test_everybody_is_counted_once(study: Study, tmp_path: Path) -> None:
    visited(study, "A")
    kept = [with_clip(study, "A", content=bytes([n]) * 9) for n in range(3)]
    visited(study, "B")
    lost = with_clip(study, "B")
    person(study, "C")
    participants.create(study, {"code": "D"}, {**AGREES, "keeps_video": False}, "tester")
    contents = export_of(study)
    for file in contents.files:
        if file.name.startswith("clips/B/"):
            file.path.unlink()
    with new_folder(tmp_path / "out") as part:
        tally = write_folder(contents, part, lambda *_: None)
    assert tally == Tally(("A",), ("C",), ("D",), ("B",), clips=3, clips_gone=1)
    assert tally.counts() == {
        "participants": 4, "exported": 1, "without_clip": 1, "without_consent": 1, "gone": 1,
        "clips": 3, "clips_gone": 1, "simulated_clips": 0,
    }  # fmt: skip
    text = (tmp_path / "out" / "README.txt").read_text()
    assert re.search(r"Participants of the study +4\n", text)
    assert "could not be read any more: B\n" in text and "SIMULATED" not in text
    cohort = read_cohort(tmp_path / "out" / "cohort.csv", check_files=True)
    assert list(cohort.frame["participant_id"]) == ["A"] * 3
    assert [path.read_bytes() for path in cohort.clip_paths()] == [bytes([n]) * 9 for n in range(3)]
    assert len({clip.id for clip in (*kept, lost)}) == 4


def test_who_withdraws_meanwhile_is_in_no_table(study: Study) -> None:
    for code in ("A", "B", "C"):
        visited(study, code)
        value = {"value": 12.5, "unit": "g/dL", "method": "venous_cbc"}
        hemoglobin.add(study, code, "1", value, "tester")
        with_clip(study, code, content=code.encode() * 3 * BLOCK_BYTES)
    stream = zip_stream(export_of(study))
    pieces = [next(stream)]
    # One whose clip is on its way already, and one whose clip is not yet.
    for code in ("A", "C"):
        participants.withdraw(study, code, "tester")
    with zipfile.ZipFile(io.BytesIO(b"".join([*pieces, *stream]))) as archive:
        assert archive.testzip() is None
        assert [row["participant_id"] for row in rows(archive)] == ["B"]
        values = rows(archive, "hemoglobin_values.csv")
        assert [row["participant_id"] for row in values] == ["B"]
        assert "clips/C/1/001.webm" not in archive.namelist()
        assert re.search(r"Participants of the study +1\n", archive.read("README.txt").decode())


def test_names_stay_when_clips_come_and_go_meanwhile(study: Study) -> None:
    visited(study, "A")
    first = with_clip(study, "A", content=b"1" * 3 * BLOCK_BYTES)
    with_clip(study, "A", content=b"2")
    stream = zip_stream(export_of(study))
    pieces = [next(stream)]
    clips.delete(study, "A", "1", first.id, "tester")
    with_clip(study, "A", content=b"3")
    visited(study, "B")
    with_clip(study, "B", content=b"4")
    with zipfile.ZipFile(io.BytesIO(b"".join([*pieces, *stream]))) as archive:
        (row,) = rows(archive)
        assert archive.read(row["clip"]) == b"2"
        # The new ones are not part of it, and not taken for lost.
        text = archive.read("README.txt").decode()
        assert re.search(r"Clips that could not be read any more +0\n", text)
        assert "Without a clip yet: B\n" in text


def test_an_empty_study_is_an_export(study: Study) -> None:
    with whole(export_of(study)) as archive:
        assert archive.namelist() == ["cohort.csv", "hemoglobin_values.csv", "README.txt"]
        assert rows(archive) == []


def test_cells_are_what_was_entered(study: Study, store: Store, settings: ServiceSettings) -> None:
    participants.create(
        study,
        {"code": "007", "age_years": 0.5, "altitude_m": -12.25, "smoking": "no", "sex": "male"},
        AGREES,
        "tester",
    )
    from pallor.service.study import sessions

    sessions.create(study, "007", {"name": "01", "site": 'a, "b"'}, "tester")
    value = {"value": 8.4, "unit": "mmol/L", "method": "venous_cbc"}
    hemoglobin.add(study, "007", "01", value, "tester")
    with_clip(study, "007", "01", camera="é; x", simulated="true")
    with whole(export_of(study)) as archive:
        (row,) = rows(archive)
        (entered,) = rows(archive, "hemoglobin_values.csv")
    assert (row["participant_id"], row["session"]) == ("007", "01")
    assert (row["site"], row["camera"]) == ('a, "b"', "é; x")
    assert (row["age_years"], row["altitude_m"]) == ("0.5", "-12.25")
    assert row["simulated"] == "true" and row["usable"] == ""
    assert float(row["hemoglobin_g_dl"]) == pytest.approx(8.4 / 0.6206)
    assert (entered["value"], entered["unit"], entered["chosen"]) == ("8.4", "mmol/L", "true")
