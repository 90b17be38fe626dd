"""Participants, visits and blood values of a study, on SQLite and PostgreSQL."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pallor.service.refusals import ConflictError, InvalidFieldsError, UnknownError
from pallor.service.settings import ServiceSettings
from pallor.service.store.engine import open_store
from pallor.service.study import clips, hemoglobin, participants, sessions
from pallor.service.study.consent import ConsentTexts
from pallor.service.study.study import Study
from service_databases import postgres, settings, store
from study_cases import (
    AGREES,
    TEXTS,
    count_rows,
    files_of,
    person,
    study,
    upload,
    visited,
    with_clip,
)

__all__ = ["postgres", "settings", "store", "study"]

HB = {"value": 131, "unit": "g/L", "method": "venous_cbc", "measured_on": "2025-04-01"}


def refused(call: Any, *arguments: Any, **more: Any) -> dict[str, str]:
    with pytest.raises(InvalidFieldsError) as caught:
        call(*arguments, **more)
    return {name: problem.code for name, problem in caught.value.problems.items()}


def test_problems_of_person_and_consent_come_together(study: Study) -> None:
    assert refused(participants.create, study, {"age_years": 200}, {}, "x") == {
        "code": "required", "age_years": "range", "version": "required", "takes_part": "agree",
    }  # fmt: skip
    assert set(count_rows(study).values()) == {0} and study.audit.entries() == ()


@pytest.mark.parametrize("code", ["P001", "p001"])
def test_a_code_is_given_once_whatever_its_case(study: Study, code: str) -> None:
    person(study, "P001")
    person(study, "P002")
    assert refused(person, study, code) == {"code": "taken"}
    assert refused(participants.change, study, "P002", {"code": code}, "x") == {"code": "taken"}
    sessions.create(study, "P001", {"name": "First"}, "x")
    sessions.create(study, "P001", {"name": "2"}, "x")
    for name in ("first", "First"):
        assert refused(sessions.create, study, "P001", {"name": name}, "x") == {"name": "taken"}
        assert refused(sessions.change, study, "P001", "2", {"name": name}, "x") == {
            "name": "taken"
        }
    # Its own code in another case is no conflict, and another person may have the same visit.
    assert participants.change(study, "P001", {"code": "p001"}, "x").code == "p001"
    assert sessions.change(study, "p001", "First", {"name": "FIRST"}, "x").session("FIRST")
    assert sessions.create(study, "P002", {"name": "first"}, "x").sessions[0].name == "first"


def test_a_change_leaves_alone_what_is_absent(study: Study) -> None:
    made = person(study, "a", sex="female", age_years=31, note="x", smoking="no", altitude_m=5)
    found = participants.change(study, "a", {"note": None, "age_years": "32,5"}, "x")
    assert (found.sex, found.age_years, found.note, found.smoking, found.altitude_m) == (
        "female", 32.5, None, "no", 5.0,
    )  # fmt: skip
    assert found.id == made.id and found.changed_s >= made.changed_s
    assert participants.change(study, "a", {}, "x").sex == "female"
    visited_ = sessions.create(study, "a", {"name": "1", "date": "2025-03-31", "site": "s"}, "x")
    assert visited_.sessions[0].date == "2025-03-31"
    changed = sessions.change(study, "a", "1", {"date": ""}, "x").sessions[0]
    assert (changed.date, changed.site) == (None, "s")


def test_every_text_that_is_taken_is_stored_as_it_is(study: Study) -> None:
    note = "\N{GRINNING FACE}" * 999 + "\n"
    site = "\u0131\u015f\u0643 \N{GRINNING FACE}'\"%_\\--;" * 10
    made = person(study, "0" * 64, note=note, pregnancy="Second-Trimester", smoking="\u226520")
    assert (made.note, made.pregnancy, made.smoking) == (
        note.strip(), "Second-Trimester", "\u226520",
    )  # fmt: skip
    found = sessions.create(study, "0" * 64, {"name": "1" * 64, "site": site}, "x" * 1000)
    assert found.sessions[0].site == site
    clip = with_clip(study, "0" * 64, "1" * 64, camera="\N{GRINNING FACE}" * 200)
    assert clip.camera == "\N{GRINNING FACE}" * 200
    assert participants.get(study, "0" * 64, "\udcff\x00").sessions[0].clips == (clip,)


def test_pregnancy_goes_with_sex_and_age_whatever_is_changed(study: Study) -> None:
    person(study, "a", sex="female", age_years=30)
    sessions.create(study, "a", {"name": "1", "pregnancy": "third trimester"}, "x")
    contradiction = {"pregnancy": "contradiction"}
    assert refused(participants.change, study, "a", {"sex": "male"}, "x") == contradiction
    assert refused(participants.change, study, "a", {"age_years": 9}, "x") == contradiction
    assert participants.get(study, "a", "x").sex == "female"
    sessions.change(study, "a", "1", {"pregnancy": "no"}, "x")
    participants.change(study, "a", {"sex": "male"}, "x")
    for call in (
        lambda: sessions.change(study, "a", "1", {"pregnancy": "yes"}, "x"),
        lambda: sessions.create(study, "a", {"name": "2", "pregnancy": "yes"}, "x"),
        lambda: participants.change(study, "a", {"pregnancy": "yes"}, "x"),
        lambda: participants.create(
            study, {"code": "b", "sex": "male", "pregnancy": "yes"}, AGREES, "x"
        ),
    ):
        assert refused(call) == contradiction
    assert (
        participants.change(study, "a", {"sex": None, "pregnancy": "yes"}, "x").pregnancy == "yes"
    )


def test_visits_stand_in_the_order_of_their_dates(study: Study) -> None:
    person(study, "a")
    for name, day in (("x", None), ("b", "2025-02-01"), ("a", "2025-01-01"), ("c", "2025-02-01")):
        found = sessions.create(study, "a", {"name": name, "date": day}, "x")
    assert [visit.name for visit in found.sessions] == ["a", "b", "c", "x"]
    assert found.session("b") == found.sessions[1] and found.session("z") is None


def test_blood_values_are_entered_later_changed_and_deleted(study: Study) -> None:
    visited(study, "a")
    first = hemoglobin.add(study, "a", "1", HB, "x").sessions[0].hemoglobin[0]
    assert (first.value, first.unit, first.hemoglobin_g_dl) == (131.0, "g/L", 13.1)
    second = {"value": "8,1", "unit": "mmol/L", "method": "capillary_poc"}
    values = hemoglobin.add(study, "a", "1", second, "x").sessions[0].hemoglobin
    assert [value.method for value in values] == ["venous_cbc", "capillary_poc"]
    # The unit alone: the value is looked at again.
    assert refused(hemoglobin.change, study, "a", "1", first.id, {"unit": "g/dL"}, "x") == {
        "value": "range"
    }
    found = hemoglobin.change(study, "a", "1", first.id, {"value": 12.5, "unit": "g/dL"}, "x")
    changed = found.sessions[0].hemoglobin[0]
    assert (changed.id, changed.hemoglobin_g_dl, changed.measured_on) == (
        first.id, 12.5, "2025-04-01",
    )  # fmt: skip
    found = hemoglobin.change(study, "a", "1", first.id, {"measured_on": None}, "x")
    assert found.sessions[0].hemoglobin[0].measured_on is None
    assert len(hemoglobin.delete(study, "a", "1", first.id, "x").sessions[0].hemoglobin) == 1


def test_what_belongs_to_another_does_not_exist(study: Study) -> None:
    visited(study, "a")
    sessions.create(study, "a", {"name": "2"}, "x")
    visited(study, "b")
    value = hemoglobin.add(study, "a", "1", HB, "x").sessions[0].hemoglobin[0].id
    clip = with_clip(study, "a").id
    before = count_rows(study)
    texts = set()
    for call in (
        lambda: participants.get(study, "A", "x"),
        lambda: participants.change(study, "c", {}, "x"),
        lambda: participants.withdraw(study, "c", "x"),
        lambda: participants.consent(study, "c", AGREES, "x"),
        lambda: sessions.create(study, "c", {"name": "1"}, "x"),
        lambda: sessions.change(study, "b", "2", {}, "x"),
        lambda: sessions.delete(study, "b", "2", "x"),
        lambda: hemoglobin.add(study, "b", "2", HB, "x"),
        lambda: hemoglobin.change(study, "b", "1", value, {}, "x"),
        lambda: hemoglobin.change(study, "a", "2", value, {}, "x"),
        lambda: hemoglobin.delete(study, "b", "1", value, "x"),
        lambda: clips.delete(study, "b", "1", clip, "x"),
        lambda: clips.delete(study, "a", "2", clip, "x"),
        lambda: clips.check_may_add(study, "b", "2"),
        lambda: with_clip(study, "b", "2"),
    ):
        with pytest.raises(UnknownError) as caught:
            call()
        texts.add(caught.value.text)
    assert len(texts) == 1 and count_rows(study) == before and len(files_of(study)) == 1


@pytest.mark.parametrize("odd", ["", "a\x00", "\udcff", "'", "%", "..", "x" * 10_000, "é", None])
def test_codes_and_ids_of_any_kind_are_unknown(study: Study, odd: Any) -> None:
    visited(study, "a")
    for call in (
        lambda: participants.get(study, odd, "x"),
        lambda: sessions.change(study, "a", odd, {}, "x"),
        lambda: hemoglobin.delete(study, "a", "1", odd, "x"),
        lambda: clips.delete(study, "a", "1", 2**63, "x"),
        lambda: clips.delete(study, "a", "1", -1, "x"),
        lambda: clips.delete(study, "a", "1", True, "x"),
    ):
        with pytest.raises(UnknownError):
            call()


def test_the_list_is_searched_by_code(study: Study) -> None:
    for code in ("A1", "a_2", "B.1", "b-10"):
        person(study, code)

    def found(search: str, **more: Any) -> list[str]:
        lines, total = participants.listing(study, "x", search=search, **more)
        assert total >= len(lines)
        return [line.code for line in lines]

    assert found("") == ["A1", "a_2", "b-10", "B.1"]
    assert found("A") == found(" a ") == ["A1", "a_2"]
    assert found("_") == ["a_2"] and found("%") == [] and found("\\") == [] and found("/") == []
    assert found(".") == ["B.1"] and found("1") == ["A1", "b-10", "B.1"]
    for odd in ("\x00", "\udcff", "é", "x" * 10_000, "\N{KELVIN SIGN}", "' OR 1=1 --"):
        assert found(odd) == []
    assert found("", limit=2) == ["A1", "a_2"] and found("", limit=2, offset=2) == ["b-10", "B.1"]
    assert found("", limit=0) == found("", offset=10**30) == found("", limit=-5) == []
    assert participants.listing(study, "x", limit=1)[1] == 4


def test_the_list_tells_what_is_missing(study: Study) -> None:
    visited(study, "complete")
    with_clip(study, "complete")
    hemoglobin.add(study, "complete", "1", HB, "x")
    visited(study, "waiting")
    with_clip(study, "waiting")
    sessions.create(study, "waiting", {"name": "2"}, "x")
    hemoglobin.add(study, "waiting", "2", HB, "x")
    visited(study, "empty")
    participants.create(study, {"code": "no-video"}, {**AGREES, "keeps_video": False}, "x")

    def missing(what: Any) -> list[str]:
        lines, total = participants.listing(study, "x", missing=what)
        assert total == len(lines)
        return [line.code for line in lines]

    assert missing(None) == ["complete", "empty", "no-video", "waiting"]
    assert missing("hemoglobin") == ["waiting"]
    assert missing("clip") == ["empty", "no-video"]
    assert missing("consent") == ["no-video"]
    assert refused(participants.listing, study, "x", missing="else") == {
        "missing": "unknown_choice"
    }
    line = participants.listing(study, "x", search="wait")[0][0]
    assert (line.sessions, line.clips, line.hemoglobin_values) == (2, 1, 1)
    assert line.sessions_without_hemoglobin == 1 and line.keeps_video


def test_the_latest_consent_holds(study: Study) -> None:
    visited(study, "a")
    clip = with_clip(study, "a")
    turkish = TEXTS.texts["tr"].version
    less = {**AGREES, "keeps_video": "", "version": turkish, "language": "tr"}
    with pytest.raises(ConflictError, match="delete them"):
        participants.consent(study, "a", less, "x")
    clips.delete(study, "a", "1", clip.id, "x")
    found = participants.consent(study, "a", less, "x").consent
    assert found is not None and (found.version, found.keeps_video) == (turkish, False)
    (line,), _ = participants.listing(study, "x")
    assert not line.keeps_video and count_rows(study)["consents"] == 2
    found = participants.consent(study, "a", AGREES, "x\ny").consent
    assert (
        found is not None
        and found.keeps_video
        and found.recorded_by == "x\N{REPLACEMENT CHARACTER}y"
    )
    assert refused(participants.consent, study, "a", {}, "x") == {
        "version": "required", "takes_part": "agree",
    }  # fmt: skip


def test_nobody_agrees_to_a_text_that_does_not_exist(study: Study) -> None:
    person(study, "a")
    before = count_rows(study)
    for wrong, problem in (
        ({"version": "VERSION"}, {"version": "unknown_version"}),
        ({"version": "x", "language": None}, {"version": "unknown_version"}),
        ({"language": "tr"}, {"language": "unknown_choice"}),
        ({"language": "und"}, {"language": "unknown_choice"}),
    ):
        agrees = {**AGREES, **wrong}
        assert refused(participants.create, study, {"code": "b"}, agrees, "x") == problem
        assert refused(participants.consent, study, "a", agrees, "x") == problem
    assert count_rows(study) == before
    for language, text in TEXTS.texts.items():
        agrees = {**AGREES, "version": text.version, "language": None}
        found = participants.consent(study, "a", agrees, "x").consent
        assert found is not None and (found.version, found.language) == (text.version, language)


def test_a_form_on_paper_is_of_the_text_of_its_day(study: Study, tmp_path: Path) -> None:
    person(study, "a")
    (tmp_path / "en.txt").write_text("Another text.", encoding="utf-8")
    later = replace(study, consent=ConsentTexts.read(tmp_path))
    for language in ("en", None):
        paper = {**AGREES, "language": language}
        found = participants.create(later, {"code": f"paper-{language}"}, paper, "x").consent
        assert found is not None
        assert (found.version, found.language) == (AGREES["version"], "en")
        assert participants.consent(later, "a", paper, "x").consent is not None
    # Not in a language that nobody saw it in, and not where a page shows another text.
    other = {**AGREES, "language": "tr"}
    assert refused(participants.create, later, {"code": "b"}, other, "x") == {
        "language": "unknown_choice"
    }
    for call, what in ((participants.create, {"code": "b"}), (participants.consent, "a")):
        assert refused(call, later, what, AGREES, "x", earlier_texts=False) == {
            "version": "unknown_version"
        }
    # Nobody agreed to the Turkish text.
    turkish = {**AGREES, "version": TEXTS.texts["tr"].version, "language": "tr"}
    assert refused(participants.create, later, {"code": "b"}, turkish, "x") == {
        "version": "unknown_version"
    }


def test_a_consent_of_no_language_makes_no_text(study: Study) -> None:
    """Older ones may be of any version, and have "und" where no language was given."""
    from sqlalchemy import update

    from pallor.service.store.tables import ConsentRow

    person(study, "a")
    with study.store.transaction() as session:
        session.execute(update(ConsentRow).values(version="VERSION", language="und"))
    made_up = {"version": "VERSION", "takes_part": True}
    for more in ({}, {"language": "und"}):
        assert refused(participants.create, study, {"code": "b"}, made_up | more, "x") == {
            "version": "unknown_version"
        }
    found = participants.get(study, "a", "x").consent
    assert found is not None and (found.version, found.language) == ("VERSION", "und")


def test_withdrawal_deletes_all_of_one_and_nothing_of_another(study: Study) -> None:
    for code in ("a", "b"):
        visited(study, code)
        sessions.create(study, code, {"name": "2"}, "x")
        for name in ("1", "2"):
            hemoglobin.add(study, code, name, HB, "x")
            with_clip(study, code, name)
        participants.consent(study, code, AGREES, "x")
    kept = participants.get(study, "b", "x")
    before = count_rows(study)
    gone = participants.withdraw(study, "a", "x")
    assert vars(gone) == {"sessions": 2, "hemoglobin_values": 2, "clips": 2, "files": 2}
    assert count_rows(study) == {
        name: count // 2 if name not in {"api_keys", "clip_files_due"} else 0
        for name, count in before.items()
    }
    assert participants.get(study, "b", "x") == kept and len(files_of(study)) == 2
    with pytest.raises(UnknownError):
        participants.withdraw(study, "a", "x")


def test_no_id_is_given_again(study: Study) -> None:
    seen: set[tuple[str, int]] = set()
    for _ in range(3):
        made = visited(study, "a")
        value = hemoglobin.add(study, "a", "1", HB, "x").sessions[0].hemoglobin[0]
        ids = {("person", made.id), ("value", value.id), ("clip", with_clip(study, "a").id)}
        assert not ids & seen
        seen |= ids
        participants.withdraw(study, "a", "x")


def test_the_log_says_what_was_done_and_no_value(study: Study) -> None:
    person(study, "Rumpel", note="stiltskin")
    participants.change(study, "Rumpel", {"note": "straw"}, "x")
    sessions.create(study, "Rumpel", {"name": "Spinning", "site": "tower"}, "x")
    sessions.change(study, "Rumpel", "Spinning", {"site": "castle"}, "x")
    value = hemoglobin.add(study, "Rumpel", "Spinning", HB, "x").sessions[0].hemoglobin[0].id
    hemoglobin.change(study, "Rumpel", "Spinning", value, HB, "x")
    hemoglobin.delete(study, "Rumpel", "Spinning", value, "x")
    clip = with_clip(study, "Rumpel", "Spinning", camera="wheel")
    clips.delete(study, "Rumpel", "Spinning", clip.id, "x")
    participants.consent(study, "Rumpel", AGREES, "x")
    participants.get(study, "Rumpel", "x")
    participants.listing(study, "x", search="Rumpel")
    sessions.delete(study, "Rumpel", "Spinning", "x")
    participants.withdraw(study, "Rumpel", "x")
    entries = study.audit.entries()
    assert {entry.action for entry in entries} == {
        "participant.create", "participant.read", "participant.list", "participant.change",
        "participant.withdraw", "consent.add", "session.create", "session.change",
        "session.delete", "hemoglobin.add", "hemoglobin.change", "hemoglobin.delete", "clip.add",
        "clip.delete",
    }  # fmt: skip
    for entry in entries:
        words = entry.what.split()
        assert all(word.isdecimal() for word in words[1::2])
        assert set(words[::2]) <= {"participant", "session", "hemoglobin", "clip"}


def test_nothing_of_who_withdrew_is_left_in_the_files_of_sqlite(tmp_path: Path) -> None:
    settings = ServiceSettings(tmp_path / "data")
    store = open_store(settings)
    study = Study.open(settings, store)
    words = ["Rumpelstiltskin", "ofgoldandstraw", "spinningroom", "towerofstone", "oldwheel"]
    for number in range(40):
        visited(study, f"P{number:03d}", "1", site=f"ward {number}")
    participants.create(study, {"code": words[0], "note": f"{words[1]} " * 60}, AGREES, "nurse")
    sessions.create(study, words[0], {"name": words[2], "site": words[3]}, "nurse")
    clip = with_clip(study, words[0], words[2], b"the clip of the wheel" * 99, camera=words[4])
    token = next(iter(files_of(study)))
    hemoglobin.add(study, words[0], words[2], HB, "nurse")
    for number in range(40, 60):
        visited(study, f"P{number:03d}", "1", site=f"ward {number}")
    participants.change(study, words[0], {"note": f"{words[1]} again " * 20}, "nurse")
    words += [clip.sha256, token]

    def stored() -> bytes:
        return b"".join(p.read_bytes() for p in settings.data.rglob("*") if p.is_file())

    assert all(word.encode() in stored() or word == token for word in words)
    participants.withdraw(study, words[0], "nurse")
    # The service still runs: database, log and index lie there as they are.
    assert [word for word in words if word.encode() in stored()] == []
    assert b"ward 59" in stored()
    assert (settings.data / "pallor.db-wal").stat().st_size == 0
    store.close()
    assert [word for word in words if word.encode() in stored()] == []


def test_the_log_is_emptied_later_where_somebody_reads(tmp_path: Path) -> None:
    settings = ServiceSettings(tmp_path / "data")
    store = open_store(settings)
    study = Study.open(settings, store)
    person(study, "Rumpelstiltskin")
    reader = sqlite3.connect(settings.data / "pallor.db", isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT code FROM participants").fetchall() == [("Rumpelstiltskin",)]
    participants.withdraw(study, "Rumpelstiltskin", "x")  # not held up for long, and no error
    assert not store.fold()
    reader.execute("COMMIT")
    clips.sweep(study)
    stored = b"".join(p.read_bytes() for p in settings.data.iterdir() if p.is_file())
    assert b"Rumpelstiltskin" not in stored
    reader.close()
    store.close()


def test_uploads_of_refused_clips_are_gone(study: Study) -> None:
    participants.create(study, {"code": "a"}, {**AGREES, "keeps_video": False}, "x")
    token = upload(study, b"x")
    with pytest.raises(UnknownError):
        clips.add(study, "a", "1", token, 1, "a" * 64, "mp4", {}, "x")
    assert files_of(study) == set()
