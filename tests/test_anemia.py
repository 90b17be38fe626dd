from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pallor.anemia import (
    ALTITUDE_ADJUSTMENTS_G_L,
    GROUPS,
    Person,
    Severity,
    Unknown,
    adjustment_g_l,
    adjustment_strata,
    anemia_threshold_g_dl,
    assumptions,
    below,
    classify,
    group_of,
    thresholds_of_table,
)
from pallor.anemia.person import smoking_adjustment_g_l, trimesters_of
from pallor.cohort.table import cohort_from_frame

# One person a group, and the guideline's table as printed, in whole g/L: no anemia from,
# mild, moderate, severe below.
PRINTED = {
    "children_6_23_months": (Person(age_years=1.0), 105, (95, 104), (70, 94), 70),
    "children_24_59_months": (Person(age_years=3.0), 110, (100, 109), (70, 99), 70),
    "children_5_11_years": (Person(age_years=8), 115, (110, 114), (80, 109), 80),
    "children_12_14_years": (Person(age_years=13), 120, (110, 119), (80, 109), 80),
    "women": (Person("female", 30), 120, (110, 119), (80, 109), 80),
    "men": (Person("male", 30), 130, (110, 129), (80, 109), 80),
    "pregnancy_first_trimester": (
        Person("female", 30, "first trimester"), 110, (100, 109), (70, 99), 70,
    ),
    "pregnancy_second_trimester": (
        Person("female", 30, "second trimester"), 105, (95, 104), (70, 94), 70,
    ),
    "pregnancy_third_trimester": (
        Person("female", 30, "third trimester"), 110, (100, 109), (70, 99), 70,
    ),
}  # fmt: skip
ORDER = list(Severity)
PEOPLE = [person for person, *_ in PRINTED.values()]


def as_printed(whole_g_l: int, row: tuple) -> str:
    """Look a whole number of g/L up in the printed table."""
    _, none_from, mild, moderate, severe_below = row
    found = [
        name
        for name, holds in (
            ("none", whole_g_l >= none_from),
            ("mild", mild[0] <= whole_g_l <= mild[1]),
            ("moderate", moderate[0] <= whole_g_l <= moderate[1]),
            ("severe", whole_g_l < severe_below),
        )
        if holds
    ]
    assert len(found) == 1
    return found[0]


def moved(person: Person, **changes) -> Person:
    return Person(**{**vars(person), **changes})


def test_the_table_has_no_group_without_a_test():
    assert set(PRINTED) == set(GROUPS)


@pytest.mark.parametrize("name", PRINTED)
def test_every_whole_value_is_classified_as_printed(name):
    row = PRINTED[name]
    assert group_of(row[0]) == GROUPS[name]
    for g_l in range(30, 200):
        assert classify(g_l / 10, row[0]) == as_printed(g_l, row), g_l


@pytest.mark.parametrize("name", PRINTED)
def test_intervals_are_half_open_on_unrounded_values(name):
    person, none_from, (mild_from, _), (moderate_from, _), _ = PRINTED[name]
    for bound, at, just_below in (
        (none_from, "none", "mild"),
        (mild_from, "mild", "moderate"),
        (moderate_from, "moderate", "severe"),
    ):
        assert classify(bound / 10, person) == at
        assert classify((bound - 0.1) / 10, person) == just_below
        assert classify((bound - 1e-4) / 10, person) == just_below
        assert classify((bound + 1e-4) / 10, person) == at


@pytest.mark.parametrize("person", PEOPLE)
@pytest.mark.parametrize(("altitude", "smoking"), [(None, None), (2600, "yes"), (700, ">=20")])
def test_a_value_equal_to_the_threshold_on_paper_equals_it_in_doubles(person, altitude, smoking):
    person = moved(person, altitude_m=altitude, smoking=smoking)
    threshold = anemia_threshold_g_dl(person)
    written = f"{threshold:.1f}"
    assert classify(float(written), person) == "none"
    assert classify(float(written) - 0.1, person) == "mild"
    # Three clips of one person share a value, and the mean of three may round down.
    assert not below(np.mean([float(written)] * 3) - 1e-14, threshold)


