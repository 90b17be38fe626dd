"""What fused models look at: permutation importance and contributions, on held-out rows."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.inspection import permutation_importance as of_sklearn
from sklearn.linear_model import LinearRegression

from pallor.evaluation.contributions import contributions, summarize
from pallor.evaluation.dissection import take_apart
from pallor.evaluation.explanation import combine
from pallor.evaluation.fold_explanation import explain, explain_fold
from pallor.evaluation.member_effects import effects_from_arrays
from pallor.evaluation.permutation_importance import donors_of, permutation_importance
from pallor.evaluation.places import Group, groups_of, place_of, places_of
from pallor.features.color import PAIRS
from pallor.features.registry import documentation
from pallor.models.fusion import FusedRegressor
from pallor.models.preprocessing import demographic_features
from pallor.models.regressors import WIDE_COLUMNS
from pallor.video.regions import REGIONS

COLOR_PLACES = ("lips", "forehead", "left_cheek", "right_cheek", "background", "lips_minus_sclera")


def make(people: int = 120, clips: int = 2, seed: int = 0, wide: int = 12):
    """Features, outcome and person: of all of them only the lips' color tells of the blood."""
    rng = np.random.default_rng(seed)
    sex, age = rng.integers(0, 2, people), rng.uniform(20, 70, people)
    blood = rng.normal(size=people)
    y = 13.3 + 1.0 * sex - 0.01 * (age - 45) + 1.1 * blood
    person = np.repeat(np.arange(people), clips)

    def noise() -> np.ndarray:
        return rng.normal(size=people)[person] + rng.normal(0, 0.2, len(person))

    columns = {
        f"color.{place}.{quantity}.mean": noise()
        for place in COLOR_PLACES
        for quantity in ("log_rg", "melanin")
    }
    columns["color.lips.log_rg.mean"] += 2.5 * blood[person]
    columns |= {f"pulse.{place}.green.ac_dc": noise() for place in ("forehead", "face")}
    columns |= {f"resnet152.mean.{i:04d}": noise() for i in range(wide)}
    table = pd.DataFrame(columns).astype(np.float32)
    table.loc[::17, "color.forehead.melanin.mean"] = np.nan
    who = pd.DataFrame({"sex": np.where(sex == 1, "male", "female"), "age_years": age}).loc[person]
    table = pd.concat([table, demographic_features(who.reset_index(drop=True))], axis=1)
    return table, y[person], person


def fitted(modalities, learners, data, share: float = 0.7, quick: bool = True):
    """A model of the first participants, and rows, outcomes and persons of the others."""
    table, y, person = data
    train = person < share * (person.max() + 1)
    model = FusedRegressor(modalities, learners, quick=quick)
    model.fit(table[train], y[train], person[train])
    return model, table[~train], y[~train], person[~train]


@pytest.fixture(scope="module")
def fused():
    return fitted(("color", "pulse", "resnet152"), ("xgboost",), make(240))


def by_group(importance):
    return {(found.kind, found.group): found for found in importance}


# Places


def test_every_documented_feature_has_a_place_and_both_sides_of_a_difference():
    known = {*REGIONS, "cheeks", "face", "crop", "tissue"} - {"left_cheek", "right_cheek"}
    patterns = [doc.pattern for doc in documentation(("color", "pulse"))]
    names = [
        pattern.replace("{region}", region).replace("{", "").replace("}", "")
        for pattern in patterns
        for region in REGIONS
        if "_minus_" not in pattern
    ]
    assert len(names) > 100
    assert {place for name in names for place in places_of(name)} <= known
    for a, b in PAIRS:
        assert place_of(f"color.{a}_minus_{b}.log_rg.mean") == f"{a}_minus_{b}"
        assert places_of(f"color.{a}_minus_{b}.log_rg.mean") == (a, b)


@pytest.mark.parametrize(
    ("column", "place"),
    [
        ("color.left_cheek.lab_a.mean", "cheeks"),
        ("color.tissue_reddest.log_rg.mean", "tissue"),
        ("pulse.face.spectrum.power_1", "face"),
        ("resnet152.mean.0017", "crop"),
        ("custom.mean_abs_diff.3", "crop"),
        ("demographics.sex", "demographics"),
    ],
)
def test_place(column, place):
    assert place_of(column) == place
    assert places_of(column) == (place,)


def test_both_quarters_of_a_still_are_one_place():
    assert places_of("color.tissue_reddest_minus_tissue_palest.log_rg.mean") == ("tissue",)


@pytest.mark.parametrize("column", ["hemoglobin_g_dl", "color.", ".lips.x"])
def test_what_is_no_feature_has_no_place(column):
    with pytest.raises(ValueError, match="not the name of a feature"):
        place_of(column)


