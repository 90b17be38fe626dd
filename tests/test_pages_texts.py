"""The catalogs, and which language a browser gets."""

from __future__ import annotations

import dataclasses
import re
import string

import pytest

from pallor import errors
from pallor.anemia import GROUPS, Severity
from pallor.anemia.table import _ASSUMED
from pallor.errors import PallorError
from pallor.features.registry import MODALITIES
from pallor.models.preprocessing import DEMOGRAPHICS
from pallor.service import errors as service_errors
from pallor.service import refusals
from pallor.service.jobs import estimate_job
from pallor.service.pages.language import CATALOGS, choose, languages, texts
from pallor.service.pages.study.forms import LABELS, problem_text
from pallor.service.refusals import FieldProblem
from pallor.service.study.fields import (
    HEMOGLOBIN_METHODS,
    ClipFields,
    ConsentFields,
    HemoglobinFields,
    ParticipantFields,
    SessionFields,
)

PAGES = CATALOGS.parent
PLACE = string.Formatter()
SOURCES = [
    *PAGES.rglob("*.py"), *(PAGES / "templates").glob("*.j2"), *(PAGES / "static").rglob("*.js"),
]  # fmt: skip
ERROR_CODES = {
    kind.code for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, PallorError)
}  # fmt: skip
UNKNOWN_CODES = {
    code
    for path in (PAGES.parents[1] / "anemia").glob("*.py")
    for code in re.findall(r'"(\w+)"', path.read_text(encoding="utf-8"))
}
# Keys that are put together from a code, and all codes there are; the other keys stand in the
# sources as they are. What the service itself may refuse or fail with is named there.
SERVICE_FAILURES = {
    "crashed", "internal", "memory_limit", "no_model", "time_limit", "upload_missing",
}  # fmt: skip
SERVICE_REFUSALS = {
    "busy", "conflict", "cross_site", "malformed", "no_consent", "no_key", "no_model", "role",
    "too_large", "too_many_requests", "too_slow", "unknown", "wrong_type",
}  # fmt: skip
STUDY_PROBLEMS = {
    code
    for name in ("fields", "field_readers", "participants", "sessions")
    for code in re.findall(
        r'(?:ProblemError|FieldProblem)\(\s*"(\w+)"',
        (PAGES.parent / "study" / f"{name}.py").read_text(encoding="utf-8"),
    )
}
STUDY_CODES = {
    # Those of single fields say the same more closely.
    "problem": STUDY_PROBLEMS | {"not_the_code"} | {
        f"{name}_{code}" for name in LABELS for code in STUDY_PROBLEMS
    },
    "saved": set(
        re.findall(
            r'Saved\([^\n]*?, "(\w+)"',
            "".join(
                path.read_text(encoding="utf-8") for path in sorted((PAGES / "study").glob("*.py"))
            ),
        )
    ) | {"clip"},
    "refused": {"role", "unknown", "other"},
    "refused_text": {"role", "unknown", "cross_site"},
}  # fmt: skip
BY_CODE = {
    "group": set(GROUPS),
    "severity": {str(severity) for severity in Severity},
    "assumed": set(_ASSUMED),
    "unknown": UNKNOWN_CODES,
    "advice": ERROR_CODES,
    "failed": SERVICE_FAILURES,
    "error": SERVICE_REFUSALS | {"network", "stopped", "server"},
    "sign_in": {"no_key", "too_many_requests"},
    "stage": {"queued", "loading", "reading", "measuring"},
    "check": {"face", "distance", "light", "motion", "fps", "good", "bad", "unknown"},
    "baseline": {"mean", "sex", "sex_age"},
    "modality": {*MODALITIES, DEMOGRAPHICS},
    "study": {f"{kind}.{code}" for kind, codes in STUDY_CODES.items() for code in codes}
    | {f"method_{method}" for method in HEMOGLOBIN_METHODS},
}


def literal_keys():
    text = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
    return set(re.findall(r'["\']([a-z_]+\.[a-z0-9_]+)["\']', text))


def places(text):
    return {name for _, name, _, _ in PLACE.parse(text) if name is not None}


def test_there_are_english_and_turkish():
    assert languages() == ("en", "tr")


@pytest.mark.parametrize("language", languages())
def test_catalogs_have_the_same_keys_in_the_same_order_with_the_same_places(language):
    english, other = texts("en").catalog, texts(language).catalog
    assert list(other) == list(english)
    for key, text in english.items():
        assert places(other[key]) == places(text), key
        assert other[key].strip() == other[key] != "", key


def test_turkish_is_translated():
    english, turkish = texts("en").catalog, texts("tr").catalog
    same = {key for key in english if english[key] == turkish[key]}
    assert same == {
        "person.model", "chart.hemoglobin", "card.mae", "study.value",
    }  # fmt: skip


