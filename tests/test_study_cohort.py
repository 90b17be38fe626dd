"""A study as rows of a cohort table, its summary, and how long a large one takes."""

from __future__ import annotations

import time
from dataclasses import fields, replace
from typing import Any

import pytest

from pallor.cohort.table_columns import parse_participant
from pallor.service.study import hemoglobin, participants, sessions
from pallor.service.study.cohort_rows import StudyTable, export_rows
from pallor.service.study.study import Study
from pallor.service.study.summary import summary
from service_databases import postgres, settings, store
from study_cases import AGREES, check_done, person, study, visited, with_clip

__all__ = ["postgres", "settings", "store", "study"]


CBC = "venous_cbc"


def add_value(study: Study, value: float, method: str, day: str | None) -> None:
    hemoglobin.add(
        study, "a", "1",
        {"value": value, "unit": "g/dL", "method": method, "measured_on": day}, "x",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("day", "values", "chosen", "apart"),
    [
        ("2025-03-10", [], None, None),
        # The nearest, before or after.
        ("2025-03-10", [(10, CBC, "2025-03-01"), (11, "capillary_poc", "2025-03-12")], 11, 2),
        # As near: blood from a vein.
        ("2025-03-10", [(10, CBC, "2025-03-12"), (11, "capillary_poc", "2025-03-08")], 10, 2),
        # As near and as good: the latest entered.
        ("2025-03-10", [(10, "venous_cbc", "2025-03-10"), (11, "venous_cbc", "2025-03-10")], 11, 0),
        # Of unknown date only where there is no other.
        ("2025-03-10", [(10, "venous_cbc", None), (11, "spco_oximeter", "2020-01-01")], 11, 1895),
        ("2025-03-10", [(10, "capillary_poc", None), (11, "spco_oximeter", None)], 11, None),
        (None, [(10, "venous_cbc", "2025-03-10"), (11, "spco_oximeter", "2025-03-10")], 10, None),
    ],
)  # fmt: skip
def test_the_value_of_a_visit(
    study: Study, day: str | None, values: list[Any], chosen: float | None, apart: int | None
) -> None:
    visited(study, "a", date=day)
    with_clip(study, "a")
    for value in values:
        add_value(study, *value)
    table = export_rows(study)
    (row,) = table.rows
    assert (row.hemoglobin_g_dl, row.hemoglobin_days_apart) == (chosen, apart)
    assert [value.hemoglobin_g_dl for value in table.values if value.chosen] == (
        [] if chosen is None else [chosen]
    )
    assert len(table.values) == len(values)


def test_rows_hold_what_is_known_and_no_date(study: Study) -> None:
    participants.create(
        study,
        {
            "code": "B", "sex": "female", "age_years": 31, "pregnancy": "no", "altitude_m": 700,
            "smoking": "12/day", "note": "secret",
        },
        AGREES, "x",
    )  # fmt: skip
    sessions.create(study, "B", {"name": "2", "date": "2025-03-10", "site": "ward"}, "x")
    sessions.create(study, "B", {"name": "1", "pregnancy": "first trimester"}, "x")
    with_clip(study, "B", "1", camera="phone")
    check_done(study, next(path.name for path in study.clips.folder.iterdir()), simulated=True)
    with_clip(study, "B", "2")
    with_clip(study, "B", "2")
    visited(study, "a")
    participants.create(study, {"code": "c"}, {**AGREES, "keeps_video": False}, "x")
    table = export_rows(study)
    assert (table.without_clip, table.without_consent) == (("a", "c"), ("c",))
    # Visits in the order of their dates, the one without a date last.
    assert [row.file_name for row in table.rows] == [
        "clips/B/2/001.webm", "clips/B/2/002.webm", "clips/B/1/001.webm",
    ]  # fmt: skip
    last = table.rows[-1]
    assert replace(last, token="", file_name="") == type(last)(
        "B", "1", "phone", None, None, None, None, "female", 31.0, "first trimester", 700.0,
        "12/day", True, True, "", "",
    )  # fmt: skip
    assert table.rows[0].pregnancy == "no" and table.rows[0].usable is None
    assert len({row.token for row in table.rows}) == 3
    assert "2025" not in str(table) and "secret" not in str(table)
    assert parse_participant("B") == "B"


def test_an_empty_study(study: Study) -> None:
    assert export_rows(study) == StudyTable((), (), (), ())
    assert all(getattr(summary(study), field.name) == 0 for field in fields(summary(study)))
    assert participants.listing(study, "x") == ((), 0)


def test_the_summary_counts(study: Study) -> None:
    visited(study, "a")
    with_clip(study, "a")
    check_done(study, next(path.name for path in study.clips.folder.iterdir()))
    with_clip(study, "a", simulated=True)
    sessions.create(study, "a", {"name": "2"}, "x")
    person(study, "b")
    found = summary(study)
    assert vars(found) == {
        "participants": 2, "sessions": 2, "clips": 2, "usable_clips": 1,
        "sessions_without_hemoglobin": 1, "participants_without_clip": 1, "simulated_clips": 1,
    }  # fmt: skip
    add_value(study, 13, "venous_cbc", None)
    assert summary(study).sessions_without_hemoglobin == 0