def test_a_difference_belongs_to_both_places_and_demographics_to_none():
    names = ["color.lips_minus_sclera.log_rg.mean", "color.lips.log_rg.mean"]
    groups = groups_of({"demographics": ["demographics.sex"], "color": names})
    of_place = {group.name: group.columns for group in groups if group.kind == "place"}
    assert of_place == {"lips": tuple(names), "sclera": (names[0],)}
    assert [g.name for g in groups if g.kind == "modality"] == ["demographics", "color"]


# Swaps


@pytest.mark.parametrize("clips", [1, 3])
def test_participants_swap_as_a_whole_never_with_themselves_and_each_pair_once(clips):
    component = np.repeat(np.arange(7), clips)
    donors = donors_of(component, 3, 100)
    assert donors.shape == (6, 7 * clips)
    pairs = set()
    for donor in donors:
        assert sorted(donor) == list(range(7 * clips))
        for person in range(7):
            giver = set(component[donor[component == person]])
            assert len(giver) == 1
            pairs.add((person, giver.pop()))
    assert pairs == set(itertools.permutations(range(7), 2))


def test_clips_of_a_donor_with_fewer_are_used_again():
    component = np.array([4, 9, 4, 4])
    (donor,) = donors_of(component, 0, 5)
    assert donor.tolist() == [1, 0, 1, 1]


def test_swaps_need_two_participants():
    assert donors_of(np.zeros(5, dtype=int), 0, 5).shape == (0, 5)


# Permutation importance


def test_the_planted_place_and_modality_are_found_and_noise_is_not(fused):
    model, X, y, person = fused
    found = by_group(permutation_importance(model, X, y, person, unit=person))
    lips = found["place", "lips"]
    assert lips.increase_mse > 0.5
    assert lips.increase_mae_g_dl > 0.2
    assert found["modality", "color"].increase_mse > 0.5
    others = {name: i.increase_mse for name, i in found.items() if i.group not in {"lips", "color"}}
    assert {("modality", "pulse"), ("place", "background"), ("place", "crop")} <= set(others)
    assert all(abs(increase) < 0.05 * lips.increase_mse for increase in others.values()), others


def test_importance_is_that_of_the_models_own_prediction_of_a_swapped_table():
    # By hand: columns of the table exchanged, the public predict, units averaged by pandas.
    learners = ("random_forest", "xgboost", "ridge", "chromophore")
    model, X, y, person = fitted(("color", "resnet152"), learners, make(60))
    assert {"color/random_forest", "color/chromophore"} <= set(model.members_)
    found = by_group(permutation_importance(model, X, y, person, unit=person, seed=5, rounds=3))

    def errors(table):
        frame = pd.DataFrame({"p": model.predict(table), "y": y}).groupby(person).mean()
        return np.array([(frame.p - frame.y).abs().mean(), ((frame.p - frame.y) ** 2).mean()])

    lips = [c for c in X if ".lips" in c]
    crop = [c for c in X if c.startswith("resnet152.")]
    for key, columns in ((("place", "lips"), lips), (("modality", "resnet152"), crop)):
        increases = []
        for donor in donors_of(person, 5, 3):
            swapped = X.copy()
            swapped[columns] = X[columns].to_numpy()[donor]
            increases.append(errors(swapped) - errors(X))
        expected = np.mean(increases, axis=0)
        got = found[key].increase_mae_g_dl, found[key].increase_mse
        assert np.allclose(got, expected, rtol=1e-7, atol=1e-10)


def test_importance_of_one_column_agrees_with_scikit_learn():
    model, X, y, _ = fitted(("color",), ("ridge", "xgboost"), make(100, 1))
    X = X[model.columns_["color"]]
    name = "color.lips.log_rg.mean"
    group = Group(name, "feature", (name,))
    n = len(X)
    (ours,) = permutation_importance(model, X, y, np.arange(n), groups=(group,), rounds=n)
    theirs = of_sklearn(
        model, X[[name]].join(X.drop(columns=name)), y, scoring="neg_mean_squared_error",
        n_repeats=150, random_state=1, max_samples=1.0,
    )  # fmt: skip
    # A shuffle leaves each row its own value with probability 1 / n.
    values = theirs.importances[0] * n / (n - 1)
    assert ours.increase_mse > 0.3
    assert abs(ours.increase_mse - values.mean()) < 4 * values.std(ddof=1) / math.sqrt(150)
    exact = []
    for i in range(n):  # e_switch from its definition: every pair
        others = X.iloc[np.full(n, i)].reset_index(drop=True)
        others[name] = X[name].to_numpy()
        exact += [*np.delete(np.square(model.predict(others) - y[i]), i)]
    intact = np.square(model.predict(X) - y).mean()
    assert ours.increase_mse == pytest.approx(np.mean(exact) - intact, rel=1e-6)


