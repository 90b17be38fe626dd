"""Every way known to us in which a test part tells a model its answers, planted.

Each test plants one leak and shows that the protocol is immune to it or says so; where it can,
it shows as well that the leak is a strong one, by what a careless evaluation makes of it.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pallor.cohort.folds import components
from pallor.evaluation import main_model, shared_fitting
from pallor.evaluation.fitting import out_of_fold
from pallor.evaluation.metrics import r2
from pallor.evaluation.protocol import evaluate
from pallor.evaluation.splits import make_plan
from pallor.evaluation.suspicion import suspicion_notes, suspicious_columns
from pallor.evaluation.task import Spec, Task, fused_regressor
from pallor.models.fusion import FusedRegressor
from pallor.models.preprocessing import DEMOGRAPHIC_COLUMNS
from pallor.models.regressors import LEARNERS, REGRESSORS
from planted import Nearest, by_name, cheap, features

PROTOCOLS = [
    {"repeats": 1},
    {"protocol": "quick"},
    {"protocol": "holdout", "repeats": 6},
    {"group": "site"},
    {"protocol": "fold"},
]
ALL = "color+pulse:stacking"


@pytest.fixture
def few_learners(monkeypatch):
    """The default models, from learners that are fitted fast."""
    monkeypatch.setitem(REGRESSORS, "stacking", ("ridge", "pls", "chromophore"))


def measured(table):
    return [name for name in table.columns if name.startswith(("color.", "pulse."))]


def r2_of(found, name=ALL):
    return by_name(found["models"])[name]["r2"]["value"]


def people_of(table):
    return table["participant_id"].str[1:].astype(int).to_numpy()


def recognizable(people=60, clips=4, seed=0):
    """Everybody looks different, all clips of one alike, and nothing goes with hemoglobin."""
    table = features(people=people, clips=clips, signal=0.0, seed=seed)
    table["fold"] = [str(number % 4) for number in people_of(table)]
    table[measured(table)] = table.groupby("participant_id")[measured(table)].transform("first")
    return table


def remembering(X, y):
    """What a model says that remembers, split by clip."""
    folds = KFold(5, shuffle=True, random_state=0)
    return cross_val_predict(KNeighborsRegressor(1), X, y, cv=folds)


def careless(table):
    """R2 of such a model."""
    y = table["hemoglobin_g_dl"].to_numpy()
    return r2(y, remembering(table[measured(table)], y))


# Who is on both sides of a split.


@pytest.mark.parametrize("options", PROTOCOLS, ids=str)
def test_clips_of_one_person_are_never_on_both_sides(options):
    """Trap: clips of one subject in two folds, which a model that remembers faces turns to gold."""
    table = recognizable()
    assert careless(table) > 0.8
    assert r2_of(cheap(table, model_factory=Nearest, **options).metrics) < 0.1


def test_given_folds_and_sites_do_not_divide_a_person():
    """Trap: clips of one subject in two folds, because a column of folds or sites says so."""
    table = recognizable(clips=4)
    table["fold"] = ["1", "2", "3", "4"] * 60
    table["site"] = ["A", "A", "B", "B"] * 60
    table.loc[people_of(table) % 2 == 1, "site"] = ["B", "B", "B", "A"] * 30
    for options in ({"protocol": "fold"}, {"group": "site"}):
        if options == {"protocol": "fold"}:
            table.loc[people_of(table) % 3 == 0, "fold"] = "2"
        found = cheap(table, model_factory=Nearest, **options).metrics
        assert r2_of(found) < 0.1
        assert any("most clips of their participant" in note for note in found["notes"])


def test_augmented_clips_stay_with_their_person():
    """Trap: augmentation before the split, whose products land on the other side."""
    table = recognizable(clips=1)
    rng = np.random.default_rng(0)
    made = pd.concat([table] * 6, ignore_index=True)
    made[measured(made)] += rng.normal(0, 0.01, (len(made), len(measured(made))))
    made["clip"] = [f"{i}.mp4" for i in range(len(made))]
    made[["file_sha256", "content_sha256"]] = None
    assert careless(made) > 0.9
    assert r2_of(cheap(made, model_factory=Nearest).metrics) < 0.1


def test_one_person_under_two_names_is_one():
    """Trap: duplicate subjects; one content under several IDs is one component, and is told."""
    table = recognizable(people=60, clips=1)
    copies = table.iloc[:40].copy()
    copies["participant_id"] = "q" + copies["participant_id"].str[1:]
    copies["clip"] = "copy-" + copies["clip"]
    copies["hemoglobin_g_dl"] += np.where(np.arange(40) < 10, 0.3, 0.0)
    both = pd.concat([table, copies], ignore_index=True)
    y = both["hemoglobin_g_dl"].to_numpy()
    copied = both["content_sha256"].duplicated(keep=False).to_numpy()
    # Each person has one clip, so this split keeps every participant together.
    assert r2(y[copied], remembering(both[measured(both)], y)[copied]) > 0.3
    number = pd.Series(components(both)).groupby(both["content_sha256"])
    assert number.nunique().max() == 1
    assert number.first().nunique() == 60
    found = cheap(both, model_factory=Nearest).metrics
    assert r2_of(found) < 0.1
    assert found["duplicates"]["across_participants"] == 40
    assert len(found["duplicates"]["conflicting"]) == 10
    # Scored with the copies and without: of those 20 remain whom nobody shares.
    assert (found["participants"], found["without_duplicates"]["participants"]) == (100, 20)
    assert {entry["name"] for entry in found["without_duplicates"]["models"]} == {
        entry["name"] for entry in found["models"]
    }


@pytest.mark.shared
def test_the_copies_of_a_published_set_pay_nobody(shared):
    """Trap: duplicate subjects, as they are in CP-AnemiC: 224 of its 567 stills are copies.

    The features are numbers drawn for each content, so that the only thing to be learned is
    which still has been seen before.
    """
    from pallor.cohort.readers import READERS

    cohort = READERS["cp-anemic"](shared / "cp_anemic")
    contents = [path.read_bytes() for path in cohort.clip_paths()]
    table = cohort.frame.assign(file_sha256=[hashlib.sha256(c).hexdigest() for c in contents])
    seeds = [int(digest[:12], 16) for digest in table["file_sha256"]]
    drawn = np.stack([np.random.default_rng(seed).normal(size=3) for seed in seeds])
    for i, column in enumerate(drawn.T):
        table[f"color.conjunctiva.x{i}.mean"] = column
    copied = table["file_sha256"].duplicated(keep=False).to_numpy()
    assert copied.sum() == 224
    y = table["hemoglobin_g_dl"].to_numpy()
    r_careless = np.corrcoef(remembering(drawn, y)[copied], y[copied])[0, 1]

    result = cheap(table, model_factory=Nearest, repeats=1)
    said = result.predictions.groupby("participant_id")[["hemoglobin_g_dl", "color:stacking"]]
    those = said.mean().loc[table.loc[copied, "participant_id"].astype(str).unique()]
    r_ours = np.corrcoef(those.to_numpy().T)[0, 1]
    assert r_careless > 0.3
    assert abs(r_ours) < 3 / np.sqrt(len(those))
    assert result.metrics["duplicates"]["rows"] == 224
    assert result.metrics["without_duplicates"]["clips"] == 567 - 224


# A label among the features.


def code_of(hb):
    """A code without any order, the same for equal values of hemoglobin."""
    return [int(hashlib.sha256(f"{value:.1f}".encode()).hexdigest()[:8], 16) for value in hb]


LABELS = {
    "itself": lambda hb: hb,
    "in other units": lambda hb: 10 * hb - 3,
    "its rank": lambda hb: np.argsort(np.argsort(hb)),
    "bent": lambda hb: np.exp(hb),
    "nearly itself": lambda hb: hb + np.random.default_rng(9).normal(0, 0.1, len(hb)),
    "a code of it": code_of,
    "the number of the row in a sorted file": lambda hb: np.searchsorted(np.sort(hb), hb),
}


@pytest.mark.parametrize("label", LABELS)
def test_a_label_among_the_features_is_named(label):
    """Trap: a leaked label column; no split shows it, but nothing of the skin is that good."""
    table = features(people=150, clips=2, signal=1.0)
    table["hemoglobin_g_dl"] = table["hemoglobin_g_dl"].round(1)
    table["color.nose.x.mean"] = np.asarray(LABELS[label](table["hemoglobin_g_dl"]), dtype=float)
    notes = cheap(table, repeats=1, folds=2, bootstrap=20).metrics["notes"]
    (warning,) = [note for note in notes if "laboratory analyzers" in note]
    assert warning.startswith("Warning: color.nose.x.mean alone tell")
    assert notes[0] == warning


def test_a_label_in_two_columns_is_given_away_by_the_score():
    """Trap: a leaked label that no single column shows; the score of the model is too good."""
    table = features(people=60)
    noise = np.random.default_rng(3).normal(0, 0.8, len(table))
    table["color.nose.x.mean"] = table["hemoglobin_g_dl"] + noise
    table["color.nose.y.mean"] = noise
    notes = cheap(table, repeats=1, bootstrap=20).metrics["notes"]
    assert any(note.startswith("Warning: the R2 of color:stacking") for note in notes)
    assert not any("alone tell" in note for note in notes)


@pytest.mark.parametrize("people", [25, 60, 150])
def test_honest_features_are_not_accused(people):
    """The other side of that trap: good features, sex, constants and gaps raise no alarm."""
    table = features(people=people, signal=1.0, seed=people)
    table = table.sort_values("hemoglobin_g_dl", ignore_index=True)
    seen = pd.DataFrame(
        {
            "good": table["color.lips.log_rg.mean"],
            "sex": table["sex"] == "male",
            "constant": 1.0,
            "nearly constant": np.arange(len(table)) == 3,
            "empty": np.nan,
            "few": np.where(people_of(table) < 19, table["hemoglobin_g_dl"], np.nan),
            "fold": people_of(table) % 3,
            "name": people_of(table),
        }
    ).astype(float)
    numbers = components(table)
    assert suspicious_columns(seen, table["hemoglobin_g_dl"], numbers) == ()
    notes = cheap(features(people=people, signal=1.0), repeats=1, folds=2, bootstrap=20)
    assert not any(note.startswith("Warning") for note in notes.metrics["notes"])


def test_suspicion_counts_participants_and_not_clips():
    """Trap: a leaked label column; clips of few people, or one's own clips, prove nothing."""
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(19), 10)
    hb = rng.normal(13, 1.5, 19)[person]
    table = pd.DataFrame({"color.a.x.mean": hb})
    assert suspicious_columns(table, hb, person) == ()
    person = np.repeat(np.arange(40), 10)
    hb = rng.normal(13, 1.5, 40)[person]
    # Who it is, which tells one's own hemoglobin from one's other clips and nobody else's.
    table = pd.DataFrame({"color.a.x.mean": rng.permutation(40)[person], "color.a.y.mean": hb})
    assert suspicious_columns(table, hb, person) == ("color.a.y.mean",)
    # Nor do one's own sessions vouch for one another.
    near = hb + np.tile([0.0, 0.01], 200)
    assert suspicious_columns(table[["color.a.x.mean"]], near, person) == ()
    # Clips are averaged, so that their noise does not hide a label.
    noisy = pd.DataFrame({"leak": hb + rng.normal(0, 0.6, 400)})
    assert np.corrcoef(noisy["leak"], hb)[0, 1] < 0.95
    assert suspicious_columns(noisy, hb, person) == ("leak",)
    # Two sessions of different hemoglobin: each counts with its own.
    hb = hb + np.tile([0.0, 1.0], 200)
    assert suspicious_columns(pd.DataFrame({"leak": np.exp(hb)}), hb, person) == ("leak",)


