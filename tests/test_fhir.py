from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.observation import Observation
from hypothesis import given, settings
from hypothesis import strategies as st

from pallor.anemia import Person, Unknown, anemia_threshold_g_dl, classify
from pallor.errors import UsageError
from pallor.service.disclaimers import RESEARCH_ONLY, SIMULATED
from pallor.service.fhir import FHIR_JSON, FhirOptions, bundle, observation
from pallor.service.fhir_codes import LOCAL_CODES, MODEL_HASHES

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
WOMAN = Person(sex="female", age_years=30, pregnancy="no", altitude_m=0, smoking="no")
UNITS = "http://unitsofmeasure.org"
LOINC = "http://loinc.org"


def result(**changes: Any) -> dict[str, Any]:
    return {
        "clip": "/srv/uploads/Jane Doe.mp4",
        "usable": True,
        "reasons": [],
        "warnings": [],
        "hemoglobin_g_dl": 12.34,
        "interval_low_g_dl": 10.81,
        "interval_high_g_dl": 13.87,
        "coverage": 0.9,
        "model": "0123456789abcdef",
        "simulated": False,
        "input_kind": "face_video",
        "duration_s": 30.02,
        "face_coverage": 0.987,
        "heart_rate_bpm": 71.234,
        "snr_db": 4.5,
        **changes,
    }


def refused(*codes: str) -> dict[str, Any]:
    name = "/srv/uploads/Jane Doe.mp4"
    reasons = [{"code": code, "text": f"{name}: what {code} means."} for code in codes]
    return result(
        usable=False,
        reasons=reasons,
        hemoglobin_g_dl=None,
        interval_low_g_dl=None,
        interval_high_g_dl=None,
        coverage=None,
    )


def made(of: dict[str, Any], **options: Any) -> dict[str, Any]:
    """The resource, which R4B accepts, and which JSON holds without loss."""
    resource = observation(of, issued=NOW, **options)
    text = json.dumps(resource, allow_nan=False)
    Observation.model_validate_json(text)
    assert json.loads(text) == resource
    return resource


def component(resource: dict[str, Any], code: str) -> dict[str, Any] | None:
    found = [part for part in resource["component"] if part["code"]["coding"][0]["code"] == code]
    assert len(found) <= 1
    return found[0] if found else None


def systems(resource: dict[str, Any], system: str) -> list[str]:
    """Every code of a system, wherever it stands."""
    if isinstance(resource, dict):
        own = [resource["code"]] if resource.get("system") == system and "code" in resource else []
        return own + [code for part in resource.values() for code in systems(part, system)]
    if isinstance(resource, list):
        return [code for part in resource for code in systems(part, system)]
    return []


# --- an estimate does not pose as a laboratory value -----------------------------------------


def test_status_category_and_code_are_not_those_of_a_laboratory():
    resource = made(result())
    assert resource["status"] == "preliminary"
    categories = [c["code"] for part in resource["category"] for c in part["coding"]]
    assert categories == ["procedure"]
    (coding,) = resource["code"]["coding"]
    assert coding["system"] == LOCAL_CODES
    assert coding["code"] == "estimated-hemoglobin-facial-video"
    assert "facial video" in resource["method"]["text"]
    assert "specimen" not in resource
    assert "laboratory" not in systems(resource, categories[0])


@pytest.mark.parametrize("code", ["718-7", "55782-7", "76768-1", "20509-6", "30313-1", "59260-0"])
def test_no_code_of_a_blood_count_stands_anywhere(code):
    assert code not in json.dumps(made(result(), person=WOMAN))


def test_nothing_but_the_asked_for_translation_is_from_loinc():
    assert systems(made(result(), person=WOMAN), LOINC) == []
    resource = made(result(), options=FhirOptions(laboratory_translation=True))
    assert systems(resource, LOINC) == ["718-7"]
    own, translation = resource["code"]["coding"]
    assert (own["system"], own["userSelected"]) == (LOCAL_CODES, True)
    assert (translation["code"], translation["userSelected"]) == ("718-7", False)
    assert resource["status"] == "preliminary"


def test_the_notes_say_what_it_is_worth_and_so_does_the_narrative():
    resource = made(result())
    assert resource["note"][0]["text"] == RESEARCH_ONLY
    assert "Research use only" in resource["text"]["div"]
    assert "not a laboratory value" in resource["text"]["div"]
    assert SIMULATED not in [note["text"] for note in resource["note"]]