def test_a_group_that_no_member_uses_has_an_importance_of_exactly_zero():
    # A column constant in training is used by no split; a modality without weight by nothing.
    table, y, person = make()
    unused = "color.background.log_rg.mean"
    train = person < 80
    table.loc[train, unused] = 1.0
    model, X, y, person = fitted(("color",), ("xgboost", "ridge"), (table, y, person), 80 / 120)
    group = Group("unused", "place", (unused,))
    (found,) = permutation_importance(model, X, y, person, groups=(group,))
    assert X[unused].nunique() > 10
    assert (found.increase_mae_g_dl, found.increase_mse) == (0.0, 0.0)
    other = Group("other", "place", ("color.lips.log_rg.mean",))
    assert permutation_importance(model, X, y, person, groups=(other,))[0].increase_mse > 0.1


def test_with_sex_and_age_the_rest_of_the_features_is_swapped():
    # Independently: the rest by scikit-learn, ridge on it, the offset swapped or not.
    model, X, y, person = fitted(("demographics", "color"), ("ridge",), make(clips=1))
    found = by_group(permutation_importance(model, X, y, person, seed=2, rounds=4))
    table, _, everyone = make(clips=1)
    train = table[everyone < 84]
    D = [c for c in table if c.startswith("demographics.")]
    C = model.columns_["color"]
    filled = train[C].fillna(train[C].median())
    taken = LinearRegression().fit(train[D], filled)
    rest = X[C].to_numpy(float) - taken.predict(X[D])
    offset = model.offset_.predict(X[D].to_numpy())
    (weight,) = model.weights_

    def mse(offset, rest):
        said = np.clip(model.members_["color/ridge"].predict(rest), *model.bounds_)
        return np.square(offset + model.intercept_ + weight * said - y).mean()

    donors = donors_of(person, 2, 4)
    of_color = np.mean([mse(offset, rest[d]) for d in donors]) - mse(offset, rest)
    of_sex_and_age = np.mean([mse(offset[d], rest) for d in donors]) - mse(offset, rest)
    assert found["modality", "color"].increase_mse == pytest.approx(of_color, rel=1e-4)
    assert found["modality", "demographics"].increase_mse == pytest.approx(of_sex_and_age, rel=1e-4)
    assert of_sex_and_age > 0.1


# Contributions


def test_contributions_add_up_to_what_the_member_says(fused):
    model, X, _, _ = fused
    found = contributions(model, X)
    assert "color/xgboost" in found
    weights = dict(zip(model.member_names_, model.weights_, strict=True))
    for name, member in found.items():
        columns = model.columns_[name.split("/")[0]]
        assert member.features == tuple(columns)
        said = model.members_[name].predict(X[columns].to_numpy(float))
        total = member.shares.sum(axis=1) + member.bias
        assert np.abs(weights[name] * said - total).max() < 1e-5
        assert said.std() > 0


def _value(tree, node, row, known):
    """Expectation of a tree's output when only some features are known."""
    at = tree.loc[node]
    if at.Feature == "Leaf":
        return at.Gain
    yes, no = at.Yes, at.No
    column = int(at.Feature[1:])
    if column in known:
        if np.isnan(row[column]):
            return _value(tree, at.Missing, row, known)
        went = yes if np.float32(row[column]) < np.float32(at.Split) else no
        return _value(tree, went, row, known)
    covers = tree.loc[[yes, no], "Cover"]
    values = [_value(tree, child, row, known) for child in (yes, no)]
    return float(np.average(values, weights=covers))


