from __future__ import annotations

import pytest

from pallor.cli.evaluate import print_table
from pallor.report import words
from pallor.report.summary import controls, fusing, gain
from report_cases import evaluation_of, features


def metrics_of(*intervals, without=None):
    """Comparisons of all modalities with single ones, R2 each."""

    def entries(given):
        return [
            {
                "model": "all:stacking",
                "against": f"m{number}:stacking",
                "regressor": "stacking",
                "r2": dict(zip(("value", "low", "high"), interval, strict=True)),
            }
            for number, interval in enumerate(given)
        ]

    return {
        "headline": "all:stacking",
        "comparisons": entries(intervals),
        "without_duplicates": None if without is None else {"comparisons": entries(without)},
    }


BETTER, OPEN, WORSE = (0.2, 0.1, 0.3), (0.1, -0.1, 0.3), (-0.2, -0.3, -0.1)


def test_fusing_beats_the_best_only_where_it_beats_each():
    said = fusing(metrics_of(BETTER, BETTER))
    assert said == (
        "All modalities together beat each single modality, m0 (R² +0.20 [0.10, 0.30]) and m1 (R²"
        " +0.20 [0.10, 0.30]), hence also the best of them."
    )


def test_fusing_names_those_it_is_not_shown_to_beat():
    said = fusing(metrics_of(BETTER, OPEN))
    assert said == (
        "All modalities together are not shown to beat m1 (R² +0.10 [−0.10, 0.30]); they beat m0"
        " (R² +0.20 [0.10, 0.30]). So they are not shown to beat the best single modality here."
    )


def test_fusing_that_is_worse_does_not_beat_the_best():
    said = fusing(metrics_of(BETTER, WORSE))
    assert "do worse than m1" in said
    assert said.endswith("So they do not beat the best single modality here.")


def test_fusing_without_intervals_claims_nothing():
    said = fusing(metrics_of((0.2, None, None)))
    assert "not shown to beat m0" in said


def test_fusing_goes_by_the_clips_without_copies():
    said = fusing(metrics_of(BETTER, without=[OPEN]))
    assert "on the clips without copies are not shown to beat m0" in said


def test_gain_goes_by_the_clips_without_copies():
    score = dict(zip(("value", "low", "high"), BETTER, strict=True))
    none = dict(zip(("value", "low", "high"), OPEN, strict=True))
    metrics = {"incremental_r2": score, "without_duplicates": None}
    assert "excludes 0" in gain(metrics)
    metrics["without_duplicates"] = {"incremental_r2": none}
    assert "without copies by 0.10 (−0.10 to 0.30). The interval includes 0" in gain(metrics)


def test_controls_alarm_where_one_of_them_tells_hemoglobin():
    def entry(name, alarm):
        score = {"value": 0.2, "low": 0.1, "high": 0.3}
        return {"name": name, "alarm": alarm, "incremental_r2": score}

    quiet, loud = entry("background", False), entry("face_less", True)
    assert controls({"controls": [quiet]}).startswith("Control models that see no skin are not")
    assert controls({"controls": [quiet, loud]}).startswith("Warning: the background and the facts")


def test_command_prints_fusing_and_sex_in_words(capsys):
    evaluation = evaluation_of(features(), repeats=1)
    print_table(evaluation)
    lines = capsys.readouterr().out.splitlines()
    fusing = [line for line in lines if line.startswith("color+pulse against")]
    assert [line.split(":")[0] for line in fusing] == [
        "color+pulse against color (stacking)",
        "color+pulse against pulse (stacking)",
    ]
    assert sum(line.startswith("without copies: color+pulse against") for line in lines) == 2
    told = [line for line in lines if line.startswith("sex can be told from ")]
    assert len(told) == 2
    auc = evaluation.metrics["sex_probe"][0]["auc"]
    ends = ", ".join(words.number(auc[key]) for key in ("low", "high"))
    assert told[0] == (
        f"sex can be told from color with an AUC of {words.number(auc['value'])} [{ends}]"
        " (0.5 is chance)"
    )


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.02, 0.3, "add to what sex and age tell about hemoglobin"),
        (-0.1, 0.3, "do not show"),
        (-0.4, -0.1, "worse than"),
        (0.0, 0.3, "do not show"),
        (None, None, "no interval"),
    ],
)
def test_verdict_follows_the_interval(low, high, said):
    assert said in words.verdict({"value": 0.1, "low": low, "high": high})


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.756, "0.76"), (-0.5, "−0.50"), (-0.001, "0.00"), (None, "–"), (float("nan"), "–")],
)
def test_numbers_are_written_plainly(value, text):
    assert words.number(value) == text


@pytest.mark.parametrize(
    ("p", "text"), [(1 / 1001, "p = 0.001"), (0.4895, "p = 0.489"), (0.0001, "p = 0.0001")]
)
def test_p_values_are_never_zero(p, text):
    assert words.p_value(p) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("difference 0.11 [-0.06, 0.29]", "difference 0.11 [−0.06, 0.29]"),
        ("0.62 for 18-39, very_light, >=60", "0.62 for 18-39, very light, ≥60"),
        ("follow-up of COVID-19", "follow-up of COVID-19"),
    ],
)
def test_sentences_of_the_evaluation_are_shown_with_true_signs(text, shown):
    assert words.plain(text) == shown


def test_shares_are_percent():
    assert words.share({"value": 0.833, "low": 0.64, "high": 1.0}) == "83 % (64 to 100 %)"
    assert words.share({"value": 0.833, "low": None, "high": None}) == "83 %"


def test_lists_are_read_aloud():
    assert [words.listed(list(given)) for given in ("", "a", "ab", "abc")] == [
        "", "a", "a and b", "a, b and c",
    ]  # fmt: skip
