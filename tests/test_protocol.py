from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

from pallor.errors import FeatureTableError, UsageError
from pallor.evaluation.flow import participants_flow
from pallor.evaluation.protocol import evaluate
from pallor.evaluation.result import load_evaluation
from planted import Nearest, Ridge, by_name, cheap, features
from test_scores import REFERENCES

KEYS = {
    "simulated", "protocol", "participants", "clips", "units", "models", "baselines",
    "incremental_r2", "duplicates", "without_duplicates", "seed", "versions", "command", "notes",
    "flow", "headline", "splits", "outcome", "agreement", "held_out", "comparisons", "sex_probe",
    "error_by_hemoglobin", "screening", "subgroups", "coverage", "quality", "controls",
    "permutation_within_sex", "reproduction", "prior_work", "explanation",
}  # fmt: skip


@pytest.fixture(scope="module")
def result():
    return cheap(features(), regressors=["xgboost", "random_forest", "stacking"])


def test_metrics_hold_every_key_and_are_plain_json(result):
    assert set(result.metrics) == KEYS
    text = json.dumps(result.metrics, allow_nan=False)
    assert json.loads(text) == result.metrics
    for entry in result.metrics["models"] + result.metrics["baselines"]:
        for score in REFERENCES:
            assert set(entry[score]) == {"value", "low", "high"}


def test_every_modality_alone_and_all_together_under_every_regressor(result):
    got = [(tuple(e["modalities"]), e["regressor"]) for e in result.metrics["models"]]
    expected = [
        (chosen, name)
        for chosen in (("color",), ("pulse",), ("color", "pulse"))
        for name in ("xgboost", "random_forest", "stacking")
    ]
    assert got == [*expected, (("demographics", "color", "pulse"), "stacking")]


def test_with_three_modalities_color_is_paired_with_each_other_one():
    table = features(people=20).rename(
        columns=lambda name: name.replace("color.chin", "color.nose")
    )
    table["resnet152.mean.0000"] = table["pulse.chin.green.ac_dc"]
    found = cheap(table, repeats=1, folds=2, bootstrap=20).metrics
    assert [entry["modalities"] for entry in found["models"]] == [
        ["color"],
        ["pulse"],
        ["resnet152"],
        ["color", "pulse"],
        ["color", "resnet152"],
        ["color", "pulse", "resnet152"],
        ["demographics", "color", "pulse", "resnet152"],
    ]
    assert found["headline"] == "color+pulse+resnet152:stacking"
    assert {entry["model"] for entry in found["comparisons"]} == {found["headline"]}


def test_what_is_said_of_the_main_model_is_said_of_the_one_fixed_beforehand(result):
    found, name = result.metrics, "color+pulse:stacking"
    sexes = features().groupby("participant_id")["sex"].first()
    rows = result.predictions.assign(sex=lambda part: part["participant_id"].map(sexes))
    rows["cutoff"] = rows["sex"].map({"female": 12.0, "male": 13.0})
    repeats = [part for _, part in rows.groupby("repeat")]

    def mean(score):
        return pytest.approx(np.mean([score(part) for part in repeats]), abs=1e-9)

    assert found["agreement"]["model"] == name
    assert found["agreement"]["bias_g_dl"]["value"] == mean(
        lambda part: (part[name] - part["hemoglobin_g_dl"]).mean()
    )
    for key, column in (("model", name), ("sex_age", "baseline:sex_age")):
        at_cutoff = found["screening"][key]["overall"]["at_cutoff"]
        assert at_cutoff["true_positives"] == mean(
            lambda part: (part[["hemoglobin_g_dl", column]].max(axis=1) < part["cutoff"]).sum()  # noqa: B023
        )
    groupings = {entry["grouping"]: entry["groups"] for entry in found["subgroups"]}
    assert list(groupings) == ["sex", "age", "ita", "camera", "site"]
    for group in groupings["sex"]:
        assert group["scores"]["mae"]["value"] == mean(
            lambda part: (
                (part[name] - part["hemoglobin_g_dl"])
                .abs()[part["sex"] == group["group"]]  # noqa: B023
                .mean()
            )
        )
    for part in found["error_by_hemoglobin"]:
        low, high = part["low_g_dl"] or -np.inf, part["high_g_dl"] or np.inf
        assert part["units"] == repeats[0]["hemoglobin_g_dl"].between(low, high, "left").sum()
    # Custom models tell nothing of their training part, so nothing is calibrated on it.
    assert found["coverage"] is None
    assert found["quality"] is None