@pytest.mark.parametrize("depth", [1, 2])
def test_contributions_are_the_shapley_values_enumerated(depth, monkeypatch):
    from xgboost import XGBRegressor

    import pallor.models.regressors as regressors

    def tiny(_size, seed, n_jobs, _candidate):
        return XGBRegressor(
            n_estimators=4, max_depth=depth, learning_rate=0.5, base_score=0.0, n_jobs=n_jobs,
            random_state=seed,
        )  # fmt: skip

    learner = replace(regressors.LEARNERS["xgboost"], build=tiny)
    monkeypatch.setitem(regressors.LEARNERS, "xgboost", learner)
    table, y, person = make(clips=1)
    table["color.forehead.melanin.mean"] += 2.0 * (y - y.mean())
    three = ["color.lips.log_rg.mean", "color.forehead.melanin.mean", "color.lips.melanin.mean"]
    model, X, _, _ = fitted(("color",), ("xgboost",), (table[three], y, person))
    (member,) = contributions(model, X).values()
    trees = model.members_["color/xgboost"][-1].get_booster().trees_to_dataframe()
    trees = [tree.set_index("ID") for _, tree in trees.groupby("Tree")]
    rows = X[three].to_numpy(float)
    assert np.isnan(rows).any()

    def expected(row, known):
        return sum(_value(tree, tree.index[0], row, known) for tree in trees)

    for row, got in zip(rows, member.shares, strict=True):
        for i in range(3):
            rest = [j for j in range(3) if j != i]
            shapley = 0.0
            for size in range(3):
                for known in itertools.combinations(rest, size):
                    factor = math.factorial(size) * math.factorial(2 - size) / 6
                    shapley += factor * (expected(row, {*known, i}) - expected(row, {*known}))
            assert got[i] == pytest.approx(shapley, abs=1e-5)
    assert member.bias == pytest.approx(expected(rows[0], set()), abs=1e-5)
    assert np.abs(member.shares).mean(axis=0)[:2].min() > 0.05


def test_sizes_directions_and_sums_of_contributions(fused):
    model, X, _, person = fused
    members = contributions(model, X)
    found = {(c.kind, c.name): c for c in summarize(members, person)}
    lips = found["feature", "color.lips.log_rg.mean"]
    assert lips.sign > 0.9
    assert next(iter(found.values())) is lips
    place = found["place", "lips"]
    assert place.mean_abs_g_dl > 3 * found["place", "background"].mean_abs_g_dl
    assert ("place", "lips_minus_sclera") in found
    # By hand for one place: both cheeks, rows averaged to persons, then absolute.
    total = 0.0
    for member in members.values():
        mine = [i for i, name in enumerate(member.features) if "_cheek." in name]
        total = total + member.shares[:, mine].sum(axis=1)
    by_person = pd.Series(total).groupby(person).mean().abs().mean()
    assert found["place", "cheeks"].mean_abs_g_dl == pytest.approx(by_person)


def test_a_wide_modality_is_given_as_one_sum():
    rng = np.random.default_rng(0)
    y = rng.normal(13, 1, 60)
    blood = np.outer(y - 13, rng.normal(size=WIDE_COLUMNS + 1))
    wide = pd.DataFrame(blood + rng.normal(size=blood.shape))
    wide.columns = [f"resnet152.mean.{i:04d}" for i in range(WIDE_COLUMNS + 1)]
    model, X, y, person = fitted(("resnet152",), ("xgboost",), (wide, y, np.arange(60)))
    (member,) = contributions(model, X).values()
    assert (member.features, member.places) == (("resnet152.*",), ("crop",))
    said = model.members_["resnet152/xgboost"].predict(X.to_numpy(float))
    assert np.allclose(member.shares[:, 0] + member.bias, said, atol=1e-5)
    whole = combine([explain_fold(model, X, y, person)])
    assert any("principal components" in note for note in whole.notes)
    assert whole.as_dict()["contributions"][0]["sign_correlation"] is None


def test_predictions_that_were_held_at_the_bounds_are_counted(fused):
    model, X, y, person = fused
    free = explain_fold(model, X, y, person)
    assert free.clipped_share < 0.05
    held = FusedRegressor(**model.get_params())
    held.__dict__.update(model.__dict__)
    held.bounds_ = (-0.1, 0.1)
    bound = explain_fold(held, X, y, person)
    assert bound.clipped_share > 0.3
    assert bound.contributions == free.contributions
    assert any("were held" in note for note in combine([bound]).notes)


# Folds


def test_the_order_of_columns_does_not_matter(fused):
    model, X, y, person = fused
    shuffled = X[np.random.default_rng(0).permutation(X.columns)]
    assert list(shuffled.columns) != list(X.columns)
    first, second = (explain_fold(model, table, y, person, unit=person) for table in (X, shuffled))
    assert first == second


def test_nothing_of_the_training_rows_is_used(fused):
    # A model that holds no value of a training row is explained to the same digits.
    model, X, y, person = fused
    lean = model.without_training_rows()
    assert not hasattr(lean, "oof_")
    assert explain_fold(lean, X, y, person) == explain_fold(model, X, y, person)