@pytest.mark.parametrize("people", [20, 40])
def test_a_bent_label_is_named_in_small_cohorts(people):
    """Trap: a leaked label column; its ranks tell where few neighbors are too far apart."""
    hb = np.random.default_rng(people).normal(13, 1.5, people)
    bent = pd.DataFrame({"up": np.exp(3 * hb), "down": -np.exp(3 * hb)})
    assert abs(np.corrcoef(bent["up"], hb)[0, 1]) < 0.7
    assert suspicious_columns(bent, hb, np.arange(people)) == ("up", "down")


def test_suspicion_ends_at_its_threshold_and_names_at_most_five():
    """Trap: a leaked label column; a correlation of 0.98 is the limit."""
    rng = np.random.default_rng(0)
    hb, noise = rng.normal(size=(2, 400))
    noise -= hb * (noise @ hb) / (hb @ hb)
    noise *= np.sqrt((hb @ hb) / (noise @ noise))
    seen = pd.DataFrame(
        {str(r): r * hb + np.sqrt(1 - r**2) * noise for r in (0.9, 0.97, 0.979, 0.99)}
    )
    seen -= seen.mean()
    assert suspicious_columns(seen, hb - hb.mean(), np.arange(400)) == ("0.99",)
    entry = {"name": "color:stacking", "r2": {"value": 0.979}}
    table = pd.DataFrame({"hemoglobin_g_dl": hb})
    assert suspicion_notes((), [entry], table) == []
    (note,) = suspicion_notes([f"f{i}" for i in range(8)], [], table)
    assert "f0, f1, f2, f3, f4 and 3 more alone" in note


