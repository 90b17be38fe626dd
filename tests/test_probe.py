from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.metrics import roc_auc_score

from pallor.evaluation import probe as probe_module
from pallor.evaluation.bootstrap import area_under_curve, auc_with_interval, resample_counts
from pallor.evaluation.probe import fit_and_score, probe_sex
from pallor.evaluation.probe_plan import plan_probes, sex_of_rows
from pallor.evaluation.protocol import evaluate
from pallor.evaluation.splits import Plan, Split, make_plan
from pallor.evaluation.task import Task
from pallor.report import words


class Line:
    """The cheapest model there is; the probe does not look at it."""

    def __init__(self, modalities, learners, seed, quick):
        self.asked = (modalities, learners, seed, quick)

    def fit(self, X, y, groups):
        assert len(groups) == len(X)
        self.model = LinearRegression().fit(np.nan_to_num(X.iloc[:, :1].to_numpy(float)), y)

    def predict(self, X):
        return self.model.predict(np.nan_to_num(X.iloc[:, :1].to_numpy(float)))


def cohort(people=60, clips=1, seed=0, **modalities):
    """Half the people are male; hemoglobin knows nothing of it unless a feature does."""
    rng = np.random.default_rng(seed)
    is_male = np.arange(people) % 2
    person = np.repeat(np.arange(people), clips)
    table = pd.DataFrame(
        {
            "participant_id": [f"p{i:04d}" for i in person],
            "clip": [f"{i:05d}.mp4" for i in range(len(person))],
            "session": "s1",
            "sex": np.where(is_male, "male", "female")[person],
            "age_years": 40.0,
            "hemoglobin_g_dl": rng.normal(14, 1.5, people)[person],
        }
    )
    columns = {}
    for name, make in modalities.items():
        values = np.asarray(make(rng, is_male[person].astype(float)), dtype=float)
        for i, column in enumerate(values.reshape(len(person), -1).T):
            columns[f"{name}.skin.f{i}"] = column
    return pd.concat([table, pd.DataFrame(columns)], axis=1)


def gap(d):
    return lambda rng, is_male: d * is_male + rng.normal(size=len(is_male))


def noise(columns):
    return lambda rng, is_male: rng.normal(size=(len(is_male), columns))


def probed(table, **options):
    options = {"bootstrap": 500, "repeats": 1, "regressors": ["stacking"], **options}
    metrics = evaluate(table, model_factory=Line, **options).metrics
    return {entry["modality"]: entry for entry in metrics["sex_probe"]}, metrics


def normal_cdf(x):
    return (1 + math.erf(x / math.sqrt(2))) / 2


def standard_error(auc, positives, negatives):
    # Hanley and McNeil, Radiology 1982;143:29-36, formula 1 with their Q1 and Q2.
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = (
        auc * (1 - auc) + (positives - 1) * (q1 - auc**2) + (negatives - 1) * (q2 - auc**2)
    ) / (positives * negatives)
    return math.sqrt(variance)


def test_area_is_that_of_an_independent_implementation_with_weights_and_ties():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 8, 60) / 8.0
    positive = rng.random(60) < 0.4
    weights = rng.integers(0, 4, (20, 60)).astype(float)
    expected = [roc_auc_score(positive, scores, sample_weight=row) for row in weights]
    np.testing.assert_allclose(area_under_curve(scores, positive, weights), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("scores", "expected"), [([1, 2, 3, 4], 1.0), ([4, 3, 2, 1], 0.0), ([7, 7, 7, 7], 0.5)]
)
def test_area_of_perfect_reversed_and_tied_scores(scores, expected):
    positive = np.array([False, False, True, True])
    assert area_under_curve(np.array(scores, float), positive, np.ones(4)) == expected


def test_area_without_one_of_the_classes_is_undefined():
    weights = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    found = area_under_curve(np.arange(3.0), np.array([True, True, False]), weights)
    assert np.isnan(found[0])
    assert found[1] == 0.0