def test_no_key_is_unused():
    literal = literal_keys()
    unused = {
        key for key in texts("en").catalog
        if key not in literal and key.partition(".")[2] not in BY_CODE.get(key.split(".")[0], ())
    }  # fmt: skip
    assert unused == set()


def test_every_key_that_the_sources_name_is_there():
    families = {key.split(".")[0] for key in texts("en").catalog}
    files = {"measure.js", "style.css", "result.js"}
    named = {key for key in literal_keys() if key.split(".")[0] in families}
    assert len(named) > 80
    assert named - files <= set(texts("en").catalog)


@pytest.mark.parametrize("code", sorted(STUDY_PROBLEMS | {"not_the_code"}))
def test_every_problem_of_a_field_has_a_text(code):
    assert len(STUDY_PROBLEMS) > 10
    assert f"study.problem.{code}" in texts("en").catalog


def test_everything_that_is_saved_has_a_text():
    assert len(STUDY_CODES["saved"]) > 10
    for code in STUDY_CODES["saved"]:
        assert f"study.saved.{code}" in texts("en").catalog


def test_every_field_that_can_be_wrong_has_a_label():
    kinds = (ParticipantFields, SessionFields, HemoglobinFields, ConsentFields, ClipFields)
    names = {f.name for kind in kinds for f in dataclasses.fields(kind)}
    # The language of a consent comes with its text: nobody enters it.
    assert names - set(LABELS) == {"given", "hemoglobin_g_dl", "simulated", "language"}


@pytest.mark.parametrize("language", languages())
def test_a_problem_is_said_with_its_places_or_in_its_own_words(language):
    t = texts(language)
    said = problem_text("age_years", FieldProblem("range", "own", {"low": 0.5, "high": 3}), t)
    assert said == t("study.problem.range", low="0.5".replace(".", t("format.decimal")), high="3")
    assert problem_text("age_years", FieldProblem("range", "own"), t) == "own"
    assert problem_text("age_years", FieldProblem("never_heard_of", "own"), t) == "own"
    unit = {"low": 3, "high": 25, "unit": "g/dL", "looks_like": ""}
    said = problem_text("value", FieldProblem("range", "own", unit), t)
    assert said == t("study.problem.range", low=3, high=25)


def test_dates_are_written_as_the_language_does():
    assert texts("tr").date("2026-03-09") == "09.03.2026"
    assert texts("en").date("2026-03-09") == "2026-03-09"


@pytest.mark.parametrize("family", ["group", "severity", "assumed", "failed"])
def test_every_code_has_a_text(family):
    for code in BY_CODE[family]:
        assert f"{family}.{code}" in texts("en").catalog


def test_every_reason_against_a_clip_has_advice():
    clip = {
        kind.code for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.ClipError)
    }  # fmt: skip
    # The base class, and what only paths and addresses lead to.
    clip -= {"clip", "missing", "fetch_failed"}
    assert {code for code in clip if f"advice.{code}" not in texts("en").catalog} == set()


@pytest.mark.parametrize(
    ("asked", "header", "language"),
    [
        (None, None, "en"),
        (None, "", "en"),
        ("tr", "en", "tr"),
        ("xx", "tr", "tr"),
        ("../../etc/passwd", None, "en"),
        (None, "tr-TR,tr;q=0.9,en;q=0.8", "tr"),
        (None, "en;q=0.3, tr;q=0.7", "tr"),
        (None, "de,fr;q=0.8,tr;q=0.1", "tr"),
        (None, "de", "en"),
        (None, "tr;q=0, en", "en"),
        (None, "tr;q=nonsense", "en"),
        (None, "*", "en"),
        (None, ";;;,=,q=", "en"),
        (None, "TR", "tr"),
    ],
)
def test_choice_of_the_language(asked, header, language):
    assert choose(asked, header) == language


def test_numbers_are_written_as_the_language_does():
    assert texts("en").number(-1.25, 1) == "\u22121.2"
    assert texts("tr").number(12.34, 1) == "12,3"
    assert texts("en").percent(0.9) == "90 %"
    assert texts("tr").percent(0.985, 1) == "%98,5"


def codes_of(module):
    return {
        kind.code for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, PallorError)
    }  # fmt: skip


def test_codes_and_stages_are_those_of_the_service():
    assert codes_of(service_errors) >= SERVICE_FAILURES
    assert codes_of(refusals) >= SERVICE_REFUSALS
    assert set(estimate_job._SPAN) == BY_CODE["stage"] - {"queued"}


def test_an_unknown_key_is_an_error():
    with pytest.raises(KeyError):
        texts("en")("no.such")