def test_headline_is_stacking_on_all_whatever_scores_best(result):
    assert result.metrics["headline"] == "color+pulse:stacking"


def test_scores_follow_from_the_saved_predictions(result, tmp_path):
    back = load_evaluation(result.save(tmp_path / "run"))
    entry = by_name(back.metrics["models"])["color+pulse:stacking"]
    repeats = [part for _, part in back.predictions.groupby("repeat")]
    assert len(repeats) == 2
    for score, reference in REFERENCES.items():
        values = [
            reference(part["hemoglobin_g_dl"], part["color+pulse:stacking"]) for part in repeats
        ]
        assert entry[score]["value"] == pytest.approx(np.mean(values), abs=1e-9), score


def test_saved_files_are_strict_json_and_read_back_equal(result, tmp_path):
    folder = result.save(tmp_path / "deep" / "run")
    text = (folder / "metrics.json").read_text(encoding="utf-8")
    assert "NaN" not in text
    assert json.loads(text) == result.metrics
    assert sorted(p.name for p in folder.iterdir()) == ["metrics.json", "predictions.csv"]
    assert load_evaluation(folder).table.equals(result.table)


def test_folder_without_an_evaluation_is_refused(tmp_path):
    with pytest.raises(FeatureTableError, match="no complete evaluation"):
        load_evaluation(tmp_path)


def test_table_has_one_row_a_model_and_baseline(result):
    table = result.table
    assert len(table) == 3 + 10
    assert table["regressor"].tolist()[:3] == ["mean", "sex", "sex_age"]
    assert (table["mae_low"] <= table["mae"]).all()
    assert (table["mae"] <= table["mae_high"]).all()


def test_planted_signal_beats_sex_and_age(result):
    gain = result.metrics["incremental_r2"]
    assert gain["low"] > 0
    models = by_name(result.metrics["models"])
    known = by_name(result.metrics["baselines"])["sex_age"]
    difference = models[gain["model"]]["r2"]["value"] - known["r2"]["value"]
    assert gain["value"] == pytest.approx(difference, abs=1e-12)


def test_noise_adds_nothing_to_sex_and_age():
    found = cheap(features(people=100, signal=0.0, seed=1), repeats=1).metrics
    assert found["incremental_r2"]["low"] <= 0 <= found["incremental_r2"]["high"]
    best = max(entry["r2"]["value"] for entry in found["models"][:3])
    assert best < 0.1


@pytest.mark.slow
def test_noise_is_seldom_taken_for_a_gain():
    # Of 20 intervals at 95 %, half a one should lie above 0 by chance. (They may lie below:
    # learning noise costs a little, and an interval can be sure of that.)
    gains = [
        cheap(features(signal=0.0, seed=seed), modalities=["color"], repeats=1).metrics[
            "incremental_r2"
        ]
        for seed in range(20)
    ]
    assert sum(gain["low"] > 0 for gain in gains) <= 1
    assert all(-0.15 < gain["value"] < 0.05 for gain in gains)


def test_memory_of_people_does_not_pay():
    # Clips of one person are nearly equal and say nothing of hemoglobin: a split by clip
    # would score R2 near 1, a split by person below 0.
    table = features(signal=0.0, clips=3)
    columns = [name for name in table if name.startswith(("color.", "pulse."))]
    table[columns] = table.groupby("participant_id")[columns].transform("first")
    found = cheap(table, model_factory=Nearest, repeats=1).metrics
    assert by_name(found["models"])["color+pulse:stacking"]["r2"]["value"] < 0


