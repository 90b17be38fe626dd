"""What a user may say beside the clip."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pallor.anemia.person import Person
from pallor.cohort.table_columns import RANGES
from pallor.errors import UsageError
from pallor.models import bundle
from pallor.service.api.options import FIELDS
from pallor.service.jobs.anemia_group import anemia_of
from pallor.service.jobs.options import EstimateOptions
from pallor.service.jobs.orders import WorkerOrders
from pallor.service.model_cards import read_cards
from pallor.service.refusals import InvalidFieldsError
from pallor.service.settings import ServiceSettings
from pallor.service.study.fields import ParticipantFields


def test_a_form_gives_text() -> None:
    options = EstimateOptions.from_dict(
        {"sex": "female", "age_years": "31.5", "altitude_m": "", "pregnancy": "second trimester"}
    )
    assert options == EstimateOptions(sex="female", age_years=31.5, pregnancy="second trimester")
    assert EstimateOptions.from_dict(options.as_dict()) == options


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"sex": "f"}, "sex"),
        ({"age_years": "-1"}, "age_years"),
        ({"age_years": "nan"}, "age_years"),
        ({"age_years": 10**400}, "age_years"),
        ({"age_years": True}, "age_years"),
        ({"age_years": "9" * 100_000}, "age_years"),
        ({"altitude_m": math.inf}, "altitude_m"),
        ({"coverage": 1}, "coverage"),
        ({"coverage": 0}, "coverage"),
        ({"coverage": "1e-9"}, "coverage"),
        ({"coverage": 0.49}, "coverage"),
        ({"coverage": "nan"}, "coverage"),
        ({"age_years": "1_0"}, "age_years"),
        ({"age_years": "\u0663\u0661"}, "age_years"),
        ({"age_years": "121"}, "age_years"),
        ({"altitude_m": 6001}, "altitude_m"),
        ({"model": "a\x00b"}, "model"),
        ({"model": ["a"]}, "model"),
        ({"pregnancy": "perhaps"}, "pregnancy"),
        ({"smoking": "like a chimney"}, "smoking"),
        ({"sexe": "female"}, "sexe"),
    ],
)
def test_what_makes_no_sense_is_named(values: dict[str, object], named: str) -> None:
    with pytest.raises(InvalidFieldsError) as caught:
        EstimateOptions.from_dict(values)
    assert named in caught.value.text and len(caught.value.text) < 300
    assert list(caught.value.problems) == [named]


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(InvalidFieldsError) as caught:
        EstimateOptions.from_dict({"sex": "f", "age_years": 300, "coverage": 0.2, "sexe": "m"})
    codes = {name: problem.code for name, problem in caught.value.problems.items()}
    assert codes == {
        "sex": "unknown_choice", "age_years": "range", "coverage": "range", "sexe": "unknown_field",
    }  # fmt: skip


def test_numbers_of_a_person_are_read_as_a_study_reads_them() -> None:
    said = {"age_years": "31,5", "altitude_m": "-500"}
    options = EstimateOptions.from_dict(said)
    study = ParticipantFields.from_dict({"code": "P-1", **said})
    assert (options.age_years, options.altitude_m) == (study.age_years, study.altitude_m)
    assert EstimateOptions.from_dict({"coverage": 0.5}).coverage == 0.5
    for name in ("age_years", "altitude_m"):
        described = FIELDS[name]["minimum"], FIELDS[name]["maximum"]
        assert described == (RANGES[name].low, RANGES[name].high)


_ANY = st.one_of(
    st.none(), st.text(), st.floats(), st.integers(), st.booleans(), st.lists(st.integers())
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from([*EstimateOptions.__dataclass_fields__, "x"]), _ANY))
def test_whatever_comes_is_taken_or_refused(values: dict[str, object]) -> None:
    try:
        options = EstimateOptions.from_dict(values)
    except InvalidFieldsError:
        return
    assert EstimateOptions.from_dict(json.loads(json.dumps(options.as_dict()))) == options


def test_an_open_trimester() -> None:
    pregnant = Person("female", 30, "yes")
    clear = anemia_of(pregnant, 12.5, 9.9, None, 0.9)
    assert clear["severity"] == "none" and clear["group"] is None
    assert clear["unknown"]["code"] == "trimester_unknown" and clear["limits_g_dl"] is None


def test_limits_include_altitude_and_smoking() -> None:
    found = anemia_of(Person("male", 40, None, 2600, "yes"), 13.0, 10.0, 16.0, 0.9)
    # 18 g/L for 2500 to 2999 m, 3 g/L for a smoker.
    assert found["adjustment_g_dl"] == pytest.approx(2.1)
    assert found["limits_g_dl"]["mild_below"] == pytest.approx(15.1)
    severities = [found[k] for k in ("severity", "severity_at_low", "severity_at_high")]
    assert severities == ["moderate", "severe", "none"]
    beyond = anemia_of(Person("male", 40, None, 6000.0), 13.0, None, None, None)
    assert beyond["unknown"]["code"] == "altitude_outside_table" and beyond["severity"] is None


def test_the_ends_of_an_interval_of_little_coverage_are_in_no_group() -> None:
    man = Person("male", 40)
    for coverage, end in ((0.8, "none"), (0.79, None), (None, None)):
        found = anemia_of(man, 14.0, 13.9, 14.1, coverage)
        assert (found["severity_at_low"], found["severity_at_high"]) == (end, end)
        assert found["severity"] == "none"
        unknown = found["unknown"]
        assert (unknown and unknown["code"]) == (None if end else "coverage_too_low")
    # No interval: a warning of the prediction says why.
    assert anemia_of(man, 14.0, None, None, 0.5)["unknown"] is None


def test_orders_survive_the_pipe() -> None:
    service = ServiceSettings(
        Path("d"), "postgresql://u:p@h/n", (Path("a"), Path("b")), face_model=Path("f")
    )
    for given_settings in (service, ServiceSettings(Path("d"))):
        orders = WorkerOrders("id", "m:f", replace(given_settings, workers=3))
        line = orders.to_json()
        assert "\n" not in line and WorkerOrders.from_json(line) == orders


def test_two_models_with_one_name_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "read_metadata", lambda path: {"id": path.parent.name})
    one, other = tmp_path / "1" / "face.pallor", tmp_path / "2" / "face.pallor"
    with pytest.raises(UsageError, match=f"{other}: another model is named 'face'"):
        read_cards([one, other])
    with pytest.raises(UsageError, match="given twice"):
        read_cards([one, one])
    assert read_cards([one, other.with_name("new.pallor")]).find("new") == "2"
