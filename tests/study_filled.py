"""A study with made-up participants, for the tests of its pages."""

from __future__ import annotations

import hashlib
from typing import Any

from pallor.service.store.job import CLIP_CHECK
from pallor.service.store.jobs import JobStore
from pallor.service.study import clips, hemoglobin, participants, sessions
from pallor.service.study.study import Study

WHO = "a-key"
DAY = "2026-03-02"
USABLE: dict[str, Any] = {
    "usable": True, "reasons": [], "warnings": [], "simulated": False, "duration_s": 30.02,
    "fps": 29.97, "frames": 900, "face_coverage": 0.99, "heart_rate_bpm": 72.4, "snr_db": 4.1,
}  # fmt: skip


def unusable(*codes: str, text: str = "its own words") -> dict[str, Any]:
    reasons = [{"code": code, "text": text} for code in codes]
    return {**USABLE, "usable": False, "reasons": reasons, "heart_rate_bpm": None}


def consent(study: Study, *, keeps_video: bool = True) -> dict[str, Any]:
    language, text = study.consent.in_language("en")
    return {
        "version": text.version, "language": language, "takes_part": True,
        "keeps_video": keeps_video,
    }  # fmt: skip


def add_person(study: Study, code: str, *, keeps_video: bool = True, **values: Any) -> str:
    participants.create(
        study, {"code": code, **values}, consent(study, keeps_video=keeps_video), WHO
    )
    return code


def add_session(study: Study, code: str, name: str = "1", **values: Any) -> str:
    sessions.create(study, code, {"name": name, "date": DAY, **values}, WHO)
    return name


def add_clip(
    study: Study,
    code: str,
    name: str = "1",
    check: dict[str, Any] | tuple[str, str] | None = None,
    **values: Any,
) -> int:
    """Add a clip; ``check`` is what came of its check, code and text where that failed."""
    token, _, file = study.uploads.create()
    content = f"{code} {name} {token}".encode()
    with file:
        file.write(content)
    digest = hashlib.sha256(content).hexdigest()
    _, clip = clips.add(
        study, code, name, token, len(content), digest, "matroska",
        {"camera": "Pixel 8", **values}, WHO,
    )  # fmt: skip
    if check is not None:
        jobs = JobStore(study.store)
        job = jobs.claim("tests")
        assert job is not None
        assert job.kind == CLIP_CHECK
        if isinstance(check, tuple):
            jobs.fail(job.id, *check)
        else:
            jobs.finish(job.id, check)
    return clip.id


def add_value(study: Study, code: str, name: str = "1", **values: Any) -> int:
    entered = {
        "value": 132, "unit": "g/L", "method": "venous_cbc", "measured_on": DAY, **values,
    }  # fmt: skip
    found = hemoglobin.add(study, code, name, entered, WHO).session(name)
    assert found is not None
    return found.hemoglobin[-1].id


def fill(study: Study) -> None:
    """Enter people in every state that pages show."""
    add_person(study, "K-001", sex="female", age_years=34, smoking="no", altitude_m=938)
    add_session(study, "K-001", site="Ankara")
    add_clip(study, "K-001", check=unusable("no_pulse", "face_lost"))
    add_clip(study, "K-001", check=USABLE)
    add_value(study, "K-001")
    add_session(study, "K-001", "2", date="2026-03-09", site="Ankara")
    add_clip(study, "K-001", "2", check=USABLE)
    add_person(study, "K-002", sex="male", age_years=51.5, smoking="10-19", note="comes on Mondays")
    add_session(study, "K-002", site="Ankara")
    add_clip(study, "K-002", check={**USABLE, "simulated": True}, camera="simulated camera")
    add_clip(study, "K-002", check=("time_limit", "it took too long"))
    add_person(
        study, "K-003", keeps_video=False, sex="female", age_years=27,
        pregnancy="second trimester",
    )  # fmt: skip
    add_session(study, "K-003")
    add_value(study, "K-003", value=11.4, unit="g/dL", method="capillary_poc")
    add_person(study, "K-004")
    add_person(study, "K-005", sex="male", age_years=8)
    add_session(study, "K-005")
    add_clip(study, "K-005")
    add_person(study, "K-006", sex="female", pregnancy="first trimester")
