"""Several people at one study at once, on SQLite and PostgreSQL."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from long_tests import rounds
from pallor.service.errors import StoreError
from pallor.service.refusals import ConflictError, InvalidFieldsError, RefusalError, UnknownError
from pallor.service.study import clips, hemoglobin, participants, sessions
from pallor.service.study.study import Study
from service_databases import postgres, settings, store
from study_cases import count_rows, files_of, person, study, visited, with_clip

__all__ = ["postgres", "settings", "store", "study"]

HB = {"value": 131, "unit": "g/L", "method": "venous_cbc"}


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Do all at the same moment; return what came of each, or the refusal."""
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        start.wait()
        try:
            return call()
        except RefusalError as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def codes_of(error: object) -> set[str]:
    assert isinstance(error, InvalidFieldsError), error
    return {problem.code for problem in error.problems.values()}


@pytest.mark.long
def test_two_who_take_the_same_code(study: Study) -> None:
    for number in range(rounds(5, 30)):
        code = f"p{number}"
        found = at_once(*(lambda c=c: person(study, c) for c in (code, code.upper()) * 3))
        errors = [one for one in found if isinstance(one, Exception)]
        assert len(errors) == 5 and all(codes_of(error) == {"taken"} for error in errors)
    assert count_rows(study)["participants"] == count_rows(study)["consents"] == rounds(5, 30)


@pytest.mark.long
def test_two_who_rename_to_the_same_code(study: Study) -> None:
    for number in range(rounds(5, 30)):
        person(study, f"a{number}")
        person(study, f"b{number}")
        found = at_once(
            lambda n=number: participants.change(study, f"a{n}", {"code": f"C{n}"}, "x"),
            lambda n=number: participants.change(study, f"b{n}", {"code": f"c{n}"}, "x"),
            lambda n=number: person(study, f"c{n}"),
        )
        errors = [one for one in found if isinstance(one, Exception)]
        assert len(errors) == 2 and all(codes_of(error) == {"taken"} for error in errors)


@pytest.mark.long
def test_two_who_enter_the_same_visit(study: Study) -> None:
    person(study, "a")
    for number in range(rounds(5, 30)):
        found = at_once(
            *(
                lambda n=name: sessions.create(study, "a", {"name": n}, "x")
                for name in (f"v{number}", f"V{number}") * 2
            )
        )
        errors = [one for one in found if isinstance(one, Exception)]
        assert len(errors) == 3 and all(codes_of(error) == {"taken"} for error in errors)


@pytest.mark.long
def test_the_same_file_for_two_people_is_kept_once(study: Study) -> None:
    visited(study, "a")
    visited(study, "b")
    for number in range(rounds(5, 30)):
        content = f"clip {number}".encode()
        found = at_once(
            *(lambda c=c, x=content: with_clip(study, c, content=x) for c in ("a", "b") * 2)
        )
        errors = [one for one in found if isinstance(one, Exception)]
        assert len(errors) == 3 and all(isinstance(error, ConflictError) for error in errors)
    assert len(files_of(study)) == rounds(5, 30) and count_rows(study)["clip_files_due"] == 0


@pytest.mark.long
def test_clips_come_in_while_their_participant_withdraws(study: Study) -> None:
    outcomes: Counter[str] = Counter()
    for number in range(rounds(15, 150)):
        code = f"p{number}"
        visited(study, code)
        found = at_once(
            lambda c=code: with_clip(study, c),
            lambda c=code: participants.withdraw(study, c, "x"),
            lambda c=code: with_clip(study, c),
            lambda: clips.sweep(study),
        )
        for one in (found[0], found[2]):
            assert not isinstance(one, Exception) or isinstance(one, UnknownError), one
            outcomes[type(one).__name__] += 1
        assert isinstance(found[1], participants.Withdrawn)
        assert found[1].clips == found[1].files
    rows = count_rows(study)
    assert files_of(study) == set() and set(rows.values()) == {0}, (rows, outcomes)


def test_who_reads_sees_one_moment(study: Study) -> None:
    from sqlalchemy import func, select

    from pallor.service.store.tables import ConsentRow, ParticipantRow

    person(study, "a")
    with study.store.reading() as session:
        assert session.scalar(select(ParticipantRow.code)) == "a"
        with ThreadPoolExecutor(1) as pool:
            pool.submit(participants.withdraw, study, "a", "x").result()
        assert session.scalar(select(func.count()).select_from(ConsentRow)) == 1
    assert count_rows(study)["consents"] == 0


def test_nothing_is_written_where_only_reading_was_meant(study: Study) -> None:
    from sqlalchemy import select

    from pallor.service.store.tables import ParticipantRow

    person(study, "a")
    with pytest.raises(StoreError), study.store.reading() as session:
        session.scalars(select(ParticipantRow)).one().code = "b"


@pytest.mark.long
def test_work_on_one_person_is_done_one_after_the_other(study: Study) -> None:
    visited(study, "a")
    number = rounds(20, 100)
    calls = [lambda: hemoglobin.add(study, "a", "1", HB, "x")] * number
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda call: call(), calls))
    found = participants.get(study, "a", "x")
    assert len(found.sessions[0].hemoglobin) == number
    removed = at_once(
        *(
            lambda v=value: hemoglobin.delete(study, "a", "1", v.id, "x")
            for value in found.sessions[0].hemoglobin[:4] * 2
        )
    )
    assert sum(isinstance(one, UnknownError) for one in removed) == 4
    assert count_rows(study)["hemoglobin_values"] == number - 4


@pytest.mark.long
def test_a_check_that_runs_while_its_clip_is_deleted(study: Study) -> None:
    visited(study, "a")
    for _ in range(rounds(5, 30)):
        clip = with_clip(study, "a")
        job = study.jobs.claim("w")
        assert job is not None
        _, written = at_once(
            lambda c=clip: clips.delete(study, "a", "1", c.id, "x"),
            lambda j=job: study.jobs.finish(j.id, {"usable": True}, worker_id="w"),
        )
        assert written in {True, False} and study.jobs.get(job.id) is None


@pytest.mark.parametrize("what", ["delete", "session", "withdraw"])
def test_what_two_delete_at_once_is_deleted_once(study: Study, what: str) -> None:
    visited(study, "a")
    clip = with_clip(study, "a")
    call = {
        "delete": lambda: clips.delete(study, "a", "1", clip.id, "x"),
        "session": lambda: sessions.delete(study, "a", "1", "x"),
        "withdraw": lambda: participants.withdraw(study, "a", "x"),
    }[what]
    found = at_once(call, call, call)
    assert sum(isinstance(one, UnknownError) for one in found) == 2
    assert files_of(study) == set() and count_rows(study)["clip_files_due"] == 0