# Selection and preparation on rows that are scored.


def noise_table(people=80, columns=2000, seed=0):
    rng = np.random.default_rng(seed)
    table = features(people=people, clips=1, signal=0.0, seed=seed)
    table = table.drop(columns=measured(table))
    names = [f"color.chin.x{i}.mean" for i in range(columns)]
    return table.join(pd.DataFrame(rng.normal(size=(people, columns)), columns=names))


def test_nothing_is_selected_on_all_data(monkeypatch):
    """Trap: selection on all data; the best 20 of 2000 columns of noise would score well.

    What users select before they come to us cannot be seen from here. That we do not select
    outside of the training part can: the same columns score nothing when they all come in.
    """
    monkeypatch.setitem(REGRESSORS, "stacking", ("pls", "chromophore"))
    table = noise_table()
    X, y = table[measured(table)].to_numpy(), table["hemoglobin_g_dl"].to_numpy()
    best = SelectKBest(f_regression, k=20).fit_transform(X, y)
    model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-1, 3, 5)))
    assert r2(y, cross_val_predict(model, best, y, cv=5)) > 0.5
    found = evaluate(table, quick=True, regressors=["stacking"], bootstrap=200).metrics
    assert r2_of(found, "color:stacking") < 0.1
    assert found["incremental_r2"]["low"] <= 0


