"""Clips of a study and their files: none left over, none missing, whatever happens."""

from __future__ import annotations

import hashlib
import json
import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from long_tests import rounds
from pallor.service.errors import StoreError
from pallor.service.refusals import (
    ConflictError,
    InvalidFieldsError,
    NoConsentError,
    NotReadyError,
    UnknownError,
)
from pallor.service.settings import ServiceSettings
from pallor.service.study import clip_files, clips, participants, sessions
from pallor.service.study.records import StudyClip
from pallor.service.study.study import Study
from service_databases import postgres, settings, store
from study_cases import (
    AGREES,
    Clock,
    check_done,
    count_rows,
    files_of,
    person,
    study,
    upload,
    visited,
    with_clip,
)

__all__ = ["postgres", "settings", "store", "study"]

PROGRAM = Path(__file__).with_name("study_kills.py")


def only_token(study: Study) -> str:
    (token,) = files_of(study)
    return token


def test_a_clip_and_its_check(study: Study) -> None:
    visited(study, "a")
    clip = with_clip(study, "a", content=b"abc", camera=" phone ", simulated="on")
    assert (clip.camera, clip.simulated, clip.bytes, clip.state) == ("phone", True, 3, "queued")
    token = only_token(study)
    path = clips.path(study, token)
    assert path.read_bytes() == b"abc" and path.stat().st_mode & 0o777 == 0o600
    assert study.jobs.file_tokens() == {token}
    job = study.jobs.claim("w")
    assert job is not None and (job.kind, job.options, job.owner) == ("clip_check", {}, None)
    study.jobs.progress(job.id, "reading", 0.5)
    (seen,) = participants.get(study, "a", "x").sessions[0].clips
    assert (seen.state, seen.share, seen.usable, seen.check) == ("running", 0.5, None, None)
    study.jobs.finish(job.id, {"usable": False, "reasons": [{"code": "dark", "text": "dark"}]})
    (seen,) = participants.get(study, "a", "x").sessions[0].clips
    assert seen.usable is False and seen.check is not None
    assert seen.check["reasons"][0]["code"] == "dark"
    found = clips.delete(study, "a", "1", clip.id, "x")
    assert found.sessions[0].clips == () and files_of(study) == set()
    assert count_rows(study)["jobs"] == count_rows(study)["clip_files_due"] == 0


def test_a_check_that_failed_or_is_gone_is_not_usable(study: Study) -> None:
    visited(study, "a")
    with_clip(study, "a")
    with_clip(study, "a")
    job = study.jobs.claim("w")
    assert job is not None
    study.jobs.fail(job.id, "no_video", "there is no video in it")
    other = study.jobs.claim("w")
    assert other is not None
    study.jobs.delete(other.id)
    failed, gone = participants.get(study, "a", "x").sessions[0].clips
    assert (failed.state, failed.code, failed.usable) == ("failed", "no_video", False)
    assert (gone.state, gone.code, gone.usable) == ("failed", "check_missing", False)


def test_a_clip_that_the_check_finds_simulated_is(study: Study) -> None:
    visited(study, "a")
    assert not with_clip(study, "a").simulated
    check_done(study, only_token(study), simulated=True)
    assert participants.get(study, "a", "x").sessions[0].clips[0].simulated


def test_a_check_is_done_again(study: Study) -> None:
    visited(study, "a")
    clip = with_clip(study, "a")
    waits = study.jobs.file_tokens()
    before = count_rows(study)

    def again(clip_id: int = clip.id, code: str = "a") -> StudyClip:
        return clips.check_again(study, code, "1", clip_id, "x")

    # One that waits or runs is left alone.
    assert again().state == "queued" and count_rows(study) == before
    job = study.jobs.claim("w")
    assert job is not None
    assert again().state == "running" and study.jobs.heartbeat(job.id, "w")
    study.jobs.fail(job.id, "crashed", "it broke")
    queued = again()
    assert (queued.state, queued.code, queued.text, queued.usable) == ("queued", None, None, None)
    assert study.jobs.file_tokens() == waits and study.jobs.get(job.id) is None
    # What the container told stays known while the clip waits, and where the next check fails.
    check_done(study, only_token(study), simulated=True)
    assert again().simulated
    job = study.jobs.claim("w")
    assert job is not None and job.attempts == 1
    study.jobs.fail(job.id, "time_limit", "too long")
    assert participants.get(study, "a", "x").sessions[0].clips[0].simulated
    # One whose check was lost.
    study.jobs.delete(job.id)
    assert participants.get(study, "a", "x").sessions[0].clips[0].code == "check_missing"
    assert again().state == "queued"
    assert count_rows(study) == before
    check_done(study, only_token(study))
    assert participants.get(study, "a", "x").sessions[0].clips[0].usable
    actions = [entry.action for entry in study.audit.entries()]
    assert actions.count("clip.check") == 3
    for wrong in (lambda: again(clip.id + 1), lambda: again(code="b")):
        with pytest.raises(UnknownError):
            wrong()
    participants.withdraw(study, "a", "x")
    assert count_rows(study)["jobs"] == 0 and files_of(study) == set()


