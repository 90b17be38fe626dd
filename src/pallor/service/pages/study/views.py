"""What the study holds, in the words of a language."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from pallor.service.pages.language import Texts, languages, texts
from pallor.service.pages.person_words import (
    PERSON_FIELDS,
    age_text,
    entered_number,
    person_rows_of,
    word_text,
)
from pallor.service.pages.results import advice
from pallor.service.pages.study.visit import participant_path

if TYPE_CHECKING:
    from pallor.service.study.consent import ConsentTexts
    from pallor.service.study.records import (
        HemoglobinValue,
        Participant,
        ParticipantLine,
        StudyClip,
        StudySession,
    )

CLIP_WORDS: Final = {
    "waiting": "study.clip_waiting",
    "usable": "study.clip_usable",
    "unusable": "study.clip_unusable",
    "failed": "study.clip_failed",
}


def line_view(line: ParticipantLine, t: Texts) -> dict[str, Any]:
    """Say what a list shows of a participant."""
    path = participant_path(line.code)
    return {
        "code": line.code,
        "path": path,
        "person": _joined(word_text(line.sex, t), age_text(line.age_years, t)),
        "sessions": line.sessions,
        "clips": line.clips,
        "usable": line.usable_clips,
        "blood_values": line.hemoglobin_values,
        "blood_missing": line.sessions_without_hemoglobin > 0,
        "blood_path": f"{path}/blood",
        "keeps_video": line.keeps_video,
    }


def person_view(participant: Participant, t: Texts) -> dict[str, Any]:
    """Say who a page is about."""
    consent = participant.consent
    return {
        "code": participant.code,
        "path": participant_path(participant.code),
        "person": _joined(word_text(participant.sex, t), age_text(participant.age_years, t)),
        "may_be_pregnant": participant.sex != "male",
        "consent": None
        if consent is None
        else {
            "date": t.date(_day(consent.given_s)),
            "version": consent.version,
            "language": _language(consent.language),
        },
        "keeps_video": consent is not None and consent.keeps_video,
    }


def person_rows(participant: Participant, t: Texts) -> list[tuple[str, str]]:
    """Return what is known of a participant, name and value."""
    known = {name: getattr(participant, name) for name in PERSON_FIELDS}
    rows = [
        *person_rows_of(known, t),
        (t("study.note"), participant.note or ""),
    ]
    return [row for row in rows if row[1]]


def session_view(found: StudySession, t: Texts) -> dict[str, Any]:
    """Say what a session holds; ``code`` is not part of it."""
    clips = [clip_view(clip, t) for clip in found.clips]
    pregnancy = word_text(found.pregnancy, t)
    return {
        "name": found.name,
        "date": "" if found.date is None else t.date(found.date),
        "site": found.site or "",
        "pregnancy": pregnancy,
        "blood_values": [value_view(value, t) for value in found.hemoglobin],
        # The latest first: it is the one that somebody waits for.
        "clips": clips[::-1],
        "usable": sum(clip["kind"] == "usable" for clip in clips),
        "waiting": any(clip["kind"] == "waiting" for clip in clips),
    }


def clip_view(clip: StudyClip, t: Texts) -> dict[str, Any]:
    """Say what has become of a clip.

    Returns
    -------
    ``kind``: ``waiting``, ``usable``, ``unusable`` (with ``reasons``: what to change) or
    ``failed`` (the check itself broke down); and what is known of it.
    """
    check = clip.check or {}
    kind = {True: "usable", False: "unusable", None: "waiting"}[clip.usable]
    reasons = advice(check.get("reasons") or (), t)
    if clip.state == "failed":
        kind = "failed"
        own = clip.text or t("failed.internal")
        reasons = [t.first(f"failed.{clip.code}", f"advice.{clip.code}", otherwise=own)]
    elif kind == "unusable" and not reasons:
        reasons = [t("advice.unknown")]
    return {
        "id": clip.id,
        "kind": kind,
        "verdict": t(CLIP_WORDS[kind]),
        "reasons": [] if kind == "usable" else reasons,
        "warnings": advice(check.get("warnings") or (), t) if kind == "usable" else [],
        "camera": clip.camera or "",
        "simulated": clip.simulated,
        "time": datetime.fromtimestamp(clip.created_s).strftime("%H:%M"),
        "date": t.date(_day(clip.created_s)),
        "facts": _facts(check, t),
        "share": clip.share,
    }


def _facts(check: Any, t: Texts) -> list[str]:
    """Return length, frame rate and heart rate, where they were found."""
    found = (
        ("duration_s", 0, "study.fact_length"),
        ("fps", 0, "study.fact_fps"),
        ("heart_rate_bpm", 0, "study.fact_heart_rate"),
    )
    return [
        t(key, value=t.number(float(check[name]), digits))
        for name, digits, key in found
        if check.get(name) is not None
    ]


def value_view(value: HemoglobinValue, t: Texts) -> dict[str, Any]:
    """Say a blood value as it was entered, and in g/dL."""
    entered = f"{entered_number(value.value, t)} {value.unit}"
    in_g_dl = f"{t.number(value.hemoglobin_g_dl)} g/dL"
    return {
        "id": value.id,
        "value": in_g_dl,
        "entered": "" if value.unit == "g/dL" else entered,
        "method": t.first(f"study.method_{value.method}", otherwise=value.method),
        "date": "" if value.measured_on is None else t.date(value.measured_on),
    }


def consent_text(consent: ConsentTexts, t: Texts) -> dict[str, Any]:
    """Return the text that a participant agrees to, in the page's language where there is one."""
    language, text = consent.in_language(t.language)
    paragraphs = [part.strip() for part in text.text.split("\n\n")]
    return {
        "language": language,
        "version": text.version,
        "paragraphs": [part for part in paragraphs if part],
    }


def _language(code: str) -> str:
    return texts(code)("language.name") if code in languages() else code


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _day(seconds: float) -> str:
    # The day where the service stands, as people there would write it.
    return datetime.fromtimestamp(seconds).date().isoformat()
