from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pallor.anemia import Person, Severity, Unknown, classify
from pallor.service.pages.charts import (
    MARGIN,
    WIDTH,
    ChartWords,
    Scale,
    hemoglobin_scale,
    interval_chart,
    pulse_chart,
)
from pallor.service.pages.language import texts
from pallor.service.pages.who_bands import SEVERITIES, bands_of, person_of

WORDS = ChartWords("what is <seen>", "g/dL & more")
NUMBER = texts("en").number
NAMES = ("severe", "moderate", "mild", "none")


def tree(svg):
    """The drawing's elements; it is our own, so a plain parser will do."""
    return ElementTree.fromstring(svg)  # noqa: S314


def parsed(svg, name):
    """Elements of a class."""
    return [e for e in tree(svg).iter() if name in e.get("class", "").split()]


def chart(estimate=12.5, low=11.0, high=14.0, bounds=(8.0, 11.0, 12.0), names=NAMES):
    return interval_chart(estimate, low, high, bounds, names, WORDS, NUMBER)


def test_scale_is_linear_and_stays_within_its_ends():
    scale = Scale(5.0, 15.0, 0.0, 100.0)
    assert [scale(v) for v in (5, 7.5, 10, 15, 4, 99)] == [0, 25, 50, 100, 0, 100]


def test_hemoglobin_scale_holds_everything_with_air():
    scale = hemoglobin_scale([8.0, 13.77, 10.2])
    assert (scale.low, scale.high) == (7.0, 15.0)


def test_interval_chart_in_closed_form():
    # From 7 to 15 g/dL over 332 units: 41.5 a g/dL.
    svg = chart()
    at = {v: MARGIN + (v - 7) * 41.5 for v in (8.0, 11.0, 12.0, 12.5, 14.0)}
    (dot,) = parsed(svg, "estimate")
    assert float(dot.get("cx")) == pytest.approx(at[12.5], abs=0.06)
    (line,) = parsed(svg, "interval")
    assert float(line.get("x1")) == pytest.approx(at[11.0], abs=0.06)
    assert float(line.get("x2")) == pytest.approx(at[14.0], abs=0.06)
    bounds = [float(e.get("x1")) for e in parsed(svg, "bound")]
    assert bounds == pytest.approx([at[8.0], at[11.0], at[12.0]], abs=0.06)
    assert [e.text for e in parsed(svg, "bound-value")] == ["8.0", "11.0", "12.0"]
    assert [e.text for e in parsed(svg, "band-name")] == list(NAMES)
    assert [e.text for e in parsed(svg, "tick")] == [str(v) for v in range(7, 16)]


def test_bands_meet_and_fill_the_drawing():
    rects = parsed(chart(), "band")
    starts = [float(r.get("x")) for r in rects]
    ends = [s + float(r.get("width")) for s, r in zip(starts, rects, strict=True)]
    assert starts == pytest.approx([MARGIN, *ends[:-1]], abs=0.11)
    assert ends[-1] == pytest.approx(WIDTH - MARGIN, abs=0.11)


def test_values_of_bounds_that_stand_close_together_do_not_touch():
    # 16 g/dL over 332 units: 11 and 12 are 20.75 apart, less than a number is wide.
    svg = chart(low=4.0, high=18.0)
    eight, eleven, twelve = parsed(svg, "bound-value")
    assert eight.get("class") == "bound-value"
    assert eleven.get("class") == "bound-value last"
    assert twelve.get("class") == "bound-value first"
    assert float(twelve.get("x")) - float(eleven.get("x")) > 16


def test_an_open_interval_reaches_the_edge_and_has_no_cap_there():
    svg = chart(low=None)
    (line,) = parsed(svg, "interval")
    assert float(line.get("x1")) == MARGIN
    assert len(parsed(svg, "cap")) == 1
    assert len(parsed(chart(), "cap")) == 2


def test_without_groups_there_is_one_band_without_a_name():
    svg = chart(bounds=(), names=())
    assert len(parsed(svg, "band")) == 1
    assert parsed(svg, "band-name") == []


def test_texts_are_escaped_and_nothing_is_inline():
    svg = chart(names=("<b>", "&", '"', "'"))
    root = tree(svg)
    assert root.get("aria-label") == "what is <seen>"
    assert root.get("role") == "img"
    assert [e.text for e in parsed(svg, "band-name")] == ["<b>", "&", '"', "'"]
    assert "style=" not in svg
    assert "<script" not in svg