def test_results_of_checks_stay_as_long_as_the_clip(study: Study) -> None:
    visited(study, "a")
    with_clip(study, "a")
    check_done(study, only_token(study))
    estimate = study.jobs.create("estimate", None, {})
    assert study.jobs.claim("w") is not None
    study.jobs.finish(estimate.id, {})
    assert study.jobs.expire(-1.0) == 1
    assert study.jobs.get(estimate.id) is None
    assert participants.get(study, "a", "x").sessions[0].clips[0].usable


def test_no_clip_without_consent_to_keep_it(study: Study) -> None:
    participants.create(study, {"code": "a"}, {**AGREES, "keeps_video": "off"}, "x")
    sessions.create(study, "a", {"name": "1"}, "x")
    with pytest.raises(NoConsentError):
        clips.check_may_add(study, "a", "1")
    with pytest.raises(NoConsentError):
        with_clip(study, "a")
    assert files_of(study) == set() and count_rows(study)["jobs"] == 0
    participants.consent(study, "a", AGREES, "x")
    with_clip(study, "a")


def test_the_same_file_twice_is_refused_and_said_where(study: Study) -> None:
    visited(study, "a")
    visited(study, "b", "second")
    with_clip(study, "b", "second", b"same")
    with pytest.raises(ConflictError, match="participant b, session second"):
        with_clip(study, "a", content=b"same")
    assert len(files_of(study)) == 1 and count_rows(study)["clip_files_due"] == 0
    participants.withdraw(study, "b", "x")
    with_clip(study, "a", content=b"same")


def test_odd_fields_and_lost_uploads(study: Study) -> None:
    visited(study, "a")
    with pytest.raises(InvalidFieldsError):
        with_clip(study, "a", camera="=1", simulated="perhaps")
    token = upload(study, b"x")
    study.uploads.delete(token)
    with pytest.raises(NotReadyError, match="again"):
        clips.add(study, "a", "1", token, 1, "a" * 64, "mp4", {}, "x")
    assert files_of(study) == set() and count_rows(study)["clip_files_due"] == 0


def test_a_session_takes_its_clips_along(study: Study) -> None:
    visited(study, "a")
    sessions.create(study, "a", {"name": "2"}, "x")
    with_clip(study, "a", "1")
    kept = with_clip(study, "a", "2", b"kept")
    found = sessions.delete(study, "a", "1", "x")
    assert [visit.name for visit in found.sessions] == ["2"]
    assert found.sessions[0].clips[0].id == kept.id and len(files_of(study)) == 1
    assert count_rows(study)["jobs"] == 1