def test_members_without_weight_do_not_count_and_effects_survive_a_file(fused, tmp_path):
    # As where all members of a training part are kept and many models are joined from them.
    model, X, y, person = fused
    donors = donors_of(person, 0, 10)
    groups = groups_of(model.columns_)
    parts = take_apart(model, X, groups, donors)
    kept = []
    for one in parts.effects:
        np.savez(tmp_path / f"{one.modality}.npz", **one.as_arrays())
        with np.load(tmp_path / f"{one.modality}.npz", allow_pickle=False) as file:
            arrays = {"tried/xgboost": np.ones(3), **{name: file[name] for name in file.files}}
        kept.append(effects_from_arrays(one.modality, one.columns, arrays))
    idle = {
        "svr": {key: values + 1.0 for key, values in kept[0].swapped["xgboost"].items()},
        **kept[0].swapped,
    }
    deviations = {"svr": np.full(len(X), 9.0), **kept[0].deviations}
    kept[0] = replace(kept[0], deviations=deviations, swapped=idle)
    weights = {**parts.weights, "color/svr": 0.0}
    again = explain(replace(parts, effects=kept, weights=weights), groups, y, donors, person)
    assert again == explain_fold(model, X, y, person, unit=person)
    heavy = {**parts.weights, "color/svr": 1.0}
    other = explain(replace(parts, effects=kept, weights=heavy), groups, y, donors, person)
    assert other.importance != again.importance
    assert other.weight_share < again.weight_share == 1.0
    without = dict.fromkeys(weights, 0.0)
    mute = explain(replace(parts, effects=kept, weights=without), groups, y, donors, person)
    assert mute.silent
    assert not mute.contributions


def test_a_silent_model_has_no_importance_and_says_so():
    rng = np.random.default_rng(3)
    table, _, person = make(60, 1)
    y = rng.normal(13, 1, 60)
    model, X, y, person = fitted(("pulse", "resnet152"), ("ridge", "svr"), (table, y, person))
    assert not model.weights_.any()
    fold = explain_fold(model, X, y, person)
    assert fold.silent
    assert {i.increase_mse for i in fold.importance} == {0.0}
    assert len(fold.importance) == 5
    whole = combine([fold, fold])
    assert whole.silent_folds == 2
    assert any("no member earned a weight" in note for note in whole.notes)
    assert json.loads(json.dumps(whole.as_dict(), allow_nan=False))["contributions"] == []


def test_other_models_are_not_explained():
    table, y, person = make(30, 1)
    assert explain_fold(LinearRegression(), table, y, person) is None


def test_one_participant_held_out_leaves_importance_undefined(fused):
    model, X, y, person = fused
    one = person == person[0]
    fold = explain_fold(model, X[one], y[one], person[one])
    assert all(math.isnan(i.increase_mse) for i in fold.importance)
    assert combine([fold]).as_dict()["permutation"][0]["increase_mse"] is None


def test_folds_are_gathered_to_a_weighted_mean_and_a_spread(fused):
    model, X, y, person = fused
    rows = [person < 200, person >= 200]
    folds = [explain_fold(model, X[r], y[r], person[r], unit=person[r]) for r in rows]
    assert [fold.units for fold in folds] == [32, 40]
    whole = combine(folds)
    lips = next(i for i in whole.importance if i.group == "lips")
    a, b = (by_group(fold.importance)["place", "lips"].increase_mae_g_dl for fold in folds)
    assert lips.increase_mae_g_dl.value == pytest.approx((32 * a + 40 * b) / 72)
    low, high = lips.increase_mae_g_dl.spread
    assert (low, high) == pytest.approx(
        (min(a, b) + 0.1 * abs(a - b), max(a, b) - 0.1 * abs(a - b))
    )
    entry = whole.as_dict(top=2)
    assert len(entry["contributions"]) == 2
    assert entry["contributions"][0]["feature"] == "color.lips.log_rg.mean"
    assert entry["folds"] == 2
    assert {"group", "kind", "increase_mae_g_dl", "increase_mse"} <= set(entry["permutation"][0])
    json.dumps(entry, allow_nan=False)


def test_a_feature_that_one_fold_does_not_use_counts_with_zero_there(fused):
    model, X, y, person = fused
    fold = explain_fold(model, X, y, person)
    name = "color.lips.log_rg.mean"
    without = replace(fold, contributions=[c for c in fold.contributions if c.name != name])
    size = next(c.mean_abs_g_dl for c in fold.contributions if c.name == name)
    found = next(c for c in combine([fold, without]).contributions if c.name == name)
    assert found.mean_abs_g_dl.value == pytest.approx(size / 2)
    assert found.folds == 1


def test_folds_of_different_features_or_none_are_refused(fused):
    model, X, y, person = fused
    fold = explain_fold(model, X, y, person)
    with pytest.raises(ValueError, match="different features"):
        combine([fold, replace(fold, importance=fold.importance[1:])])
    with pytest.raises(ValueError, match="no fold"):
        combine([])