def test_the_device_names_the_software_and_the_hash_of_the_model():
    from pallor._version import __version__

    resource = made(result(model_card={"name": "stacking of 2026"}))
    (device,) = resource["contained"]
    assert resource["device"] == {"reference": f"#{device['id']}"}
    versions = {v["type"]["coding"][0]["code"]: v["value"] for v in device["version"]}
    assert versions == {"software-version": __version__, "model-sha256-16": "0123456789abcdef"}
    assert device["identifier"] == [{"system": MODEL_HASHES, "value": "0123456789abcdef"}]
    assert "stacking of 2026" in [name["name"] for name in device["deviceName"]]


def test_a_still_is_not_called_a_facial_video():
    text = json.dumps(made(result(input_kind="region_still")))
    assert "facial-video" not in text
    assert "estimated-hemoglobin-still" in text


# --- simulated -------------------------------------------------------------------------------


def test_what_is_simulated_is_labelled_as_test_data_in_every_place():
    resource = made(result(simulated=True))
    assert [label["code"] for label in resource["meta"]["security"]] == ["HTEST"]
    assert "simulated" in [tag["code"] for tag in resource["meta"]["tag"]]
    assert resource["note"][0]["text"] == SIMULATED
    assert "SIMULATED" in resource["text"]["div"]


def test_what_is_not_simulated_bears_no_label_of_test_data():
    resource = made(result())
    assert "security" not in resource["meta"]
    assert "SIMULATED" not in json.dumps(resource)


# --- numbers ---------------------------------------------------------------------------------


def test_value_and_interval_are_in_g_dl_of_ucum_to_a_tenth():
    resource = made(result())
    assert resource["valueQuantity"] == {
        "value": 12.3, "unit": "g/dL", "system": UNITS, "code": "g/dL"
    }  # fmt: skip
    assert component(resource, "interval-low")["valueQuantity"]["value"] == 10.8
    assert component(resource, "interval-high")["valueQuantity"]["value"] == 13.9
    assert component(resource, "interval-coverage")["valueQuantity"] == {
        "value": 90.0, "unit": "%", "system": UNITS, "code": "%"
    }  # fmt: skip
    assert "90 %" in component(resource, "interval-low")["code"]["text"]
    assert component(resource, "abstained")["valueBoolean"] is False
    assert component(resource, "heart-rate")["valueQuantity"]["code"] == "/min"
    assert component(resource, "face-coverage")["valueQuantity"]["value"] == 98.7
    assert "dataAbsentReason" not in resource


@pytest.mark.parametrize(
    ("value", "shown", "group"),
    [
        (11.94, 11.9, "mild anemia"),
        (11.96, 11.96, "mild anemia"),
        (11.9999, 11.99, "mild anemia"),
        (12.0, 12.0, "no anemia"),
        (12.04, 12.0, "no anemia"),
        (10.97, 10.97, "moderate anemia"),
        (7.951, 7.95, "severe anemia"),
        (12.96, 13.0, "no anemia"),
    ],
)
def test_the_value_lies_in_the_range_of_its_group_and_in_no_other(value, shown, group):
    resource = made(result(hemoglobin_g_dl=value), person=WOMAN)
    assert resource["valueQuantity"]["value"] == shown
    assert f"laboratory value): {shown} g/dL" in resource["text"]["div"]
    words = str(classify(value, WOMAN))
    assert group == ("no anemia" if words == "none" else f"{words} anemia")
    holding = [
        name for name, low, high in ranges(resource)
        if (low is None or shown >= low) and (high is None or shown <= high)
    ]  # fmt: skip
    assert holding == [group]


def test_a_value_without_a_group_is_shown_to_a_tenth():
    assert made(result(hemoglobin_g_dl=11.96))["valueQuantity"]["value"] == 12.0


def test_an_interval_is_rounded_outward():
    resource = made(result(interval_low_g_dl=11.99, interval_high_g_dl=13.01))
    assert component(resource, "interval-low")["valueQuantity"]["value"] == 11.9
    assert component(resource, "interval-high")["valueQuantity"]["value"] == 13.1
    resource = made(result(interval_low_g_dl=1.1, interval_high_g_dl=12.3, hemoglobin_g_dl=8.2))
    assert component(resource, "interval-low")["valueQuantity"]["value"] == 1.1
    assert component(resource, "interval-high")["valueQuantity"]["value"] == 12.3