def test_area_is_computed_in_each_repeat_and_then_averaged():
    positive = np.array([False, True, False, True])
    scores = np.array([[1.0, 2, 3, 4], [1.0, 1, 1, 0]])
    counts = resample_counts(4, 0, 0)
    found = auc_with_interval(scores, positive, np.arange(4), counts)
    # Three of four pairs; then two ties and two pairs the wrong way round.
    assert found.value == (0.75 + 0.25) / 2
    assert math.isnan(found.low)


@pytest.mark.parametrize("d", [0.5, 1.0, 2.0])
def test_one_gaussian_feature_has_the_auc_of_the_closed_form(d):
    entries, _ = probed(cohort(400, color=gap(d)), bootstrap=1000)
    expected = normal_cdf(d / math.sqrt(2))
    error = standard_error(expected, 200, 200)
    auc = entries["color"]["auc"]
    assert abs(auc["value"] - expected) < 3 * error
    assert auc["low"] < expected < auc["high"]
    # The interval of the bootstrap is as wide as theory wants it.
    assert (auc["high"] - auc["low"]) / (2 * 1.96 * error) == pytest.approx(1.0, abs=0.2)
    assert entries["color"]["participants"] == {"female": 200, "male": 200}
    assert entries["color"]["note"] is None


def test_noise_of_many_columns_tells_nothing():
    entries, _ = probed(cohort(120, color=noise(5), pulse=noise(400)))
    for name in ("color", "pulse"):
        auc = entries[name]["auc"]
        assert auc["low"] < 0.5 < auc["high"], name


@pytest.mark.slow
def test_noise_scores_one_half_on_average_but_for_what_pooling_costs():
    values = [
        probed(cohort(120, seed=seed, color=noise(3)), bootstrap=0)[0]["color"]["auc"]["value"]
        for seed in range(60)
    ]
    error = np.std(values, ddof=1) / math.sqrt(len(values))
    assert 0.5 - 0.02 - 3 * error < np.mean(values) < 0.5 + 3 * error


def test_sex_spread_thinly_over_many_columns_is_found():
    # Each of 2000 columns tells next to nothing (AUC 0.56); together they tell all.
    spread = lambda rng, is_male: 0.2 * is_male[:, None] + rng.normal(size=(len(is_male), 2000))  # noqa: E731
    entries, _ = probed(cohort(120, color=spread))
    assert entries["color"]["auc"]["low"] > 0.9


def test_order_of_the_rows_changes_nothing():
    table = cohort(40, clips=2, color=gap(1.0), pulse=noise(60))
    shuffled = table.sample(frac=1, random_state=3).reset_index(drop=True)
    assert probed(table)[0] == probed(shuffled)[0]


def test_clips_of_one_session_count_as_one_unit():
    single = cohort(60, color=gap(1.0))
    threefold = single.loc[np.repeat(np.arange(60), 3)].reset_index(drop=True)
    threefold["clip"] = [f"{i}.mp4" for i in range(180)]
    one, three = probed(single)[0]["color"], probed(threefold)[0]["color"]
    assert three["participants"] == one["participants"]
    for key in ("value", "low", "high"):
        assert three["auc"][key] == pytest.approx(one["auc"][key], abs=1e-9)


def test_memory_of_people_does_not_pay():
    # All clips of a person are equal, and say nothing of sex: split by clip, the probe would
    # recognize the person.
    apart, leaked = [], []
    for seed in range(10):
        table = cohort(60, clips=6, seed=seed, color=noise(36))
        columns = [name for name in table if name.startswith("color.")]
        table[columns] = table.groupby("participant_id")[columns].transform("first")
        apart.append(probed(table, bootstrap=0)[0]["color"]["auc"]["value"])
        values, is_male = table[columns].to_numpy(), (table["sex"] == "male").to_numpy()
        even = np.arange(len(table)) % 2 == 0
        scores = fit_and_score(values[even], is_male[even], values[~even], 0)
        leaked.append(roc_auc_score(is_male[~even], scores))
    assert abs(np.mean(apart) - 0.5) < 3 * np.std(apart, ddof=1) / math.sqrt(len(apart))
    assert min(leaked) > max(apart)


