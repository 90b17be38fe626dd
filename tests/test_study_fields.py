"""What may be entered in a study, and what is said where it may not."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pallor.service.refusals import InvalidFieldsError
from pallor.service.study.field_readers import is_code
from pallor.service.study.fields import (
    HEMOGLOBIN_METHODS,
    HEMOGLOBIN_UNITS,
    ClipFields,
    ConsentFields,
    HemoglobinFields,
    ParticipantFields,
    SessionFields,
)

KNOWN_CODES = {
    "required", "characters", "too_long", "range", "not_a_number", "unknown_choice", "taken",
    "future", "not_a_date", "not_understood", "contradiction", "agree", "unknown_version",
    "check_unit",
}  # fmt: skip
HB = {"value": 13.1, "unit": "g/dL", "method": "venous_cbc"}
TEXTS = {"a": ("en",), "b": ("en", "en-GB")}


def consent(values: Any) -> ConsentFields:
    return ConsentFields.from_dict(values, lambda version: TEXTS.get(version, ()))


def problems(kind: Any, values: Any, **more: Any) -> dict[str, str]:
    with pytest.raises(InvalidFieldsError) as caught:
        consent(values) if kind is ConsentFields else kind.from_dict(values, **more)
    for name, problem in caught.value.problems.items():
        assert name in problem.text or problem.code in {"contradiction"}, problem
        assert "\n" not in problem.text and json.dumps(dict(problem.values))
    return {name: problem.code for name, problem in caught.value.problems.items()}


@pytest.mark.parametrize(
    "code", ["1", "A", "P001", "a.b-c_d", "0" * 64, "007", "COM", "CONTROL", "auxiliary", "a..b"]
)
def test_codes_that_are_taken(code: str) -> None:
    assert is_code(code)
    assert ParticipantFields.from_dict({"code": f" {code} "}).code == code


@pytest.mark.parametrize(
    "code",
    [
        *("..", ".", "...", ".a", "a.", "-a", "_a", "a/b", "a\\b", "a b", "a:b", "é", "１", "a\n"),
        *("CON", "con", "Nul", "aux.txt", "COM1", "lpt9.a.b"),
        *("NA", "nan", "NULL", "a\x00", "a\udcff"),
        *("0" * 65, 1.5, True, [], {}),
    ],
)  # fmt: skip
def test_codes_that_are_no_names_of_folders_are_refused(code: object) -> None:
    assert not is_code(code)
    if code == "a\n":  # blanks around it do not count
        return
    assert problems(ParticipantFields, {"code": code})["code"] in {"characters", "too_long"}
    assert problems(SessionFields, {"name": code})["name"] in {"characters", "too_long"}


def test_a_number_as_code_stays_as_written() -> None:
    assert ParticipantFields.from_dict({"code": 7}).code == "7"
    assert problems(ParticipantFields, {"code": 10**5000}) == {"code": "characters"}


def test_every_problem_is_told_at_once() -> None:
    assert problems(
        ParticipantFields,
        {
            "code": "", "sex": "x", "age_years": "old", "pregnancy": "perhaps",
            "altitude_m": 6001, "smoking": "2", "note": "x" * 1001,
        },
    ) == {
        "code": "required", "sex": "unknown_choice", "age_years": "not_a_number",
        "pregnancy": "not_understood", "altitude_m": "range", "smoking": "not_understood",
        "note": "too_long",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("age_years", "0", 0.0), ("age_years", 120, 120.0), ("age_years", "0,5", 0.5),
        ("age_years", -0.0, 0.0), ("age_years", " 31 ", 31.0), ("age_years", "", None),
        ("altitude_m", "-500", -500.0), ("altitude_m", 6000, 6000.0), ("altitude_m", "1e3", 1000.0),
        ("sex", "female", "female"), ("sex", None, None),
        ("pregnancy", "unknown", None), ("pregnancy", False, "no"), ("smoking", "12/day", "12/day"),
        ("smoking", True, "yes"), ("smoking", "?", None), ("note", "a\r\nb\tc", "a\nb\tc"),
        ("note", "=1+1", "=1+1"), ("note", "x" * 1000, "x" * 1000),
    ],
)  # fmt: skip
def test_values_that_are_taken(name: str, value: object, kept: object) -> None:
    assert getattr(ParticipantFields.from_dict({"code": "a", name: value}), name) == kept


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("age_years", -0.001, "range"), ("age_years", "120.001", "range"),
        ("age_years", math.nan, "not_a_number"), ("age_years", math.inf, "not_a_number"),
        ("age_years", "nan", "not_a_number"), ("age_years", "1e999", "not_a_number"),
        ("age_years", 10**400, "not_a_number"), ("age_years", "9" * 100_000, "not_a_number"),
        ("age_years", True, "not_a_number"), ("age_years", "１２", "not_a_number"),
        ("age_years", "1_0", "not_a_number"), ("age_years", [3], "not_a_number"),
        ("altitude_m", "1,500", "not_a_number"), ("altitude_m", "1.650", "not_a_number"),
        ("altitude_m", "1.500,0", "not_a_number"),
        ("altitude_m", -500.5, "range"),
        ("sex", "Female", "unknown_choice"), ("sex", 1, "unknown_choice"),
        ("sex", ["male"], "unknown_choice"),
        ("pregnancy", "2", "not_understood"), ("pregnancy", "=no", "characters"),
        ("smoking", "-no", "characters"), ("smoking", 0, "characters"),
        ("smoking", "y" * 65, "too_long"), ("note", "a\x00b", "characters"),
        ("note", "a\udcffb", "characters"), ("note", "a\u202eb", "characters"),
        ("note", 5, "characters"),
    ],
)  # fmt: skip
def test_values_that_are_refused(name: str, value: object, code: str) -> None:
    assert problems(ParticipantFields, {"code": "a", name: value}) == {name: code}


@pytest.mark.parametrize(
    ("sex", "age", "contradicted"),
    [("male", 30, True), ("female", 9.9, True), ("female", 10, False), (None, None, False)],
)
def test_who_cannot_be_pregnant(sex: str | None, age: float | None, contradicted: bool) -> None:
    values = {"code": "a", "sex": sex, "age_years": age, "pregnancy": "second trimester"}
    if contradicted:
        assert problems(ParticipantFields, values) == {"pregnancy": "contradiction"}
    else:
        assert ParticipantFields.from_dict(values).pregnancy == "second trimester"
    assert ParticipantFields.from_dict({**values, "pregnancy": "no"}).pregnancy == "no"


def test_a_partial_change_holds_what_was_given() -> None:
    change = ParticipantFields.from_dict({"sex": None, "note": "x"}, partial=True)
    assert change.changes() == {"sex": None, "note": "x"}
    assert ParticipantFields.from_dict({}, partial=True).changes() == {}
    assert problems(ParticipantFields, {"code": None}, partial=True) == {"code": "required"}
    assert problems(SessionFields, {"name": " "}, partial=True) == {"name": "required"}


@pytest.mark.parametrize(
    ("day", "code"),
    [
        ("1899-12-31", "range"), ("2025-02-29", "not_a_date"), ("20250331", "not_a_date"),
        ("2025-W01-1", "not_a_date"), ("31.03.2025", "not_a_date"), ("2025-3-1", "not_a_date"),
        ("２０２５-03-01", "not_a_date"), (20250331, "not_a_date"),
        ("2025-03-31T00:00", "not_a_date"),
        ("0000-01-01", "not_a_date"), ("9999-12-31", "future"),
    ],
)  # fmt: skip
def test_days_that_are_refused(day: object, code: str) -> None:
    assert problems(SessionFields, {"name": "1", "date": day}) == {"date": code}
    assert problems(HemoglobinFields, {**HB, "measured_on": day}) == {"measured_on": code}


def test_days_that_are_taken() -> None:
    today = datetime.now(UTC).date().isoformat()
    for day in ("1900-01-01", "2024-02-29", today):
        assert SessionFields.from_dict({"name": "1", "date": day}).date == day
    later = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()
    assert problems(SessionFields, {"name": "1", "date": later}) == {"date": "future"}


@pytest.mark.parametrize(
    "text",
    [
        *("=1+1", "+1", "-1", "@x", "＝1", "a\nb", "a\tb", "x" * 201),
        # Where ";" separates cells, what follows it begins one.
        *("x;=cmd|' /C calc'!A1", "x; =1", "x;-1", "x;@y", "x;＝1", 'x;"=1', "x\t=1", '"=1'),
    ],
)
def test_lines_that_a_spreadsheet_would_run_are_refused(text: str) -> None:
    code = "too_long" if len(text) > 200 else "characters"
    assert problems(SessionFields, {"name": "1", "site": text}) == {"site": code}
    assert problems(ClipFields, {"camera": text}) == {"camera": code}


def test_lines_that_only_hold_such_signs_are_taken() -> None:
    for text in ("Pixel 7; front", "phone A - 1080p", "ward 3 (a=b); bed 2", "x@y"):
        assert ClipFields.from_dict({"camera": text}).camera == text


@pytest.mark.parametrize(
    ("value", "unit", "g_dl"),
    [
        (3, "g/dL", 3.0), ("25", "g/dL", 25.0), ("13,1", "g/dL", 13.1), (30, "g/L", 3.0),
        (250, "g/L", 25.0), ("131", "g/L", 13.1), (8.4, "mmol/L", 8.4 / 0.6206),
        (12.4, "mmol/L", 12.4 / 0.6206), (20.6, "g/dL", 20.6), (206, "g/L", 20.6),
    ],
)  # fmt: skip
def test_blood_values(value: object, unit: str, g_dl: float) -> None:
    fields = HemoglobinFields.from_dict({**HB, "value": value, "unit": unit})
    assert fields.hemoglobin_g_dl == g_dl and fields.unit == unit


@pytest.mark.parametrize(
    ("value", "unit", "looks_like"),
    [
        (2.99, "g/dL", "mmol/L"), (25.1, "g/dL", ""), (131, "g/dL", "g/L"), (13.1, "g/L", "g/dL"),
        (131, "mmol/L", "g/L"), (8.1, "g/L", "mmol/L"), (0, "g/dL", ""), (-13, "g/dL", ""),
        (15.6, "mmol/L", "g/dL"), (1.8, "mmol/L", ""),
        (1e300, "g/L", ""),
    ],
)  # fmt: skip
def test_blood_values_in_another_unit(value: float, unit: str, looks_like: str) -> None:
    with pytest.raises(InvalidFieldsError) as caught:
        HemoglobinFields.from_dict({**HB, "value": value, "unit": unit})
    problem = caught.value.problems["value"]
    assert problem.code == "range" and problem.values["looks_like"] == looks_like
    assert problem.values["unit"] == unit and (not looks_like or looks_like in problem.text)


@pytest.mark.parametrize("value", [12.42, 12.8, "13,5", 15.5])
def test_what_hardly_anybody_has_in_mmol_l_is_entered_in_g_dl(value: object) -> None:
    with pytest.raises(InvalidFieldsError) as caught:
        HemoglobinFields.from_dict({**HB, "value": value, "unit": "mmol/L"})
    problem = caught.value.problems["value"]
    assert problem.code == "check_unit"
    assert dict(problem.values) == {
        "high": 12.41, "unit": "mmol/L", "g_dl": 20.0, "looks_like": "g/dL",
    }  # fmt: skip
    assert "check the unit" in problem.text and "truly so high in g/dL" in problem.text
    # No range says otherwise.
    with pytest.raises(InvalidFieldsError) as caught:
        HemoglobinFields.from_dict({**HB, "value": 131, "unit": "mmol/L"})
    assert caught.value.problems["value"].values["high"] == 12.41


def test_a_blood_value_needs_its_unit_and_method() -> None:
    assert problems(HemoglobinFields, {}) == {
        "value": "required", "unit": "required", "method": "required",
    }  # fmt: skip
    assert problems(HemoglobinFields, {**HB, "unit": "g/dl", "method": "CBC"}) == {
        "unit": "unknown_choice", "method": "unknown_choice",
    }  # fmt: skip


@pytest.mark.parametrize("word", [True, "yes", "on", "true", "TRUE", "1"])
def test_a_consent(word: object) -> None:
    found = consent({"version": "a", "takes_part": word, "keeps_video": word})
    assert found == ConsentFields("a", "en", True)


def test_a_consent_is_to_a_text_that_there_is() -> None:
    agrees = {"takes_part": True}
    for version in ("VERSION", "x", "A", "a1"):
        for more in ({}, {"language": "en"}):
            assert problems(ConsentFields, {**agrees, **more, "version": version}) == {
                "version": "unknown_version"
            }
    with pytest.raises(InvalidFieldsError, match="GET /v1/study/consent"):
        consent({**agrees, "version": "x"})
    # What else is wrong is told at once.
    assert problems(ConsentFields, {"version": "x"}) == {
        "version": "unknown_version", "takes_part": "agree",
    }  # fmt: skip
    for language in ("tr", "EN", "und", 1, ["en"]):
        assert problems(ConsentFields, {**agrees, "version": "a", "language": language}) == {
            "language": "unknown_choice"
        }
    # The same words in two languages.
    assert problems(ConsentFields, {**agrees, "version": "b"}) == {"language": "required"}
    assert consent({**agrees, "version": "b", "language": "en-GB"}).language == "en-GB"


def test_nobody_takes_part_without_saying_so() -> None:
    for word in (None, "", False, "no", "off"):
        assert problems(ConsentFields, {"version": "a", "takes_part": word}) == {
            "takes_part": "agree"
        }
    odd = {"takes_part": "maybe", "keeps_video": 1, "language": "../x"}
    wrong = {"takes_part": "unknown_choice", "keeps_video": "unknown_choice"}
    assert problems(ConsentFields, odd) == {"version": "required", **wrong}
    assert problems(ConsentFields, {"version": "a", **odd}) == {
        "language": "unknown_choice", **wrong,
    }  # fmt: skip


# Anything that a form or a JSON body can hold, and what neither should.
ODD = st.sampled_from([
    "", " ", "\x00", "\udcff", "\ud800", "..", "../..", "CON", "=1", "nan", "inf", "-0", "1,5",
    "1,500", "9" * 50_000, "x" * 50_000, "１", "2025-02-30", "2025-01-01", "٣", "\u202e", "yes",
    "no",
])  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | ODD | st.just(10**400),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=3,
)
NAMES = st.sampled_from([
    "code", "sex", "age_years", "pregnancy", "altitude_m", "smoking", "note", "name", "date",
    "site", "value", "unit", "method", "measured_on", "version", "language", "keeps_video",
    "takes_part", "camera", "simulated", "other",
])  # fmt: skip
USUAL = st.fixed_dictionaries(
    {
        "code": st.just("a"),
        "name": st.just("a"),
        "version": st.just("a"),
        "takes_part": st.just("on"),
        "value": st.sampled_from(["13", 130, 8.1]),
        "unit": st.sampled_from(HEMOGLOBIN_UNITS),
        "method": st.sampled_from(HEMOGLOBIN_METHODS),
    }
)


@given(
    st.sampled_from(
        [ParticipantFields, SessionFields, HemoglobinFields, ConsentFields, ClipFields]
    ),
    USUAL,
    st.dictionaries(NAMES, JSON),
)
def test_nothing_that_is_entered_is_a_traceback(
    kind: Any, usual: dict[str, Any], odd: dict[str, Any]
) -> None:
    try:
        values = {**usual, **odd}
        fields = consent(values) if kind is ConsentFields else kind.from_dict(values)
    except InvalidFieldsError as error:
        assert error.problems and {p.code for p in error.problems.values()} <= KNOWN_CODES
        # What is wrong is said without repeating it.
        assert len(error.text) < 3000 and error.text.isprintable()
        return
    for name, value in vars(fields).items():
        if isinstance(value, str):
            value.encode("utf-8")
            assert "\x00" not in value and len(value) <= 1000
            assert name == "note" or not value or value[0] not in "=+-@"
        elif isinstance(value, float):
            assert math.isfinite(value)
    if isinstance(fields, ParticipantFields | SessionFields):
        assert is_code(
            fields.changes()["code" if isinstance(fields, ParticipantFields) else "name"]
        )