def some_task(learners, *, protocol="nested", people=40, clips=2, known=True, seed=0, **changes):
    """A task for the default models, of one modality whose many columns see hemoglobin."""
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(people), clips)
    male = rng.integers(0, 2, people)[person]
    y = 13.0 + 1.5 * male + rng.normal(0, 1.2, people)[person]
    values = rng.normal(0, 1, (len(y), 40)) + 0.5 * (y - y.mean())[:, None]
    values[5, 3] = values[11, 7] = np.nan
    pairs = ("lips.log_rg", "lips.log_gb", "chin.log_rg", "chin.log_gb")
    names = [f"color.{pair}.mean" for pair in pairs]
    names += [f"color.chin.x{i}.p50" for i in range(36)]
    table = pd.DataFrame(values, columns=names)
    for name in DEMOGRAPHIC_COLUMNS:
        table[name] = 40.0 + person if "age" in name else male.astype(float)
    modalities = ("demographics", "color") if known else ("color",)
    columns = tuple(table.columns if known else names)
    plan = make_plan(pd.DataFrame({"hemoglobin_g_dl": y}), person, folds=3, repeats=1)
    values = {
        "features": table, "outcome": y, "components": person, "inner_groups": person,
        "plan": plan, "specs": (Spec(modalities, "one", tuple(learners), columns),),
        "factory": fused_regressor, "seed": 4, "quick": False,
    }  # fmt: skip
    return Task(**(values | changes))


def said_of(task):
    """What comes of the first split: predictions of its test rows, residuals, weights."""
    first = replace(task.plan, splits=task.plan.splits[:1])
    found = out_of_fold(replace(task, plan=first))
    (name,) = found.predicted
    residuals, weights = found.residuals[name][0], found.weights[name][0]
    return found.predicted[name][0, first.splits[0].test], residuals, weights


@pytest.mark.parametrize("known", [False, True], ids=["plain", "sex and age out"])
@pytest.mark.parametrize("learner", LEARNERS)
def test_features_of_a_test_row_do_not_reach_the_model_or_other_rows(learner, known):
    """Trap: scaler, imputer, components, selector or target statistics fitted on all data."""
    task = some_task([learner], known=known, quick=learner in ("xgboost", "extra_trees"))
    wild = task.features.copy()
    rng = np.random.default_rng(1)
    changed, *rest = task.plan.splits[0].test
    width = wild.shape[1]
    wild.iloc[changed] = np.where(rng.random(width) < 0.3, np.nan, rng.normal(0, 1e6, width))
    before, after = said_of(task), said_of(replace(task, features=wild))
    others = np.isin(task.plan.splits[0].test, rest)
    assert np.array_equal(before[0][others], after[0][others])
    assert not np.array_equal(before[0], after[0])
    for one, other in zip(before[1], after[1], strict=True):
        assert np.array_equal(one, other)
    assert before[2] == after[2]
    assert max(before[2].values()) > 0


def test_models_of_others_see_training_rows_alone():
    """Trap: the same for a model of one's own, which is given its training part and no more."""
    task = some_task(["ridge"])
    seen = []

    class Watched(FusedRegressor):
        def fit(self, X, y, groups):
            seen.append((X.index.to_numpy(), y, groups))
            return super().fit(X, y, groups)

    def factory(modalities, learners, seed, quick):
        return Watched(modalities, learners, seed=seed, quick=quick)

    own = out_of_fold(replace(task, factory=factory))
    shared = out_of_fold(task)
    for name, values in own.predicted.items():
        assert np.allclose(values, shared.predicted[name], atol=1e-9)
    for (rows, y, groups), split in zip(seen, task.plan.splits, strict=True):
        assert np.array_equal(rows, split.train)
        assert np.array_equal(y, task.outcome[split.train])
        assert np.array_equal(groups, task.components[split.train])


def in_three_folds(**options):
    """A cohort with folds that are given, so that no outcome can move anybody."""
    table = features(people=36, clips=2, **options)
    rng = np.random.default_rng(5)
    table["fold"] = [str(number % 3) for number in people_of(table)]
    table["color.background.luma.mean"] = rng.normal(size=len(table))
    table["snr_db"] = rng.normal(size=len(table))
    table["usable_pulse"] = table["snr_db"] > -1
    return table


def scored(table):
    return evaluate(table, protocol="fold", quick=True, regressors=["stacking"], bootstrap=50)


def said_in_fold(result, fold):
    """What every model says of those who are held out together."""
    rows = result.predictions[people_of(result.predictions) % 3 == fold]
    rows = rows.set_index("participant_id")
    return rows.drop(columns=["session", "hemoglobin_g_dl", "repeat", "fold"])


def test_features_of_one_person_change_nothing_for_others_tested_with_them(few_learners):
    """Trap: anything fitted on all data anywhere on the way from the table to the scores."""
    table = in_three_folds()
    wild = table.copy()
    rows = table["participant_id"] == "p006"
    rng = np.random.default_rng(1)
    for name in measured(table):
        wild.loc[rows, name] = rng.normal(0, 1e5, 2).astype(wild[name].dtype)
    wild.loc[rows, ["age_years", "sex"]] = [97.0, "female"]
    before, after = (said_in_fold(scored(one), 0) for one in (table, wild))
    assert set(before.columns) >= {"baseline:sex_age", "demographics+background:stacking", ALL}
    others = before.index != "p006"
    pd.testing.assert_frame_equal(before[others], after[others], check_exact=True)
    assert (before.loc["p006"] != after.loc["p006"]).any()