def test_rows_and_counts_say_of_a_clip_what_the_clip_says(study: Study) -> None:
    visited(study, "a")
    for number in range(8):
        with_clip(study, "a", simulated=number == 5)
    for ending in (
        {"usable": True, "simulated": True}, {"usable": False, "simulated": False}, {}, None,
        "gone", {"usable": None, "simulated": None},
    ):  # fmt: skip
        job = study.jobs.claim("w")
        assert job is not None
        if ending is None:
            study.jobs.fail(job.id, "no_video", "no video")
        elif ending == "gone":
            study.jobs.delete(job.id)
        else:
            study.jobs.finish(job.id, ending)  # type: ignore[arg-type]
    assert study.jobs.claim("w") is not None  # runs; the last one waits
    clips = participants.get(study, "a", "x").sessions[0].clips
    assert [(row.usable, row.simulated) for row in export_rows(study).rows] == [
        (clip.usable, clip.simulated) for clip in clips
    ]
    usable = sum(bool(clip.usable) for clip in clips)
    simulated = sum(clip.simulated for clip in clips)
    found = summary(study)
    assert (found.usable_clips, found.simulated_clips) == (usable, simulated) == (1, 2)
    assert {clip.usable for clip in clips} == {True, False, None}


def fill(study: Study, people: int) -> None:
    """Add people with 3 visits, 2 clips and 1 value each visit, and checks that are done."""
    from sqlalchemy import insert

    from pallor.service.store import tables as t

    visits = [(person, number) for person in range(1, people + 1) for number in range(3)]
    with study.store.transaction() as session:
        session.execute(insert(t.ParticipantRow), [
            {"id": n, "code": f"P{n:05d}", "created_s": 1.0, "changed_s": 1.0}
            for n in range(1, people + 1)
        ])  # fmt: skip
        session.execute(insert(t.ConsentRow), [
            {
                "participant_id": n, "version": "1", "language": "en", "keeps_video": True,
                "given_s": 1.0,
            }
            for n in range(1, people + 1)
        ])  # fmt: skip
        session.execute(insert(t.SessionRow), [
            {"id": n, "participant_id": person, "name": str(number), "created_s": 1.0}
            for n, (person, number) in enumerate(visits, 1)
        ])  # fmt: skip
        session.execute(insert(t.HemoglobinRow), [
            {
                "session_id": n, "value": 13.0, "unit": "g/dL", "hemoglobin_g_dl": 13.0,
                "method": "venous_cbc", "created_s": 1.0,
            }
            for n in range(1, len(visits) + 1)
        ])  # fmt: skip
        clips = range(1, 2 * len(visits) + 1)
        result = {"usable": True, "simulated": False, "reasons": [], "fps": 30.0}
        session.execute(insert(t.JobRow), [
            {
                "id": f"j{n}", "kind": "clip_check", "state": "done", "created_s": 1.0,
                "stage": "done", "share": 1.0, "attempts": 1, "file_token": f"t{n:031d}",
                "options": {}, "result": result,
            }
            for n in clips
        ])  # fmt: skip
        session.execute(insert(t.ClipRow), [
            {
                "session_id": (n + 1) // 2, "file_token": f"t{n:031d}", "suffix": ".webm",
                "bytes": 9, "sha256": f"{n:064d}", "simulated": False, "created_s": 1.0,
                "job_id": f"j{n}",
            }
            for n in clips
        ])  # fmt: skip


def statements(study: Study, call: Any) -> tuple[int, float, Any]:
    """Count what the database is asked, and take the time in seconds."""
    from sqlalchemy import event

    count = 0

    def counted(*_: object) -> None:
        nonlocal count
        count += 1

    event.listen(study.store.engine, "before_cursor_execute", counted)
    start = time.perf_counter()
    found = call()
    taken_s = time.perf_counter() - start
    event.remove(study.store.engine, "before_cursor_execute", counted)
    return count, taken_s, found


@pytest.mark.slow
def test_a_large_study_is_asked_for_in_a_few_statements(study: Study) -> None:
    fill(study, 2000)
    counts = {}
    for name, call in {
        "first": lambda: participants.listing(study, "x"),
        "all": lambda: participants.listing(study, "x", limit=2000),
        "search": lambda: participants.listing(study, "x", search="p0199", missing="hemoglobin"),
        "get": lambda: participants.get(study, "P01999", "x"),
        "summary": lambda: summary(study),
        "export": lambda: export_rows(study),
    }.items():
        count, taken_s, found = statements(study, call)
        counts[name] = count
        print(f"{name}: {count} statements, {1000 * taken_s:.0f} ms")  # noqa: T201 - with -s
        # Generous: what it catches is a query for every row, which takes many times this.
        assert taken_s < 10.0
        if name == "all":
            lines, total = found
            assert total == 2000 and {line.usable_clips for line in lines} == {6}
        if name == "export":
            assert len(found.rows) == 12_000 and len(found.values) == 6000
    assert max(counts.values()) <= 12, counts
