"""A study from the first consent to withdrawal, on SQLite and PostgreSQL."""

from __future__ import annotations

import pytest

from pallor.service.refusals import UnknownError
from pallor.service.study import clips, hemoglobin, participants, sessions
from pallor.service.study.cohort_rows import export_rows
from pallor.service.study.study import Study
from pallor.service.study.summary import summary
from service_databases import postgres, settings, store
from study_cases import AGREES, check_done, study, upload

__all__ = ["postgres", "settings", "store", "study"]


def test_a_participant_from_consent_to_withdrawal(study: Study) -> None:
    made = participants.create(
        study, {"code": "P001", "sex": "female", "age_years": "31", "note": ""}, AGREES, "nurse"
    )
    assert (made.id, made.code, made.sex, made.age_years, made.note) == (
        1, "P001", "female", 31.0, None,
    )  # fmt: skip
    assert made.consent is not None and made.consent.recorded_by == "nurse"
    sessions.create(study, "P001", {"name": "1", "date": "2025-03-31", "site": "ward"}, "nurse")
    clips.check_may_add(study, "P001", "1")
    token = upload(study, b"x" * 10)
    found, clip = clips.add(
        study, "P001", "1", token, 10, "a" * 64, "matroska", {"camera": "phone"}, "nurse"
    )
    assert found.sessions[0].clips == (clip,) and clip.state == "queued" and clip.usable is None
    assert clips.path(study, token).read_bytes() == b"x" * 10
    assert not study.uploads.path(token).exists()
    check_done(study, token, simulated=True)
    found = hemoglobin.add(
        study, "P001", "1",
        {"value": "131", "unit": "g/L", "method": "venous_cbc", "measured_on": "2025-04-01"},
        "nurse",
    )  # fmt: skip
    assert found.sessions[0].hemoglobin[0].hemoglobin_g_dl == 13.1
    (line,), total = participants.listing(study, "nurse")
    assert total == 1 and (line.clips, line.usable_clips, line.hemoglobin_values) == (1, 1, 1)
    table = export_rows(study)
    assert len(table.rows) == 1 and table.values[0].chosen
    row = table.rows[0]
    assert (row.hemoglobin_g_dl, row.hemoglobin_days_apart, row.simulated, row.usable) == (
        13.1, 1, True, True,
    )  # fmt: skip
    assert row.file_name == "clips/P001/1/001.webm"
    counted = summary(study)
    assert (counted.participants, counted.clips, counted.simulated_clips) == (1, 1, 1)
    gone = participants.withdraw(study, "P001", "nurse")
    assert (gone.sessions, gone.hemoglobin_values, gone.clips, gone.files) == (1, 1, 1, 1)
    with pytest.raises(UnknownError):
        participants.get(study, "P001", "nurse")
    assert list(study.clips.folder.iterdir()) == [] and study.jobs.counts()["done"] == 0
    assert summary(study).participants == 0
    assert [entry.action for entry in study.audit.entries()][::-1] == [
        "participant.create", "consent.add", "session.create", "clip.add", "hemoglobin.add",
        "participant.list", "participant.withdraw",
    ]  # fmt: skip