def test_a_refused_clip_gets_a_reason_and_no_number():
    resource = made(refused("no_pulse", "too_short"), person=WOMAN)
    assert "valueQuantity" not in resource
    assert "interpretation" not in resource
    standard, *own = resource["dataAbsentReason"]["coding"]
    assert standard["code"] == "error"
    assert [c["code"] for c in own] == ["no-pulse", "too-short"]
    assert component(resource, "abstained")["valueBoolean"] is True
    for end in ("low", "high"):
        part = component(resource, f"interval-{end}")
        assert "valueQuantity" not in part
        assert part["dataAbsentReason"]["coding"][0]["code"] == "not-applicable"
    quality = component(resource, "quality")["valueCodeableConcept"]
    assert quality["coding"][0]["code"] == "not-usable"
    assert any("what no_pulse means" in note["text"] for note in resource["note"])
    assert resource["note"][0]["text"] == RESEARCH_ONLY


def test_a_person_outside_the_model_is_unsupported_and_not_an_error():
    absent = made(refused("outside_model"))["dataAbsentReason"]
    assert absent["coding"][0]["code"] == "unsupported"


@pytest.mark.parametrize(
    ("quality", "heart_rate_bpm", "said"),
    [
        ({"usable": True}, 71.2, "usable"),
        ({"usable": False}, None, "not-usable"),
        # pallor predict tells no quality of its own.
        (None, 71.2, "usable"),
        (None, None, None),
    ],
)
def test_a_good_clip_of_a_person_outside_the_model_is_not_to_blame(quality, heart_rate_bpm, said):
    of = refused("outside_model") | {"quality": quality, "heart_rate_bpm": heart_rate_bpm}
    resource = made(of)
    part = component(resource, "quality")
    if said is None:
        assert part["dataAbsentReason"]["coding"][0]["code"] == "unknown"
    else:
        assert part["valueCodeableConcept"]["coding"][0]["code"] == said
    assert component(resource, "abstained")["valueBoolean"] is True
    texts = [note["text"] for note in resource["note"]]
    assert "No estimate: what outside_model means." in texts
    assert "Not usable" not in resource["text"]["div"]


def test_a_clip_that_gave_an_estimate_without_a_pulse_was_usable():
    # A model of still images asks for no pulse.
    of = result(quality={"usable": False}, input_kind="region_still", heart_rate_bpm=None)
    part = component(made(of), "quality")
    assert part["valueCodeableConcept"]["coding"][0]["code"] == "usable"


@pytest.mark.parametrize(
    "value", [None, math.nan, math.inf, -math.inf, True, "12.3", 0.0, -1.0, 123.0, 1e300]
)
def test_a_value_that_is_no_number_is_absent(value):
    resource = made(result(hemoglobin_g_dl=value), person=WOMAN)
    assert "valueQuantity" not in resource
    assert "interpretation" not in resource
    assert resource["dataAbsentReason"]["coding"][0]["code"] == "error"
    assert component(resource, "interval-low").get("valueQuantity") is None


def test_a_number_that_came_with_a_refusal_is_not_passed_on():
    assert "valueQuantity" not in made(result(usable=False))


@pytest.mark.parametrize("low", [None, math.nan, 20.0])
def test_an_interval_that_is_none_leaves_the_value_alone(low):
    resource = made(result(interval_low_g_dl=low), person=WOMAN)
    assert resource["valueQuantity"]["value"] == 12.3
    assert "interpretation" not in resource
    assert component(resource, "interval-low").get("valueQuantity") is None
    assert component(resource, "interval-coverage") is None


# --- WHO groups ------------------------------------------------------------------------------


def ranges(resource: dict[str, Any]) -> list[tuple[str, float | None, float | None]]:
    return [
        (
            entry["type"]["text"],
            entry.get("low", {}).get("value"),
            entry.get("high", {}).get("value"),
        )
        for entry in resource["referenceRange"]
    ]


def test_reference_ranges_are_those_of_the_guideline_without_a_gap_between_what_is_shown():
    assert ranges(made(result(), person=WOMAN)) == [
        ("no anemia", 12.0, None),
        ("mild anemia", 11.0, 11.99),
        ("moderate anemia", 8.0, 10.99),
        ("severe anemia", None, 7.99),
    ]
    child = Person(age_years=1.0, altitude_m=0)
    assert ranges(made(result(), person=child))[0] == ("no anemia", 10.5, None)


def test_altitude_and_smoking_move_every_limit():
    person = Person("male", 40, altitude_m=2200, smoking="12/day")
    assert ranges(made(result(), person=person)) == [
        ("no anemia", 14.9, None),
        ("mild anemia", 12.9, 14.89),
        ("moderate anemia", 9.9, 12.89),
        ("severe anemia", None, 9.89),
    ]