OUTCOMES = {
    "shifted": lambda y: y + 3.0,
    "exchanged": lambda y: y[::-1],
    "one outlier": lambda y: np.where(np.arange(len(y)) < 2, 25.0, y),
    "all alike": lambda y: np.full(len(y), 13.0),
}


@pytest.mark.parametrize("outcomes", OUTCOMES)
def test_outcomes_of_the_test_part_reach_no_prediction_width_or_threshold(
    few_learners, monkeypatch, outcomes
):
    """Trap: hyper-parameters, early stopping, bounds, calibration or thresholds set on test."""
    widths = []

    def spied(*arguments, **options):
        widths.append(original(*arguments, **options))
        return widths[-1]

    original = main_model.half_widths_of_splits
    monkeypatch.setattr(main_model, "half_widths_of_splits", spied)
    table = in_three_folds(signal=0.3)
    changed = table.copy()
    rows = table["fold"] == "0"
    changed.loc[rows, "hemoglobin_g_dl"] = OUTCOMES[outcomes](
        table.loc[rows, "hemoglobin_g_dl"].to_numpy()
    )
    before, after = scored(table), scored(changed)
    for fold in (0, 1, 2):
        # In the other folds these outcomes train.
        equal = said_in_fold(before, fold).equals(said_in_fold(after, fold))
        assert equal == (fold == 0)
        tested = people_of(before.predictions) % 3 == fold
        equal = np.array_equal(widths[0][0][:, tested], widths[1][0][:, tested])
        assert equal == (fold == 0)
    gates = [one.metrics["quality"]["chosen_in_training"]["thresholds"] for one in (before, after)]
    assert gates[0][0] == gates[1][0]
    assert gates[0][0] is not None


@pytest.mark.parametrize("known", [False, True], ids=["plain", "sex and age out"])
@pytest.mark.parametrize("outcomes", OUTCOMES)
def test_outcomes_of_the_test_part_choose_no_candidate(outcomes, known):
    """Trap: hyper-parameters tuned on the test part, where there are many to choose from."""
    task = some_task(["ridge", "pls", "svr", "chromophore"], known=known)
    test = task.plan.splits[0].test
    changed = task.outcome.copy()
    changed[test] = OUTCOMES[outcomes](task.outcome[test])
    before, after = said_of(task), said_of(replace(task, outcome=changed))
    assert np.array_equal(before[0], after[0])
    for one, other in zip(before[1], after[1], strict=True):
        assert np.array_equal(one, other)
    assert before[2] == after[2]


# Inside the training part.


def remembered(ignore_groups, learners=("random_forest", "ridge"), clips=5):
    """A task without any signal in which everybody can be recognized."""
    rng = np.random.default_rng(2)
    task = some_task(learners, people=40, clips=clips, known=False)
    table = task.features.copy()
    faces = rng.normal(size=(40, table.shape[1]))[task.components]
    table[:] = faces + 0.02 * rng.normal(size=table.shape)
    groups = np.arange(len(table)) if ignore_groups else task.components
    return replace(task, features=table, inner_groups=groups, quick=True)


def inner_and_outer(task):
    found = out_of_fold(task)
    (name,) = found.predicted
    inner = []
    for rows, residuals in found.residuals[name]:
        y = task.outcome[rows]
        inner.append(r2(y, y - residuals))
    return np.mean(inner), r2(task.outcome, found.predicted[name][0]), found.weights[name]


def test_the_stack_is_weighed_on_people_it_has_not_seen():
    """Trap: a meta learner trained on predictions of clips whose person its members have seen."""
    inner, outer, weights = inner_and_outer(remembered(ignore_groups=False))
    assert inner < 0.1
    assert outer > -0.1
    assert all(sum(one.values()) < 0.05 for one in weights)
    # Inner folds that ignore groups believe in memory, and pay for it outside.
    fooled, paid, believed = inner_and_outer(remembered(ignore_groups=True))
    assert fooled > 0.7
    assert paid < outer
    assert all(sum(one.values()) > 0.5 for one in believed)


def test_the_stack_is_weighed_on_rows_it_has_not_seen():
    """Trap: a meta learner trained on in-sample predictions, which overfitted members win."""
    task = remembered(ignore_groups=False, learners=("extra_trees", "random_forest"), clips=1)
    inner, _, weights = inner_and_outer(task)
    model = FusedRegressor(("color",), ("extra_trees",), quick=True)
    model.fit(task.features, task.outcome, task.components)
    assert r2(task.outcome, model.predict(task.features)) > 0.4
    assert inner < 0.1
    assert all(sum(one.values()) < 0.05 for one in weights)