def test_what_cannot_be_drawn_is_an_error():
    with pytest.raises(ValueError, match="one more name"):
        chart(names=("a",))
    with pytest.raises(ValueError, match="not a number"):
        chart(estimate=math.nan)


@given(
    st.floats(2, 25), st.floats(0, 5), st.floats(0, 5),
    st.lists(st.floats(4, 18), min_size=3, max_size=3).map(sorted),
)  # fmt: skip
def test_every_place_lies_in_the_drawing(estimate, below, above, bounds):
    svg = chart(estimate, estimate - below, estimate + above, bounds)
    for name in ("x", "x1", "x2", "cx"):
        for value in re.findall(rf' {name}="([^"]+)"', svg):
            assert 0 <= float(value) <= WIDTH
    for rect in parsed(svg, "band"):
        assert float(rect.get("width")) >= 0


def test_pulse_chart_in_closed_form():
    svg = pulse_chart([10.0, 11.0, 12.0], [-1.0, 1.0, 0.0], WORDS, NUMBER)
    (line,) = parsed(svg, "wave")
    # Up is up: the highest value stands at the top, 8, the lowest at 84.
    assert line.get("points") == "14,84 180,8 346,46"
    assert [e.text for e in parsed(svg, "tick")] == ["10", "11", "12"]


def test_a_gap_breaks_the_wave():
    svg = pulse_chart([0, 1, 2, 3, 4, 5], [0, 1, None, math.nan, 1, 0], WORDS, NUMBER)
    assert [len(e.get("points").split()) for e in parsed(svg, "wave")] == [2, 2]


@pytest.mark.parametrize("pulse", [[], [1.0], [None, math.nan, 2.0]])
def test_no_wave_is_no_drawing(pulse):
    assert pulse_chart([float(i) for i in range(len(pulse))], pulse, WORDS, NUMBER) == ""


def test_a_flat_wave_lies_in_the_middle():
    (line,) = parsed(pulse_chart([0.0, 1.0], [3.0, 3.0], WORDS, NUMBER), "wave")
    assert line.get("points") == "14,46 346,46"


def test_ticks_are_few_enough_to_read():
    for seconds in (3, 30, 119):
        svg = pulse_chart([0.0, float(seconds)], [0.0, 1.0], WORDS, NUMBER)
        assert 3 <= len(parsed(svg, "tick")) <= 8


def test_bands_of_a_woman_in_the_mountains_who_smokes():
    bands = bands_of(Person("female", 30, "no", 2600, "10-19"))
    # 18 g/L for 2500 to 2999 m and 5 g/L for 10 to 19 cigarettes.
    assert bands.adjustment_g_dl == pytest.approx(2.3)
    assert bands.bounds_g_dl == pytest.approx((10.3, 13.3, 14.3))
    assert bands.group == "women"


@given(
    st.sampled_from(["female", "male", None]), st.floats(0, 100), st.floats(-600, 6000),
    st.sampled_from([None, "no", "yes", ">=20", "what"]),
    st.sampled_from([None, "no", "yes", "second trimester"]), st.floats(3, 20),
)  # fmt: skip
def test_bands_agree_with_classify(sex, age, altitude, smoking, pregnancy, hemoglobin):
    person = Person(sex, age, pregnancy, altitude, smoking)
    bands, severity = bands_of(person), classify(hemoglobin, person)
    if isinstance(bands, Unknown):
        # Where the trimester is open classify may still know: the same in all three.
        assert isinstance(severity, Unknown) or bands.code == "trimester_unknown"
        return
    inside = sum(hemoglobin >= bound - 1e-9 for bound in bands.bounds_g_dl)
    assert SEVERITIES[inside] is severity
    assert SEVERITIES[0] is Severity.SEVERE


def test_a_person_is_read_from_the_fields_of_a_form():
    fields = {"sex": "female", "age_years": "34.5", "altitude_m": "", "smoking": "no"}
    assert person_of(fields) == Person("female", 34.5, None, None, "no")
    assert person_of({"sex": "x", "age_years": "old"}) == Person()
    assert person_of({}) == Person()