def test_every_fit_is_on_people_that_it_does_not_score(monkeypatch):
    # The first feature is the participant's number, so each fit can be looked at.
    table = cohort(30, clips=3, color=noise(2))
    table["color.skin.f0"] = table["participant_id"].str[1:].astype(float)
    table["content_sha256"] = [f"c{i}" for i in range(len(table))]
    table.loc[0, "content_sha256"] = table.loc[40, "content_sha256"] = "same"
    seen = []

    def spy(train, is_male, test, seed):
        seen.append((set(train[:, 0]), set(test[:, 0])))
        return fit_and_score(train, is_male, test, seed)

    monkeypatch.setattr(probe_module, "fit_and_score", spy)
    probed(table, repeats=2)
    assert len(seen) == 10
    for train, test in seen:
        assert not train & test
        # A content that two people share ties them together.
        assert (0.0 in test) == (13.0 in test)
    for repeat in (seen[:5], seen[5:]):
        assert sorted(number for _, test in repeat for number in test) == list(range(30))


def test_people_of_unknown_sex_are_left_out_and_counted():
    table = cohort(60, clips=2, color=gap(1.0))
    unknown = table["participant_id"].isin([f"p{i:04d}" for i in range(7)])
    # A person's clips tell one another; contradictions do not count.
    table.loc[unknown, "sex"] = None
    table.loc[20, "sex"] = None
    table.loc[22, "sex"] = {"male": "female", "female": "male"}[table.loc[22, "sex"]]
    entries, _ = probed(table)
    assert entries["color"]["left_out"] == {"sex_unknown": 8, "no_features": 0}
    assert sum(entries["color"]["participants"].values()) == 52
    rest = table[~unknown & (table["participant_id"] != "p0011")]
    assert entries["color"]["participants"] == {
        sex: rest.loc[rest["sex"] == sex, "participant_id"].nunique() for sex in ("female", "male")
    }


def test_people_without_features_of_a_modality_are_left_out_of_its_probe():
    table = cohort(60, color=gap(1.0), pulse=gap(1.0))
    table.loc[:8, "pulse.skin.f0"] = np.nan
    entries, _ = probed(table)
    assert entries["color"]["participants"] == {"female": 30, "male": 30}
    assert entries["pulse"]["participants"] == {"female": 25, "male": 26}
    assert entries["pulse"]["left_out"] == {"sex_unknown": 0, "no_features": 9}


def test_sex_of_a_participant_is_what_all_their_rows_say():
    table = pd.DataFrame(
        {
            "participant_id": ["a", "a", "b", "b", "c", "d"],
            "sex": ["male", None, "male", "female", None, "female"],
        }
    )
    np.testing.assert_array_equal(sex_of_rows(table), [1, 1, np.nan, np.nan, np.nan, 0])


@pytest.mark.parametrize("males", [0, 4])
def test_one_sex_or_too_few_of_it_gives_null_and_the_reason(males):
    table = cohort(40, color=gap(1.0), pulse=noise(2))
    table["sex"] = np.where(np.arange(40) < males, "male", "female")
    entries, metrics = probed(table)
    for name in ("color", "pulse"):
        assert entries[name]["auc"] is None
        assert entries[name]["participants"] == {"female": 40 - males, "male": males}
    (note,) = [note for note in metrics["notes"] if "Telling sex" in note]
    assert "color, pulse" in note
    assert f"{40 - males} female and {males} male" in note
    assert "is unknown" in words.probed(entries["color"])


def test_five_of_each_sex_are_enough():
    table = cohort(40, color=gap(1.0))
    table["sex"] = np.where(np.arange(40) < 5, "male", "female")
    assert probed(table, folds=3)[0]["color"]["auc"]["value"] >= 0


