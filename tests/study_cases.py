"""A study to test with: people, and clips that are a few bytes."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

import pytest

from pallor.service.settings import ServiceSettings
from pallor.service.store.engine import Store
from pallor.service.study import clips, participants, sessions
from pallor.service.study.consent import ConsentTexts
from pallor.service.study.records import Participant, StudyClip
from pallor.service.study.study import Study

TEXTS = ConsentTexts.read()
AGREES = {
    "version": TEXTS.texts["en"].version, "language": "en", "keeps_video": True,
    "takes_part": True,
}  # fmt: skip


class Clock:
    def __init__(self, now: float = 1_750_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def study(settings: ServiceSettings, store: Store) -> Study:
    return Study.open(settings, store)


def files_of(study: Study) -> set[str]:
    """Tokens of the files in both folders."""
    return {path.name for path in (*study.clips.folder.iterdir(), *study.uploads.folder.iterdir())}


def count_rows(study: Study) -> dict[str, int]:
    """How many rows each table has, but the log."""
    from sqlalchemy import func, select

    from pallor.service.store.tables import Base

    with study.store.reading() as session:
        return {
            table.name: int(session.scalar(select(func.count()).select_from(table)) or 0)
            for table in Base.metadata.sorted_tables
            if table.name != "audit_log"
        }


def upload(study: Study, content: bytes) -> str:
    token, _, file = study.uploads.create()
    with file:
        file.write(content)
    return token


def person(study: Study, code: str = "P001", **values: Any) -> Participant:
    return participants.create(study, {"code": code, **values}, AGREES, "tester")


def visited(study: Study, code: str = "P001", name: str = "1", **values: Any) -> Participant:
    """A participant with one visit."""
    person(study, code)
    return sessions.create(study, code, {"name": name, **values}, "tester")


def with_clip(
    study: Study, code: str = "P001", name: str = "1", content: bytes | None = None, **values: Any
) -> StudyClip:
    """Add a clip to a visit that is there."""
    content = secrets.token_bytes(64) if content is None else content
    _, clip = clips.add(
        study, code, name, upload(study, content), len(content),
        hashlib.sha256(content).hexdigest(), "matroska", values, "tester",
    )  # fmt: skip
    return clip


def check_done(study: Study, clip_token: str, **result: Any) -> None:
    """Do the check of a clip."""
    job = study.jobs.claim("checker")
    assert job is not None and job.file_token == clip_token and job.kind == "clip_check"
    assert study.jobs.finish(job.id, {"usable": True, "simulated": False, **result})