def test_copies_under_other_names_do_not_pay_either():
    table = features(people=40, clips=1, signal=0.0)
    copies = table.copy()
    copies["participant_id"] = "copy-" + copies["participant_id"]
    table = pd.concat([table, copies], ignore_index=True)
    found = cheap(table, model_factory=Nearest, repeats=1).metrics
    assert by_name(found["models"])["color+pulse:stacking"]["r2"]["value"] < 0
    assert found["duplicates"]["across_participants"] == 40
    assert found["duplicates"]["rows"] == 80
    # All contents are ambiguous, so nothing is left to score without them, and that is said.
    assert found["without_duplicates"] is None
    assert any("without the copies" in note for note in found["notes"])


def test_scores_without_copies_come_from_the_rows_that_are_unique():
    table = features()
    table.loc[[10, 11], "content_sha256"] = ["c50", "c51"]
    found = cheap(table, repeats=1).metrics
    expected = cheap(table.drop([10, 11, 50, 51]), repeats=1).metrics
    without = found["without_duplicates"]
    assert (without["participants"], without["clips"]) == (58, 116)
    assert len(without["comparisons"]) == 2
    for key in (
        "models",
        "baselines",
        "incremental_r2",
        "comparisons",
        "participants",
        "clips",
        "units",
    ):
        assert without[key] == expected[key], key
    assert found["clips"] == 120


def test_conflicting_labels_of_copies_are_listed():
    table = features()
    table.loc[10, "file_sha256"] = "f50"
    (conflict,) = cheap(table, repeats=1, folds=2).metrics["duplicates"]["conflicting"]
    assert conflict["participants"] == ["p005", "p025"]
    assert conflict["clips"] == ["10.mp4", "50.mp4"]
    assert "hemoglobin_g_dl" in conflict["conflicts"]
    expected = table["hemoglobin_g_dl"].iloc[[10, 50]].tolist()
    assert conflict["hemoglobin_g_dl"] == expected


def test_copies_within_one_person_are_kept_once():
    table = features()
    table.loc[1, "content_sha256"] = "c0"
    without = cheap(table, repeats=1, folds=2).metrics["without_duplicates"]
    assert (without["participants"], without["clips"]) == (60, 119)


def test_flow_accounts_for_everyone():
    table = features()
    table.loc[[0, 1, 2], "hemoglobin_g_dl"] = np.nan
    columns = [name for name in table if name.startswith(("color.", "pulse."))]
    table.loc[[3, 10], columns] = np.nan
    found = cheap(table, repeats=1, folds=2).metrics
    flow = found["flow"]
    assert flow["participants"] == {"read": 60, "scored": 58}
    assert flow["clips"] == {"read": 120, "scored": 115}
    assert flow["left_out"] == [
        # p001 lost one clip to each reason and counts under the first.
        {"reason": "no hemoglobin value", "participants": 2, "clips": 3},
        {"reason": "no feature could be computed", "participants": 0, "clips": 2},
    ]
    assert (found["participants"], found["clips"]) == (58, 115)
    for what in ("participants", "clips"):
        gone = sum(part[what] for part in flow["left_out"])
        assert flow[what]["read"] == flow[what]["scored"] + gone


def test_flow_knows_the_clips_that_gave_no_features():
    table = features(people=20)
    failed = [("p000", "no_face"), ("gone", "no_face"), ("lost", "empty"), ("gone", "empty")]
    table.attrs["extraction"] = {
        "failures": [{"participant_id": person, "clip": "x", "code": c} for person, c in failed]
    }
    flow = cheap(table, repeats=1, folds=2, bootstrap=20).metrics["flow"]
    assert flow["participants"] == {"read": 22, "scored": 20}
    assert flow["clips"] == {"read": 44, "scored": 40}
    assert flow["left_out"] == [
        {"reason": "no features extracted (empty)", "participants": 2, "clips": 2},
        {"reason": "no features extracted (no_face)", "participants": 0, "clips": 2},
    ]