@pytest.mark.parametrize(
    ("years", "before", "after"),
    [
        (0.5, "younger_than_6_months", "children_6_23_months"),
        (2.0, "children_6_23_months", "children_24_59_months"),
        (5.0, "children_24_59_months", "children_5_11_years"),
        (12.0, "children_5_11_years", "children_12_14_years"),
        (15.0, "children_12_14_years", "men"),
    ],
)
def test_a_group_begins_on_the_birthday(years, before, after):
    def name(age):
        group = group_of(Person("male", age))
        return group.code if isinstance(group, Unknown) else group.name

    assert name(np.nextafter(years, 0)) == before
    assert name(years) == after


@pytest.mark.parametrize(
    ("person", "code"),
    [
        (Person("female"), "age_unknown"),
        (Person("female", math.nan), "age_unknown"),
        (Person("female", -1), "age_unknown"),
        (Person(age_years=40), "sex_unknown"),
        (Person("f", 40), "sex_unknown"),
        (Person("female", 0.4), "younger_than_6_months"),
        (Person("female", 30, "yes"), "trimester_unknown"),
        (Person("female", 30, "2"), "pregnancy_not_understood"),
        (Person("male", 30, "second trimester"), "pregnancy_contradicted"),
        (Person("female", 4, "second trimester"), "pregnancy_contradicted"),
        (Person("female", 30, altitude_m=5000), "altitude_outside_table"),
        (Person("female", 30, altitude_m=-501), "altitude_outside_table"),
        (Person("female", 30, smoking="15"), "smoking_not_understood"),
    ],
)
def test_what_cannot_be_decided_is_not_guessed(person, code):
    threshold, severity = anemia_threshold_g_dl(person), classify(10.7, person)
    assert isinstance(threshold, Unknown)
    assert threshold.code == code
    assert severity == threshold
    assert threshold.as_dict() == {"code": code, "text": threshold.text}
    # The text goes to who asked about one person, and there are no rows to leave out.
    assert "leave" not in threshold.text and "rows" not in threshold.text


def test_pregnancy_needs_neither_sex_nor_age():
    assert group_of(Person(pregnancy="T2")) == GROUPS["pregnancy_second_trimester"]
    assert group_of(Person("female", 13, "3rd trimester")) == GROUPS["pregnancy_third_trimester"]
    assert group_of(Person("female", 13, "no")) == GROUPS["children_12_14_years"]


def test_without_trimester_the_answer_stands_where_all_trimesters_agree():
    pregnant = Person("female", 30, "yes")
    for g_l in range(30, 200):
        answers = {
            classify(g_l / 10, Person("female", 30, f"trimester {number}")) for number in (1, 2, 3)
        }
        answer = classify(g_l / 10, pregnant)
        if len(answers) == 1:
            assert answer in answers
        else:
            assert isinstance(answer, Unknown)
    assert classify(10.7, pregnant).code == "trimester_unknown"
    assert (classify(10.4, pregnant), classify(11.0, pregnant)) == ("mild", "none")


@given(
    st.sampled_from(PEOPLE),
    st.floats(3, 25),
    st.floats(0, 5),
    st.none() | st.floats(-500, 4999),
    st.sampled_from([None, "no", "yes", "<10", "10-19", ">=20"]),
)
def test_more_hemoglobin_is_never_more_severe(person, hemoglobin, more, altitude, smoking):
    person = moved(person, altitude_m=altitude, smoking=smoking)
    low, high = classify(hemoglobin, person), classify(hemoglobin + more, person)
    assert ORDER.index(high) <= ORDER.index(low)
    assert (low is not Severity.NONE) == below(hemoglobin, anemia_threshold_g_dl(person))


@given(st.floats(3, 25), st.floats(-500, 4999), st.floats(0, 1000), st.sampled_from(PEOPLE))
def test_higher_up_is_never_less_severe(hemoglobin, altitude, higher, person):
    low = classify(hemoglobin, moved(person, altitude_m=altitude))
    high = classify(hemoglobin, moved(person, altitude_m=min(altitude + higher, 4999.0)))
    assert ORDER.index(high) >= ORDER.index(low)