def test_a_file_that_cannot_be_deleted_now_is_deleted_later(
    study: Study, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    study = replace(study, clock=clock)
    visited(study, "a")
    with_clip(study, "a")
    with_clip(study, "a")
    token = min(files_of(study))
    path = clips.path(study, token)
    path.unlink()
    path.mkdir()  # a folder is no file to unlink
    with caplog.at_level(logging.WARNING):
        gone = participants.withdraw(study, "a", "x")
    assert (gone.clips, gone.files) == (2, 1) and "could not be deleted" in caplog.text
    assert token not in caplog.text and files_of(study) == {token}
    clock.now += 601.0
    assert clips.sweep(study) == 0 and count_rows(study)["clip_files_due"] == 1
    path.rmdir()
    path.write_bytes(b"x")
    assert clips.sweep(study) == 1 and files_of(study) == set()
    assert count_rows(study)["clip_files_due"] == 0


def test_a_sweep_waits_for_what_is_under_way(study: Study) -> None:
    clock = Clock()
    study = replace(study, clock=clock)
    visited(study, "a")
    token = upload(study, b"x")
    clip_files.announce(study, token)
    clip_files.take_in(study, token)
    clock.now += 599.0
    assert clips.sweep(study) == 0 and files_of(study) == {token}
    clock.now += 2.0
    assert clips.sweep(study) == 1 and files_of(study) == set()


def test_an_upload_that_a_sweep_took_gets_no_row(study: Study) -> None:
    clock = Clock()
    study = replace(study, clock=clock)
    visited(study, "a")
    token = upload(study, b"x")
    clip_files.announce(study, token)
    clip_files.take_in(study, token)
    clock.now += 601.0
    assert clips.sweep(study) == 1
    values = {
        "file_token": token, "suffix": ".mp4", "bytes": 1, "sha256": "a" * 64, "camera": None,
        "simulated": False,
    }  # fmt: skip
    with pytest.raises(NotReadyError):
        clips._add_row(study, "a", "1", values, "x")
    assert count_rows(study)["clips"] == count_rows(study)["jobs"] == 0


def test_a_sweep_never_takes_a_file_that_a_clip_owns(study: Study) -> None:
    visited(study, "a")
    with_clip(study, "a")
    clip_files.announce(study, only_token(study))
    later = replace(study, clock=lambda: study.clock() + 1000.0)
    assert clips.sweep(later) == 0 and len(files_of(study)) == 1
    assert count_rows(study)["clip_files_due"] == 0


def test_a_row_with_an_impossible_token_can_be_withdrawn(study: Study) -> None:
    from sqlalchemy import update

    from pallor.service.store.tables import ClipRow

    visited(study, "a")
    with_clip(study, "a")
    with study.store.transaction() as session:
        session.execute(update(ClipRow).values({"file_token": "../../etc/passwd"}))
    gone = participants.withdraw(study, "a", "x")
    assert (gone.clips, gone.files) == (1, 0) and count_rows(study)["clip_files_due"] == 0


def test_files_that_nobody_knows_are_counted_and_kept(
    study: Study, caplog: pytest.LogCaptureFixture
) -> None:
    visited(study, "a")
    with_clip(study, "a")
    with caplog.at_level(logging.WARNING):
        clips.report_differences(study)
    assert caplog.text == ""
    token, _, file = study.clips.create()
    file.close()
    with caplog.at_level(logging.WARNING):
        clips.report_differences(study)
    assert "1 file" in caplog.text and token not in caplog.text
    clips.sweep(replace(study, clock=lambda: study.clock() + 10_000.0))
    assert len(files_of(study)) == 2


def test_clips_whose_files_are_missing_are_counted(
    study: Study, caplog: pytest.LogCaptureFixture
) -> None:
    visited(study, "a")
    with_clip(study, "a", content=b"1")
    lost = only_token(study)
    with_clip(study, "a", content=b"2")
    study.clips.delete(lost)
    with caplog.at_level(logging.WARNING):
        clips.report_differences(study)
    assert "1 of the 2 clips" in caplog.text and lost not in caplog.text


@pytest.mark.parametrize("withdrawn_at", ["announce", "take_in"])
def test_who_withdraws_during_an_upload_leaves_no_file(
    study: Study, monkeypatch: pytest.MonkeyPatch, withdrawn_at: str
) -> None:
    visited(study, "a")
    step = getattr(clip_files, withdrawn_at)

    def then_withdraw(*arguments: object) -> None:
        step(*arguments)
        participants.withdraw(study, "a", "x")

    monkeypatch.setattr(clip_files, withdrawn_at, then_withdraw)
    with pytest.raises(UnknownError):
        with_clip(study, "a")
    assert files_of(study) == set()
    rows = count_rows(study)
    assert rows["clips"] == rows["jobs"] == rows["clip_files_due"] == rows["participants"] == 0


@pytest.mark.parametrize("lost", ["before", "after"])
def test_a_commit_of_which_nobody_knows_costs_no_file(
    study: Study, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """The connection breaks while the row of a clip is written: it may be there, or not."""
    visited(study, "a")
    add_row = clips._add_row

    def broken(*arguments: object) -> None:
        if lost == "after":
            add_row(*arguments)  # type: ignore[arg-type]
        raise StoreError("the database does not answer")

    monkeypatch.setattr(clips, "_add_row", broken)
    with pytest.raises(StoreError):
        with_clip(study, "a")
    clips.sweep(replace(study, clock=lambda: study.clock() + 1000.0))
    rows = count_rows(study)
    expected = int(lost == "after")
    assert rows["clips"] == rows["jobs"] == len(files_of(study)) == expected
    assert rows["clip_files_due"] == 0


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("work", ["add", "delete", "session", "withdraw"])
def test_killed_at_some_line_nothing_is_left_over_or_missing(
    settings: ServiceSettings, work: str
) -> None:
    url = [] if settings.database_url is None else [settings.database_url]
    done = subprocess.run(
        [sys.executable, str(PROGRAM), work, str(rounds(5, 1)), str(settings.data), *url],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["faults"] == {} and report["kills"] > rounds(5, 25), report


def test_of_a_content_only_the_hash_is_kept(study: Study) -> None:
    person(study, "a")
    sessions.create(study, "a", {"name": "1"}, "x")
    clip = with_clip(study, "a", content=b"abc")
    assert clip.sha256 == hashlib.sha256(b"abc").hexdigest()