def test_flow_without_anyone_left_says_why():
    table = features(people=2)
    with pytest.raises(FeatureTableError, match="4 clips: no hemoglobin"):
        participants_flow(table, {"no hemoglobin": np.ones(4, dtype=bool)})


def test_equal_seeds_give_equal_results_and_others_not():
    table = features(people=30)
    options = {"repeats": 1, "folds": 3, "bootstrap": 50}
    first, again, other = (cheap(table, seed=seed, **options) for seed in (4, 4, 5))
    assert first.metrics == again.metrics
    pd.testing.assert_frame_equal(first.predictions, again.predictions)
    assert first.metrics["models"] != other.metrics["models"]


@pytest.mark.slow
def test_number_of_workers_changes_nothing():
    table = features(people=20)
    one, two = (cheap(table, repeats=1, folds=2, workers=n, bootstrap=20) for n in (1, 2))
    assert one.metrics == two.metrics


def test_order_of_modalities_asked_for_changes_nothing():
    table = features(people=20)
    options = {"repeats": 1, "folds": 2, "bootstrap": 20}
    first = cheap(table, modalities=["pulse", "color"], **options)
    assert first.metrics == cheap(table, modalities=["color", "pulse"], **options).metrics


def test_demographics_take_part_when_asked_for():
    found = cheap(features(), modalities=["color", "demographics"], repeats=1, folds=2).metrics
    got = [entry["modalities"] for entry in found["models"]]
    assert got == [["demographics"], ["color"], ["demographics", "color"]]
    assert found["headline"] == "demographics+color:stacking"
    assert found["incremental_r2"]["model"] == found["headline"]


def test_one_modality_is_not_listed_twice():
    found = cheap(features(), modalities=["color"], repeats=1, folds=2).metrics
    assert [entry["modalities"] for entry in found["models"]] == [
        ["color"],
        ["demographics", "color"],
    ]


def test_without_sex_the_incremental_r2_is_left_out_and_named():
    found = cheap(features().drop(columns="sex"), repeats=1, folds=2).metrics
    assert found["incremental_r2"] is None
    assert [entry["name"] for entry in found["baselines"]] == ["mean"]
    assert any("incremental R2 is left out" in note for note in found["notes"])


def test_hemoglobin_is_exchanged_within_sex_alone():
    table = features()
    table.loc[table["participant_id"] < "p003", "sex"] = None
    found = cheap(table, repeats=1, folds=2, bootstrap=20).metrics["permutation_within_sex"]
    # Those of unknown sex keep their values.
    assert (found["participants"], found["exchanged"]) == (60, 57)
    assert found["p_value"] < 0.01


def test_sessions_are_units_and_clips_are_on_request():
    table = features(people=20, clips=4)
    table["session"] = np.tile(["a", "a", "b", "b"], 20)
    found = cheap(table, repeats=1, folds=2)
    assert (found.metrics["units"], found.metrics["clips"]) == (40, 80)
    assert len(found.predictions) == 40
    single = cheap(table, repeats=1, folds=2, unit="clip")
    assert single.metrics["units"] == 80
    # Averaging the clips of one session takes noise away.
    name = "color+pulse:stacking"
    errors = [by_name(e.metrics["models"])[name]["mae"]["value"] for e in (found, single)]
    assert errors[0] < errors[1]


def test_group_holds_sites_out():
    result = cheap(features(), group="site")
    assert result.metrics["protocol"] == "group"
    assert [part["held_out"] for part in result.metrics["held_out"]] == ["A", "B"]
    assert result.predictions.groupby("fold").ngroups == 2


def test_quick_is_a_small_protocol_with_small_models():
    seen = set()

    def factory(modalities, learners, seed, quick):
        seen.add(quick)
        return Ridge(modalities, learners, seed, quick)

    found = cheap(features(), quick=True, model_factory=factory).metrics
    assert found["protocol"] == "quick"
    assert (found["splits"]["folds"], found["splits"]["repeats"]) == (3, 1)
    assert seen == {True}