def test_adjusting_the_cutoff_is_adjusting_the_measurement():
    for person, g_l in itertools.product(PEOPLE, range(50, 180)):
        adjusted = moved(person, altitude_m=3100.0, smoking="12/day")
        assert classify(g_l / 10, adjusted) == classify((g_l - 21 - 5) / 10, person)


def test_altitude_bands_are_half_open_and_follow_the_formula():
    def formula(m):
        return 0.0056384 * m + 0.0000003 * m**2

    for band, added in enumerate(ALTITUDE_ADJUSTMENTS_G_L):
        low = 500.0 * band
        assert adjustment_g_l(low) == adjustment_g_l(low + 499.5) == added
        assert adjustment_g_l(np.nextafter(low + 500, 0)) == added
        # What is added is what the formula gives somewhere in the band, and near its middle.
        if band:
            assert formula(low) < added < formula(low + 500)
            assert abs(formula(low + 250) - added) < 0.6
    assert adjustment_g_l(-500.0) == adjustment_g_l(-2.0) == adjustment_g_l(0.0) == 0
    for outside in (np.nextafter(-500.0, -1000), 5000.0, math.inf, -math.inf):
        assert adjustment_g_l(outside).code == "altitude_outside_table"
    assert adjustment_g_l() == adjustment_g_l(math.nan, "unknown") == 0


@pytest.mark.parametrize(
    ("smoking", "added"),
    [
        ("no", 0), ("0", 0), ("False", 0), ("Non-smoker", 0), ("never", 0), ("ex-smoker", 0),
        ("0/day", 0), ("yes", 3), ("1", 3), ("TRUE", 3), ("current smoker", 3), ("<10", 3),
        ("< 10 / day", 3), ("0.5/day", 3), ("9/day", 3), ("9.9 per day", 3), ("10/day", 5),
        ("10-19", 5), ("10\u201319 cigarettes/day", 5), ("19 cigarettes a day", 5),
        ("20 cigs/day", 6), (">=20", 6), ("\u226520", 6), ("20+", 6), ("60/day", 6),
    ],
)  # fmt: skip
def test_words_about_smoking(smoking, added):
    assert smoking_adjustment_g_l(smoking) == added
    assert adjustment_g_l(1200, smoking) == 8 + added


@pytest.mark.parametrize("smoking", ["2", "15", "5-15", "/day", "-3/day", "pipe", "12/week"])
def test_smoking_that_is_not_understood(smoking):
    assert smoking_adjustment_g_l(smoking).code == "smoking_not_understood"
    assert repr(smoking) in adjustment_g_l(None, smoking).text


@pytest.mark.parametrize(
    ("pregnancy", "trimesters"),
    [
        ("no", ()), ("0", ()), ("not_pregnant", ()), ("Yes", (1, 2, 3)), ("1", (1, 2, 3)),
        ("first", (1,)), ("1st trimester", (1,)), ("FIRST-TRIMESTER", (1,)), ("t2", (2,)),
        ("Trimester 3", (3,)), (" third  trimester ", (3,)),
    ],
)  # fmt: skip
def test_words_about_pregnancy(pregnancy, trimesters):
    assert trimesters_of(pregnancy) == frozenset(trimesters)


@given(st.text(max_size=30))
@example("/day" * 5)
@example(" " * 30)
def test_any_text_is_read_or_refused(text):
    found, added = trimesters_of(text), smoking_adjustment_g_l(text)
    assert isinstance(found, Unknown) or found <= {1, 2, 3}
    assert isinstance(added, Unknown) or added in {0, 3, 5, 6}
    person = Person("female", 30, text, smoking=text)
    answer = classify(11.5, person)
    assert isinstance(answer, Unknown | Severity)
    assert isinstance(anemia_threshold_g_dl(person), Unknown | float)


@given(st.floats(0, 999, allow_nan=False))
def test_cigarettes_a_day_fall_in_the_printed_rows(number):
    text = f"{number:.2f}"
    value = float(text)
    expected = 0 if value == 0 else 3 if value < 10 else 5 if value < 20 else 6
    assert smoking_adjustment_g_l(f"{text} cigarettes/day") == expected


def test_hemoglobin_that_is_no_number():
    assert classify(math.nan, PEOPLE[0]).code == "hemoglobin_unknown"
    assert not below(math.nan, 12.0)
    assert not below(11.0, math.nan)