@pytest.mark.parametrize("options", PROTOCOLS, ids=str)
def test_inner_folds_keep_together_what_outer_folds_do(few_learners, monkeypatch, options):
    """Trap: inner folds that ignore groups, in any protocol, for copies as for clips."""
    parts = []
    original = shared_fitting.make_part

    def spied(*arguments):
        parts.append(original(*arguments))
        return parts[-1]

    monkeypatch.setattr(shared_fitting, "make_part", spied)
    table = features(people=30, clips=3)
    # People and clips are in the order in which an evaluation takes them.
    table["clip"] = [f"{i:03d}.mp4" for i in range(len(table))]
    table["fold"] = [str(number % 4) for number in people_of(table)]
    table["site"] = np.array(list("ABCDE"))[people_of(table) % 5]
    table.loc[[0, 1, 2], "content_sha256"] = table.loc[[30, 31, 32], "content_sha256"].to_numpy()
    options = {"folds": 3, **options} if "repeats" in options and len(options) == 1 else options
    evaluate(
        table, quick=True, regressors=["stacking"], modalities=["color"], bootstrap=0, **options
    )
    number = components(table)
    site = table["site"].to_numpy()
    full = [part for part in parts if len(part.train) + len(part.test) == len(table)]
    assert len(full) >= 3
    for part in full:
        assert not set(number[part.train]) & set(number[part.test])
        assert sorted(np.concatenate([test for _, test in part.folds])) == list(
            range(len(part.train))
        )
        for train, test in part.folds:
            assert not set(number[part.train][train]) & set(number[part.train][test])
            if options.get("group") == "site":
                # A site that has never been seen is what it is tuned for as well.
                sites = set(site[part.train][train]) & set(site[part.train][test])
                assert len(sites) <= 1


# Who is left out.


def test_nobody_is_left_out_for_what_was_measured_or_missed():
    """Trap: removal of outliers or poor clips by hemoglobin or by residuals."""
    table = in_three_folds()
    table.loc[4, measured(table)] = np.nan
    table.loc[7, "hemoglobin_g_dl"] = np.nan
    rng = np.random.default_rng(0)
    results = []
    changes = (
        lambda y: y,
        rng.permutation,
        lambda y: np.where(y > np.median(y), 24.0, 4.0),
        lambda y: np.where(np.arange(len(y)) < 2, 25.0, y),
    )
    for change in changes:
        changed = table.copy()
        known = table["hemoglobin_g_dl"].notna()
        changed.loc[known, "hemoglobin_g_dl"] = change(
            table.loc[known, "hemoglobin_g_dl"].to_numpy()
        )
        results.append(cheap(changed, protocol="fold", bootstrap=50))
    for result in results[1:]:
        assert result.metrics["flow"] == results[0].metrics["flow"]
        keys = ["participant_id", "session", "repeat", "fold"]
        assert result.predictions[keys].equals(results[0].predictions[keys])
        for entry in result.metrics["models"]:
            error = result.predictions[entry["name"]] - result.predictions["hemoglobin_g_dl"]
            # The worst misses count in full.
            assert entry["mae"]["value"] == pytest.approx(error.abs().mean(), abs=1e-9)
    assert results[0].metrics["flow"]["clips"] == {"read": 72, "scored": 70}


# What goes with hemoglobin and is no blood.


def confounded(strength, people=120, seed=0):
    """The anemic are recorded in a ward with its own light, and color sees light alone."""
    rng = np.random.default_rng(seed)
    table = features(people=people, clips=2, signal=0.0, seed=seed)
    hb = table["hemoglobin_g_dl"].to_numpy()
    cut = np.where(table["sex"] == "male", 14.8, 13.0)
    lot = rng.integers(0, 2, people)[people_of(table)]
    ward = np.where(rng.random(people)[people_of(table)] < strength, hb < cut, lot).astype(int)
    table["site"] = np.where(ward, "ward", "laboratory")
    for place in ("background", "chin", "lips"):
        table[f"color.{place}.luma.mean"] = 2.0 * ward + rng.normal(0, 0.5, len(table))
    table["duration_s"] = 20.0 + 10.0 * ward + rng.normal(0, 2, len(table))
    return table


def alarms(found):
    return {entry["name"]: entry["alarm"] for entry in found["controls"]}


@pytest.mark.parametrize("factory", ["cheap", "default"])
def test_a_ward_of_its_own_for_the_anemic_gives_an_alarm(few_learners, factory):
    """Trap: session, day, camera or light go with hemoglobin; the face only sees the place."""
    options = {"repeats": 1, "bootstrap": 500}
    if factory == "default":
        options |= {"model_factory": fused_regressor, "quick": True}
    ill, well = (cheap(confounded(strength), **options).metrics for strength in (0.9, 0.0))
    assert ill["incremental_r2"]["low"] > 0
    assert alarms(ill) == {"background": True, "face_less": True}
    assert all("no skin" in entry["sentence"] for entry in ill["controls"])
    assert well["incremental_r2"]["low"] <= 0
    assert alarms(well) == {"background": False, "face_less": False}