def test_table_without_sex_gives_null():
    entries, metrics = probed(cohort(20, color=gap(1.0)).drop(columns="sex"))
    assert entries["color"]["auc"] is None
    assert entries["color"]["left_out"] == {"sex_unknown": 20, "no_features": 0}
    assert any("Telling sex from color" in note for note in metrics["notes"])


def test_site_that_holds_all_men_leaves_nobody_to_learn_men_from():
    table = cohort(60, color=gap(1.0))
    is_male = table["sex"] == "male"
    table["site"] = np.where(is_male, "M", np.where(np.arange(60) % 4, "F", "G"))
    entries, metrics = probed(table, group="site")
    assert entries["color"]["auc"] is None
    assert "leaves one sex only to train on" in entries["color"]["note"]
    assert any("Telling sex from color: one fold holds all" in note for note in metrics["notes"])
    # Of two such sites each can be learned from without the other.
    table.loc[table.index[-20:], "site"] = "N"
    entries, _ = probed(table, group="site")
    assert entries["color"]["auc"]["value"] > 0.5
    assert entries["color"]["note"] is None


def test_repeat_that_cannot_be_fitted_is_left_out_and_the_others_scored():
    table = cohort(40, color=gap(1.0))
    is_male = np.arange(40) % 2 == 1
    halves = [is_male, np.arange(40) < 20]
    splits = tuple(
        Split(repeat, fold, str(fold), np.flatnonzero(half != fold), np.flatnonzero(half == fold))
        for repeat, half in enumerate(halves)
        for fold in (0, 1)
    )
    plan = Plan("nested", 2, 2, None, splits)
    (probe,) = plan_probes(table, plan, ["color"])
    assert [(split.repeat, split.fold) for split in probe.splits] == [(1, 0), (1, 1)]
    assert probe.note.startswith("1 of 2 repeats are left out")
    everyone = np.arange(40)
    task = Task(table, np.zeros(40), everyone, everyone, plan, (), Line, 0, False)
    found = probe_sex(table, probe, task, bootstrap=100)
    values = table[["color.skin.f0"]].to_numpy()
    scores = np.empty(40)
    for split in splits[2:]:
        train, test = split.train, split.test
        scores[test] = fit_and_score(values[train], is_male[train], values[test], 0)
    assert found["auc"]["value"] == pytest.approx(roc_auc_score(is_male, scores), abs=1e-12)
    assert found["auc"]["low"] < found["auc"]["value"] < found["auc"]["high"]


def test_demographics_are_not_probed():
    entries, _ = probed(cohort(30, color=gap(1.0)), modalities=["color", "demographics"])
    assert list(entries) == ["color"]


def test_column_that_never_varies_says_one_half():
    entries, _ = probed(cohort(30, color=lambda _rng, is_male: np.ones(len(is_male))))
    assert entries["color"]["auc"] == {"value": 0.5, "low": 0.5, "high": 0.5}


def test_a_probe_takes_two_repeats_and_a_quick_one_the_first():
    table = cohort(40, color=gap(1.0))
    components = np.arange(40)
    plan = make_plan(table, components, repeats=3)
    for quick, repeats in ((True, {0}), (False, {0, 1})):
        (probe,) = plan_probes(table, plan, ["color"], quick=quick)
        assert {split.repeat for split in probe.splits} == repeats


def test_cohort_without_features_has_nothing_to_probe():
    entries, metrics = probed(cohort(30))
    assert entries == {}
    assert not any("Telling sex" in note for note in metrics["notes"])


@pytest.mark.parametrize(
    ("auc", "said"),
    [
        (
            {"value": 0.712, "low": 0.6, "high": 0.81},
            "sex can be told from color with an AUC of 0.71 [0.60, 0.81] (0.5 is chance)",
        ),
        (
            {"value": 0.712, "low": None, "high": None},
            "sex can be told from color with an AUC of 0.71 (0.5 is chance)",
        ),
    ],
)
def test_probe_is_told_in_words(auc, said):
    assert words.probed({"modality": "color", "auc": auc}) == said