def test_what_is_taken_for_granted_is_said():
    resource = made(result(), person=Person("female", 30))
    text = resource["referenceRange"][0]["text"]
    assert "taken as not pregnant" in text
    assert "taken as no smoker" in text
    assert "taken as" not in made(result(), person=WOMAN)["referenceRange"][0]["text"]


@pytest.mark.parametrize(
    "person", [None, Person("female"), Person("female", 30, "yes"), Person("male", 30, "yes")]
)
def test_without_a_group_there_is_no_range_and_no_interpretation_but_a_note(person):
    resource = made(result(hemoglobin_g_dl=6, interval_low_g_dl=5, interval_high_g_dl=7),
                    person=person)  # fmt: skip
    assert "referenceRange" not in resource
    assert "interpretation" not in resource
    assert any("No WHO reference range" in note["text"] for note in resource["note"])


@pytest.mark.parametrize(
    ("low", "high", "flag"),
    [(9.0, 11.9, "L"), (9.0, 11.8001, "L"), (9.0, 11.95, None), (9.0, 12.0, None),
     (11.99, 14.0, None), (12.0, 14.0, "N"), (12.01, 14.0, "N"), (10.0, 14.0, None)],
)  # fmt: skip
def test_the_flag_stands_only_where_the_interval_lies_wholly_on_one_side(low, high, flag):
    of = result(interval_low_g_dl=low, interval_high_g_dl=high, hemoglobin_g_dl=(low + high) / 2)
    found = made(of, person=WOMAN).get("interpretation")
    assert (found[0]["coding"][0]["code"] if found else None) == flag


@pytest.mark.parametrize(
    ("coverage", "flag"),
    [(0.9, "N"), (0.8, "N"), (0.79, None), (0.5, None), (1e-9, None), (None, None)],
)
def test_a_coverage_that_makes_any_interval_short_bears_no_flag(coverage, flag):
    of = result(interval_low_g_dl=12.2, interval_high_g_dl=12.4, coverage=coverage)
    found = made(of, person=WOMAN).get("interpretation")
    assert (found[0]["coding"][0]["code"] if found else None) == flag


# --- persons, times, files -------------------------------------------------------------------


@pytest.mark.parametrize("subject", ["Patient/12", "https://x.example/Patient/1", "urn:uuid:1-2"])
def test_a_reference_to_a_subject_stays_one(subject):
    assert made(result(), subject=subject)["subject"] == {"reference": subject}


@pytest.mark.parametrize("subject", ["P-017", "a b", "Patient/../1", "<script>"])
def test_any_other_subject_is_an_identifier(subject):
    assert made(result(), subject=subject)["subject"] == {"identifier": {"value": subject}}
    assert "subject" not in made(result())


def test_an_empty_subject_is_refused():
    with pytest.raises(UsageError, match="empty"):
        observation(result(), issued=NOW, subject=" \n")


def test_times_have_a_zone():
    there = datetime(2026, 3, 4, 8, 0, tzinfo=timezone(timedelta(hours=3)))
    resource = made(result(), effective=there)
    assert resource["issued"] == "2026-03-04T05:06:07+00:00"
    assert resource["effectiveDateTime"] == "2026-03-04T08:00:00+03:00"
    with pytest.raises(UsageError, match="time zone"):
        observation(result(), issued=datetime(2026, 3, 4))
    with pytest.raises(UsageError, match="time zone"):
        observation(result(), issued=NOW, effective=datetime(2026, 3, 4))


def test_neither_path_nor_name_of_the_file_is_passed_on():
    warnings = [{"code": "truncated", "text": "/srv/uploads/Jane Doe.mp4: the clip ends early."}]
    for of in (result(warnings=warnings), refused("no_face")):
        text = json.dumps(made(of))
        assert "Jane" not in text
        assert "/srv" not in text
    assert "Warning: the clip ends early." in json.dumps(made(result(warnings=warnings)))


def test_a_name_with_marks_of_html_does_not_reach_the_narrative():
    of = result(clip="x", warnings=[{"code": "w", "text": "<script>alert(1)</script> & more\x0b"}])
    div = made(of)["text"]["div"]
    assert "<script>" not in div
    assert "&lt;script&gt;" in div
    assert "\x0b" not in div


def test_no_pixels_and_no_origin_unless_a_reference_is_given():
    resource = made(result(pulse_wave={"time_s": [0.0], "pulse": [1.0]}))
    assert "derivedFrom" not in resource
    assert "pulse_wave" not in json.dumps(resource)
    resource = made(result(), derived_from="DocumentReference/7")
    assert resource["derivedFrom"] == [{"reference": "DocumentReference/7"}]
    with pytest.raises(UsageError, match="reference"):
        observation(result(), issued=NOW, derived_from="/srv/uploads/x.mp4")