def test_what_is_learned_of_a_place_is_worth_nothing_at_another():
    """Trap: the same, seen by holding out the place: what looked like blood does not travel."""
    table = confounded(0.9)
    options = {"modalities": ["color"], "bootstrap": 0}
    assert r2_of(cheap(table, repeats=1, **options).metrics, "color:stacking") > 0.1
    assert r2_of(cheap(table, group="site", **options).metrics, "color:stacking") < 0


def test_controls_stay_calm_where_skin_tells_hemoglobin():
    """The other side of that trap: a true signal of the skin gives no alarm."""
    table = confounded(0.0)
    noise = np.random.default_rng(8).normal(0, 0.6, len(table))
    table["color.lips.log_rg.mean"] = table["hemoglobin_g_dl"] - 14 + noise
    found = cheap(table, repeats=1, bootstrap=500).metrics
    assert found["incremental_r2"]["low"] > 0.2
    assert alarms(found) == {"background": False, "face_less": False}


# Order and names.


def same(first, second, close=1e-9):
    """Compare results at any depth: numbers to a hair, all else exactly."""
    if isinstance(first, dict):
        assert first.keys() == second.keys()
        for key, value in first.items():
            same(value, second[key], close)
    elif isinstance(first, list):
        assert len(first) == len(second)
        for one, other in zip(first, second, strict=True):
            same(one, other, close)
    elif isinstance(first, float) and isinstance(second, float):
        assert first == pytest.approx(second, abs=close, rel=close)
    else:
        assert first == second


def test_the_order_of_the_file_changes_nothing(few_learners):
    """Trap: file order; rows that are shuffled give the same evaluation to the last interval."""
    table = in_three_folds()
    shuffled = table.sample(frac=1.0, random_state=1)
    options = {"quick": True, "regressors": ["stacking"], "bootstrap": 100}
    first, second = (evaluate(one, **options) for one in (table, shuffled))
    same(first.metrics, second.metrics)
    pd.testing.assert_frame_equal(first.predictions, second.predictions, check_exact=False)


def test_names_of_participants_change_nothing_but_the_lot():
    """Trap: IDs; no model sees them, and they only decide who is dealt into which fold."""
    table = features(people=40)
    same_order = table.assign(participant_id="x" + table["participant_id"])
    options = {"repeats": 1, "bootstrap": 50}
    first, second = cheap(table, **options), cheap(same_order, **options)
    same(first.metrics, second.metrics)
    # Other names are another deal, and differ no more than another seed.
    others = np.random.default_rng(0).permutation(40)
    names = {f"p{i:03d}": f"p{other:03d}" for i, other in enumerate(others)}
    renamed = cheap(table.assign(participant_id=table["participant_id"].map(names)), **options)
    by_seed = [r2_of(cheap(table, seed=seed, **options).metrics) for seed in range(1, 9)]
    assert min(by_seed) - 0.03 < r2_of(renamed.metrics) < max(by_seed) + 0.03


def test_a_cohort_sorted_by_hemoglobin_gains_nothing(few_learners):
    """Trap: file order and IDs that go with hemoglobin, as where the ill were enrolled first."""
    table = features(people=60, clips=1, signal=0.0, seed=4)
    table = table.sort_values("hemoglobin_g_dl", ignore_index=True)
    table["participant_id"] = [f"p{i:03d}" for i in range(60)]
    table["clip"] = [f"{i:03d}.mp4" for i in range(60)]
    found = evaluate(table, quick=True, regressors=["stacking"], bootstrap=200).metrics
    assert r2_of(found) < 0.1
    assert found["incremental_r2"]["low"] <= 0


def test_the_number_of_a_row_is_worth_nothing_in_a_file_of_no_order(few_learners):
    """Trap: file order as a feature, which is named where the file is sorted by hemoglobin."""
    table = features(people=60, clips=1, signal=0.0, seed=3)
    table["color.nose.row.mean"] = np.arange(60.0)
    found = evaluate(table, quick=True, regressors=["stacking"], modalities=["color"]).metrics
    assert r2_of(found, "color:stacking") < 0.1
    assert not any("alone tell" in note for note in found["notes"])
    table = table.sort_values("hemoglobin_g_dl", ignore_index=True)
    table["color.nose.row.mean"] = np.arange(60.0)
    sorted_file = cheap(table, repeats=1, bootstrap=0).metrics
    assert any(note.startswith("Warning: color.nose.row.mean") for note in sorted_file["notes"])


# What the label itself is worth.