def test_progress_counts_to_the_end():
    calls = []
    cheap(features(people=20), repeats=1, folds=2, progress=lambda *call: calls.append(call))
    assert [done for done, _, _ in calls] == list(range(1, len(calls) + 1))
    assert {total for _, total, _ in calls} == {len(calls)} == {2 * 4 + 2 * 2}
    assert sum(label.startswith("sex from ") for _, _, label in calls) == 2 * 2


def test_simulated_clips_are_declared():
    table = features(people=20)
    assert cheap(table, repeats=1, folds=2).metrics["simulated"] is False
    table["simulated"] = True
    assert cheap(table, repeats=1, folds=2).metrics["simulated"] is True
    table["simulated"] = False
    table["reference_method"] = "simulated"
    assert cheap(table, repeats=1, folds=2).metrics["simulated"] is True


def test_command_is_recorded_or_told():
    table = features(people=20)
    assert cheap(table, repeats=1, folds=2, command="pallor x").metrics["command"] == "pallor x"
    assert "pallor.evaluate(" in cheap(table, repeats=1, folds=2).metrics["command"]


def test_model_that_gives_no_number_is_an_error_that_names_it():
    class Broken(Ridge):
        def predict(self, X):
            return np.full(len(X), np.nan)

    with pytest.raises(FeatureTableError, match=r"color:stacking gave no number"):
        cheap(features(people=20), model_factory=Broken)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"regressors": ["magic"]}, UsageError, "stacking"),
        ({"regressors": []}, UsageError, "choose from"),
        ({"modalities": ["resnet152"]}, FeatureTableError, "resnet152"),
        ({"bootstrap": -1}, UsageError, "bootstrap"),
        ({"unit": "frame"}, UsageError, "participant_session"),
        ({"protocol": "loso"}, UsageError, "nested"),
        ({"protocol": "holdout"}, UsageError, "repeats"),
        ({"protocol": "holdout", "folds": None, "group": "site"}, UsageError, "others none"),
    ],
)
def test_wrong_requests_name_what_is_wrong(options, kind, message):
    with pytest.raises(kind, match=message):
        cheap(features(people=20), **{"repeats": 1, "folds": 2, **options})


def test_table_without_hemoglobin_column_is_refused():
    with pytest.raises(FeatureTableError, match="hemoglobin_g_dl"):
        cheap(features().drop(columns="hemoglobin_g_dl"))


def test_too_few_people_are_refused_with_advice():
    with pytest.raises(FeatureTableError, match="add labeled participants"):
        cheap(features(people=4))


def test_input_table_is_not_changed():
    table = features(people=20)
    before = table.copy(deep=True)
    cheap(table, repeats=1, folds=2)
    pd.testing.assert_frame_equal(table, before)


def test_undefined_numbers_are_null_in_the_file(tmp_path):
    folder = cheap(features(people=20), repeats=1, folds=2, bootstrap=0).save(tmp_path)
    found = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert found["models"][0]["mae"]["low"] is None
    assert math.isfinite(found["models"][0]["mae"]["value"])


@pytest.mark.shared
def test_copies_of_a_published_set_are_found_kept_together_and_taken_out(shared):
    import hashlib

    from pallor.cohort.readers import READERS

    cohort = READERS["cp-anemic"](shared / "cp_anemic")
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in cohort.clip_paths()]
    table = cohort.frame.assign(file_sha256=hashes)
    found = evaluate(table, group="site", bootstrap=200).metrics
    assert found["clips"] == 567
    assert found["duplicates"]["rows"] == 224
    assert found["duplicates"]["conflicting"]
    # Copies stand under different children, so none of them is left.
    assert found["without_duplicates"]["clips"] == 567 - 224
    assert any("held out with the site" in note for note in found["notes"])


@pytest.mark.slow
def test_real_models_find_the_planted_signal():
    found = evaluate(features(people=60), quick=True, bootstrap=200).metrics
    assert len(found["models"]) == 10
    assert by_name(found["models"])["color+pulse:stacking"]["r2"]["value"] > 0.5
    assert found["incremental_r2"]["low"] > 0