def test_assumptions_are_named():
    known = {"pregnancy": "no", "altitude_m": 0.0, "smoking": "no"}
    assert assumptions(Person("female", 30, **known)) == ()
    assert assumptions(Person("female", 30)) == (
        "taken_as_not_pregnant",
        "taken_as_below_500_m",
        "taken_as_non_smoker",
    )
    assert assumptions(Person("female", 65.9, **known)) == ()
    assert assumptions(Person("male", 66, **known)) == ("older_than_65_years",)
    assert assumptions(Person("female", 70)) == (
        "older_than_65_years",
        "taken_as_below_500_m",
        "taken_as_non_smoker",
    )
    assert assumptions(Person("female", 5)) == ("taken_as_below_500_m",)


def test_thresholds_of_a_cohort_table(tmp_path):
    cells = pd.DataFrame(
        {
            "participant_id": list("abcdefgh"),
            "clip": [f"{name}.mp4" for name in "abcdefgh"],
            "sex": ["F", "m", "female", "", "female", "female", "male", "female"],
            "age_years": ["30", "70", "30", "40", "", "1.5", "30", "30"],
            "pregnancy": ["", "", "second trimester", "", "", "", "", "yes"],
            "altitude_m": ["", "2000", "0", "", "", "", "5200", "0"],
            "smoking": ["yes", "no", "no", "", "", "", "", "no"],
        }
    )
    frame = cohort_from_frame(cells, tmp_path).frame
    result = thresholds_of_table(frame)
    np.testing.assert_array_equal(
        result.threshold_g_dl, [12.3, 14.4, 10.5, np.nan, np.nan, 10.5, np.nan, np.nan]
    )
    assert result.threshold_g_dl.dtype == np.float64
    assert result.unknown == {
        "sex_unknown": 1,
        "age_unknown": 1,
        "altitude_outside_table": 1,
        "trimester_unknown": 1,
    }
    assert result.assumed == {
        "older_than_65_years": 1,
        "taken_as_not_pregnant": 1,
        "taken_as_below_500_m": 2,
    }
    assert any("1 of 8 have no anemia threshold" in note for note in result.notes)
    assert len(result.notes) == len(result.unknown) + len(result.assumed)
    written = json.loads(json.dumps(result.as_dict(), allow_nan=False))
    assert (written["rows"], written["with_threshold"]) == (8, 4)


def test_thresholds_agree_with_those_of_single_people():
    rng = np.random.default_rng(0)
    n = 300
    frame = pd.DataFrame(
        {
            "sex": rng.choice(["female", "male", None], n),
            "age_years": np.where(rng.random(n) < 0.1, np.nan, rng.uniform(0, 90, n)),
            "altitude_m": np.where(rng.random(n) < 0.3, np.nan, rng.uniform(-400, 5500, n)),
            "smoking": rng.choice(["yes", "no", "10-19", "often", None], n),
        }
    )
    result = thresholds_of_table(frame)
    rows = frame.astype(object).where(frame.notna(), None)
    for row, threshold in zip(rows.itertuples(), result.threshold_g_dl, strict=True):
        person = Person(row.sex, row.age_years, None, row.altitude_m, row.smoking)
        alone = anemia_threshold_g_dl(person)
        assert math.isnan(threshold) if isinstance(alone, Unknown) else threshold == alone
    assert sum(result.unknown.values()) == np.isnan(result.threshold_g_dl).sum()


def test_a_table_without_the_columns_has_no_thresholds():
    result = thresholds_of_table(pd.DataFrame(index=range(3)))
    assert np.isnan(result.threshold_g_dl).all()
    assert result.unknown == {"age_unknown": 3}
    assert adjustment_strata(pd.DataFrame(index=range(3))) == {}


def test_strata_of_what_is_adjusted_for():
    frame = pd.DataFrame(
        {"altitude_m": [499.9, 500.0, np.nan], "smoking": ["ex-smoker", "12/day", "sometimes"]}
    )
    strata = adjustment_strata(frame)
    assert list(strata["altitude"]) == ["below 500 m", "500 m or higher", "unknown"]
    assert list(strata["smoking"]) == ["non-smoker", "smoker", "unknown"]