@pytest.mark.parametrize(
    ("methods", "said"),
    [
        (["venous_cbc"] * 40, []),
        (["spco_oximeter"] * 40, ["40 of 40 clips comes from a pulse CO-oximeter"]),
        (
            ["venous_cbc"] * 30 + ["capillary_poc"] * 10,
            ["several methods (clips: capillary_poc 10, venous_cbc 30)"],
        ),
        (
            ["venous_cbc"] * 30 + ["spco_oximeter"] * 8 + [None] * 2,
            ["8 of 40 clips comes from a pulse CO-oximeter", "spco_oximeter 8, venous_cbc 30"],
        ),
    ],
)
def test_labels_of_the_same_family_of_devices_are_told(methods, said):
    """Trap: a label from a device that itself looks through the skin, or from several devices."""
    table = features(people=20).assign(reference_method=methods)
    found = cheap(table, repeats=1, folds=2, bootstrap=0).metrics
    told = [note for note in found["notes"] if "Hemoglobin" in note]
    assert len(told) == len(said)
    for note, part in zip(told, said, strict=True):
        assert part in note
    assert sum(found["outcome"]["reference_methods"].values()) == 40


# What counts is fixed beforehand.


def test_a_lucky_model_never_becomes_the_result(few_learners):
    """Trap: region, method or model chosen by test score; the main one is named beforehand."""
    table = features(people=60, clips=1, signal=0.3, seed=1)
    rng = np.random.default_rng(0)
    lucky = table["hemoglobin_g_dl"] + rng.normal(0, 0.3, len(table))
    table["resnet152.mean.0000"] = lucky
    names = [f"mobilenet_v2.mean.{i:04d}" for i in range(60)]
    table = table.join(pd.DataFrame(rng.normal(size=(60, 60)), columns=names))
    found = cheap(table, regressors=["xgboost", "stacking"], repeats=1).metrics
    everything = "color+pulse+mobilenet_v2+resnet152:stacking"
    best = max(found["models"], key=lambda entry: entry["r2"]["value"])
    assert best["modalities"] != ["color", "pulse", "mobilenet_v2", "resnet152"]
    assert r2_of(found, everything) < best["r2"]["value"] - 0.02
    assert found["headline"] == found["agreement"]["model"] == everything
    assert found["incremental_r2"]["model"] == f"demographics+{everything}"
    # Every single modality is compared with, not the one that came out best.
    against = {entry["against"] for entry in found["comparisons"]}
    assert against == {
        f"{name}:{regressor}"
        for name in ("color", "pulse", "mobilenet_v2", "resnet152")
        for regressor in ("xgboost", "stacking")
    }


def test_more_models_in_the_table_change_no_score_of_the_main_one(few_learners):
    """Trap: the same; a table of more models is no search, the result stays what it was."""
    table = features(people=40, clips=1)
    options = {"quick": True, "bootstrap": 50}
    few = evaluate(table, regressors=["stacking"], **options).metrics
    many = evaluate(table, regressors=["random_forest", "stacking", "xgboost"], **options).metrics
    assert len(many["models"]) > len(few["models"])
    for key in ("headline", "incremental_r2", "agreement", "screening", "coverage"):
        assert few[key] == many[key], key
    assert by_name(few["models"])[ALL] == by_name(many["models"])[ALL]


# Nothing where there is nothing, and something where there is something.


def faces_of_sex(seed, signal, people=100):
    """What a face shows of sex, as in the preset null, and hemoglobin where there is a signal."""
    rng = np.random.default_rng(seed)
    table = features(people=people, clips=2, signal=0.0, seed=seed)
    male = (table["sex"] == "male").to_numpy(dtype=float)
    blood = table["hemoglobin_g_dl"].to_numpy() - 13.0 - 1.8 * male
    for i in range(12):
        noise = rng.normal(0, 0.7, people)[people_of(table)] + rng.normal(0, 0.3, len(table))
        table[f"color.chin.y{i}.mean"] = male + signal * blood + noise
    return table


def test_a_cohort_without_signal_shows_no_skill_and_one_with_signal_does(few_learners):
    """The sum of all traps: sex shines through the face, and counts for nothing beyond itself."""
    options = {"quick": True, "regressors": ["stacking"], "modalities": ["color"]}
    nothing, something = (
        evaluate(faces_of_sex(7, signal), **options).metrics for signal in (0.0, 0.5)
    )
    # A careless reader would take this for hemoglobin.
    assert by_name(nothing["models"])["color:stacking"]["r2"]["low"] > 0.1
    assert nothing["incremental_r2"]["low"] <= 0
    assert abs(nothing["incremental_r2"]["value"]) < 0.05
    assert nothing["permutation_within_sex"]["p_value"] > 0.05
    assert something["incremental_r2"]["low"] > 0.05
    assert something["permutation_within_sex"]["p_value"] < 0.01


def test_cohorts_without_signal_seldom_show_skill():
    """The same for ten cohorts: chance alone gives an interval above 0, or a small p, rarely."""
    found = [
        cheap(faces_of_sex(seed, 0.0), modalities=["color"], repeats=1, bootstrap=400).metrics
        for seed in range(10)
    ]
    assert sum(one["incremental_r2"]["low"] > 0 for one in found) <= 1
    assert sum(one["permutation_within_sex"]["p_value"] < 0.05 for one in found) <= 2
    assert all(one["incremental_r2"]["value"] < 0.05 for one in found)
