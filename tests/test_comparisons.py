from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pallor.evaluation import metrics as scores
from pallor.evaluation.protocol import evaluate
from pallor.report import words


class Average:
    """Least squares on the mean of the first feature of each modality it gets."""

    def __init__(self, modalities, learners, seed, quick):
        self.modalities = modalities
        self.asked = (learners, seed, quick)

    def input(self, X):
        firsts = [
            X[next(name for name in X.columns if name.startswith(f"{modality}."))].to_numpy(float)
            for modality in self.modalities
        ]
        return np.mean(firsts, axis=0)

    def fit(self, X, y, groups):
        assert len(groups) == len(X)
        self.line = np.polyfit(self.input(X), y, 1)

    def predict(self, X):
        return np.polyval(self.line, self.input(X))


def cohort(people=80, **modalities):
    rng = np.random.default_rng(0)
    hb = rng.normal(14, 1.5, people)
    table = pd.DataFrame(
        {
            "participant_id": [f"p{i:03d}" for i in range(people)],
            "clip": [f"{i}.mp4" for i in range(people)],
            "hemoglobin_g_dl": hb,
            "content_sha256": [f"c{i}" for i in range(people)],
        }
    )
    for name, make in modalities.items():
        table[f"{name}.skin.f0"] = make(rng, hb)
    return table


def measured_with(error):
    return lambda rng, hb: hb + rng.normal(0, error, len(hb))


def compared(table, **options):
    options = {"bootstrap": 500, "repeats": 2, "regressors": ["stacking"], **options}
    return evaluate(table, model_factory=Average, **options)


def test_equal_models_differ_by_exactly_nothing():
    table = cohort(color=measured_with(1.0))
    table["pulse.skin.f0"] = table["color.skin.f0"]
    nothing = {"value": 0.0, "low": 0.0, "high": 0.0}
    found = compared(table).metrics["comparisons"]
    assert len(found) == 2
    for entry in found:
        assert entry["mae"] == entry["r2"] == nothing
        assert words.told_apart(entry) == "no difference can be told"


def test_fusing_independent_errors_helps():
    # The mean of two features with independent errors has the error over the root of two.
    table = cohort(people=200, color=measured_with(1.0), pulse=measured_with(1.0))
    for entry in compared(table).metrics["comparisons"]:
        assert entry["mae"]["value"] < entry["mae"]["high"] < 0
        assert 0 < entry["r2"]["low"] < entry["r2"]["value"]
        assert words.told_apart(entry) == "better"


def test_fusing_with_noise_harms_and_helps_the_noise():
    table = cohort(
        people=200, color=measured_with(0.5), pulse=lambda rng, hb: rng.normal(0, 5, len(hb))
    )
    by_side = {entry["against"]: entry for entry in compared(table).metrics["comparisons"]}
    assert words.told_apart(by_side["color:stacking"]) == "worse"
    assert by_side["color:stacking"]["mae"]["low"] > 0
    assert words.told_apart(by_side["pulse:stacking"]) == "better"


def test_differences_follow_from_the_saved_predictions():
    result = compared(cohort(color=measured_with(1.0), pulse=measured_with(2.0)))
    repeats = [part for _, part in result.predictions.groupby("repeat")]
    for entry in result.metrics["comparisons"]:
        for name in ("mae", "r2"):
            score = getattr(scores, name)
            differences = [
                score(part["hemoglobin_g_dl"], part[entry["model"]])
                - score(part["hemoglobin_g_dl"], part[entry["against"]])
                for part in repeats
            ]
            assert entry[name]["value"] == pytest.approx(np.mean(differences), abs=1e-9)


def test_paired_interval_is_narrower_than_that_of_either_model():
    # Both models miss by the same person's error; only what differs counts.
    shared = np.random.default_rng(5).normal(0, 1.5, 80)
    table = cohort(
        color=lambda rng, hb: hb + shared + rng.normal(0, 0.2, 80),
        pulse=lambda rng, hb: hb + shared + rng.normal(0, 0.2, 80),
    )
    found = compared(table).metrics
    alone = found["models"][0]["r2"]
    for entry in found["comparisons"]:
        assert entry["r2"]["high"] - entry["r2"]["low"] < 0.5 * (alone["high"] - alone["low"])


def test_every_single_modality_is_compared_under_every_regressor():
    table = cohort(color=measured_with(1), pulse=measured_with(1), mobilenet_v2=measured_with(1))
    found = compared(table, regressors=["xgboost", "stacking"], bootstrap=20)
    # Columns decide, in the order of the table of models; nothing is picked by its score.
    got = [(entry["model"], entry["against"]) for entry in found.metrics["comparisons"]]
    singles = [m["modalities"][0] for m in found.metrics["models"] if len(m["modalities"]) == 1]
    names = list(dict.fromkeys(singles))
    assert len(names) == 3
    assert got == [
        (f"{'+'.join(names)}:{regressor}", f"{name}:{regressor}")
        for regressor in ("xgboost", "stacking")
        for name in names
    ]


def test_one_modality_has_nothing_to_be_compared_with():
    assert compared(cohort(color=measured_with(1.0))).metrics["comparisons"] == []


def test_model_of_the_incremental_r2_is_not_taken_for_the_fused_one():
    table = cohort(color=measured_with(1.0), pulse=measured_with(1.0))
    table["sex"] = np.where(np.arange(len(table)) % 2, "male", "female")
    table["age_years"] = np.random.default_rng(0).uniform(18, 80, len(table))
    found = compared(table, bootstrap=20).metrics
    assert found["incremental_r2"]["model"] == "demographics+color+pulse:stacking"
    assert {entry["model"] for entry in found["comparisons"]} == {"color+pulse:stacking"}


def test_comparison_without_copies_is_that_of_the_remaining_rows():
    table = cohort(color=measured_with(1.0), pulse=measured_with(2.0))
    table.loc[[3, 40], "content_sha256"] = "same"
    found = compared(table).metrics
    expected = compared(table.drop([3, 40]).reset_index(drop=True)).metrics["comparisons"]
    assert found["without_duplicates"]["comparisons"] == expected
    assert found["comparisons"] != expected


def entry(mae, r2):
    keys = ("value", "low", "high")
    return {
        "model": "color+pulse:stacking",
        "against": "color:stacking",
        "regressor": "stacking",
        "mae": dict(zip(keys, mae, strict=True)),
        "r2": dict(zip(keys, r2, strict=True)),
    }


@pytest.mark.parametrize(
    ("mae", "r2", "said"),
    [
        (
            (-0.02, -0.05, 0.01),
            (0.01, -0.01, 0.03),
            "MAE −0.02 [−0.05, 0.01] g/dL, R² +0.01 [−0.01, 0.03]: no difference can be told",
        ),
        (
            (-0.2, -0.3, -0.1),
            (0.2, 0.1, 0.3),
            "MAE −0.20 [−0.30, −0.10] g/dL, R² +0.20 [0.10, 0.30]: better",
        ),
        # R2 decides, whatever the mean absolute error says.
        (
            (-0.2, -0.3, -0.1),
            (-0.2, -0.3, -0.1),
            "MAE −0.20 [−0.30, −0.10] g/dL, R² −0.20 [−0.30, −0.10]: worse",
        ),
        (
            (0.001, None, None),
            (None, None, None),
            "MAE 0.00 g/dL, R² –: no interval, so nothing follows from it",
        ),
    ],
)
def test_comparison_is_told_in_words(mae, r2, said):
    assert words.compared(entry(mae, r2)) == f"color+pulse against color (stacking): {said}"