# --- bundles ---------------------------------------------------------------------------------


def test_a_bundle_holds_each_resource_under_an_address_of_its_own():
    one, other = made(result()), made(result(simulated=True))
    whole = bundle([one, other, one])
    Bundle.model_validate_json(json.dumps(whole))
    assert whole["type"] == "collection"
    assert [entry["resource"] for entry in whole["entry"]] == [one, other]
    assert len({entry["fullUrl"] for entry in whole["entry"]}) == 2
    assert whole["meta"]["security"][0]["code"] == "HTEST"
    assert bundle([one, other]) == whole
    Bundle.model_validate_json(json.dumps(bundle([])))
    assert "meta" not in bundle([one])


def test_the_media_type_is_that_of_fhir_json():
    assert FHIR_JSON == "application/fhir+json"


# --- whatever the result ---------------------------------------------------------------------

numbers = st.none() | st.floats(allow_nan=True, allow_infinity=True) | st.floats(3, 22)
words = st.text(max_size=40)
said = st.lists(st.fixed_dictionaries({"code": words, "text": words}), max_size=3)
results = st.fixed_dictionaries(
    {
        "clip": words,
        "usable": st.booleans(),
        "reasons": said,
        "warnings": said,
        "hemoglobin_g_dl": numbers,
        "interval_low_g_dl": numbers,
        "interval_high_g_dl": numbers,
        "coverage": st.none() | st.floats(0.5, 0.99),
        "model": words,
        "simulated": st.booleans(),
        "input_kind": st.sampled_from([None, "face_video", "face_still", "region_still"]),
    },
    optional={
        "heart_rate_bpm": numbers,
        "snr_db": numbers,
        "face_coverage": st.none() | st.floats(0, 1),
        "duration_s": numbers,
        "model_card": st.none() | st.fixed_dictionaries({"name": words}),
    },
)
persons = st.builds(
    Person,
    sex=st.sampled_from([None, "female", "male", "other"]),
    age_years=st.none() | st.floats(0, 110),
    pregnancy=st.sampled_from([None, "no", "yes", "t2", "?"]),
    altitude_m=st.none() | st.floats(-600, 6000),
    smoking=st.sampled_from([None, "no", "yes", "12/day", "lots"]),
)


@settings(max_examples=300, deadline=None)
@given(results, persons, st.booleans(), st.none() | st.from_regex(r"\A[ -~]*[!-~].*\Z"))
def test_whatever_the_result_the_resource_is_valid_and_honest(of, person, translation, subject):
    resource = made(
        of, person=person, subject=subject, options=FhirOptions(laboratory_translation=translation)
    )
    assert resource["status"] == "preliminary"
    assert ("valueQuantity" in resource) is not ("dataAbsentReason" in resource)
    assert ("valueQuantity" in resource) <= of["usable"]
    assert RESEARCH_ONLY in [note["text"] for note in resource["note"]]
    assert ("security" in resource["meta"]) is of["simulated"]
    assert (systems(resource, LOINC) == ["718-7"]) is translation
    threshold = anemia_threshold_g_dl(person)
    if "interpretation" in resource:
        assert not isinstance(threshold, Unknown)
        low, high = of["interval_low_g_dl"], of["interval_high_g_dl"]
        flag = resource["interpretation"][0]["coding"][0]["code"]
        assert flag == ("L" if high < threshold else "N")
        assert flag == "L" or low >= threshold - 1e-9
        assert of["coverage"] >= 0.8
    if "valueQuantity" in resource and "referenceRange" in resource:
        value, severity = of["hemoglobin_g_dl"], str(classify(of["hemoglobin_g_dl"], person))
        shown_value = resource["valueQuantity"]["value"]
        assert abs(shown_value - value) <= 0.05 + 1e-9
        (holding,) = [
            entry["type"]["coding"][-1]["code"] for entry in resource["referenceRange"]
            if entry.get("low", {}).get("value", 0.0) <= shown_value
            and shown_value <= entry.get("high", {}).get("value", math.inf)
        ]  # fmt: skip
        assert holding == f"who-2024-{severity}"
    interval = component(resource, "interval-low").get("valueQuantity")
    if interval is not None:
        shown = (interval["value"], component(resource, "interval-high")["valueQuantity"]["value"])
        assert shown[0] <= of["interval_low_g_dl"] <= of["interval_high_g_dl"] <= shown[1]
