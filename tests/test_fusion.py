from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression

from pallor.cohort.folds import grouped_folds
from pallor.errors import FeatureTableError, UsageError
from pallor.models.fusion import FusedRegressor
from pallor.models.meta import PENALTIES, fit_sum, tune_sum
from pallor.models.preprocessing import DEMOGRAPHIC_COLUMNS, demographic_features

FAST = ("ridge", "svr")


NO_CORE = np.zeros(0, dtype=np.intp)


def make(
    people: int = 80, clips: int = 1, signal: float = 0.6, seed: int = 0, cue: float = 0.6
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Features, outcome and person of a small cohort; `signal` is that of `color` and `pulse`."""
    rng = np.random.default_rng(seed)
    sex, age = rng.integers(0, 2, people), rng.uniform(20, 70, people)
    blood = rng.normal(size=people)
    y = 13.3 + 1.5 * sex - 0.01 * (age - 45) + 1.1 * blood
    person = np.repeat(np.arange(people), clips)
    columns = {}
    for name, strength in (("color", signal), ("pulse", signal), ("noise", 0.0)):
        for index in range(8):
            base = strength * blood + cue * (sex - 0.5) if index < 3 else np.zeros(people)
            values = base + rng.normal(size=people)
            jitter = rng.normal(0, 0.2, len(person))
            columns[f"{name}.face.q{index}.mean"] = (values[person] + jitter).astype(np.float32)
    table = pd.DataFrame(columns)
    table["sex"] = np.where(sex == 1, "male", "female")[person]
    table["age_years"] = age[person]
    table = pd.concat([table, demographic_features(table)], axis=1)
    return table, y[person], person


def mse(y: np.ndarray, prediction: np.ndarray) -> float:
    return float(np.square(y - prediction).mean())


def outer(table, y, groups, modalities, learners=FAST, seed=1):
    prediction = np.empty_like(y)
    for train, test in grouped_folds(groups, y, 4, seed):
        model = FusedRegressor(modalities, learners, quick=True)
        model.fit(table.iloc[train], y[train], groups[train])
        prediction[test] = model.predict(table.iloc[test])
    return prediction


@pytest.mark.parametrize("clips", [1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_inner_folds_never_straddle_a_group_and_cover_every_row_once(clips, seed):
    table, y, person = make(30, clips, seed=seed)
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(y))
    model = FusedRegressor(("color",), ("ridge",), quick=True, seed=seed)
    model.fit(table.iloc[shuffled], y[shuffled], person[shuffled])
    groups = person[shuffled]
    tested = np.concatenate([test for _, test in model.inner_folds_])
    assert len(model.inner_folds_) == 5
    assert np.array_equal(np.sort(tested), np.arange(len(y)))
    for train, test in model.inner_folds_:
        assert not set(groups[train]) & set(groups[test])
        assert len(train) + len(test) == len(y)


def test_out_of_fold_prediction_of_a_group_does_not_see_its_own_outcome_in_the_members():
    # A member's prediction of a fold must not move when that fold's outcomes do.
    table, y, person = make(40, 2)
    model = FusedRegressor(("color", "pulse"), FAST, quick=True).fit(table, y, person)
    rows = np.arange(len(y))
    fold = model.inner_folds_[0]
    from pallor.models.members import grids_of, out_of_fold

    values = table[model.columns_["color"]].to_numpy(float)
    grids = grids_of(FAST, quick=True)
    before = out_of_fold(values, None, y, fold, grids, 0, True, NO_CORE, person)
    changed = np.where(np.isin(rows, fold[1]), y + 100.0, y)
    after = out_of_fold(values, None, changed, fold, grids, 0, True, NO_CORE, person)
    for name in FAST:
        assert np.array_equal(before[name], after[name])


def test_fused_out_of_fold_weights_leave_out_the_fold(monkeypatch):
    import pallor.models.joining as joining

    seen = []
    original = joining.tune_sum

    def spy(members, target, folds):
        seen.append((len(target), [np.concatenate(pair) for pair in folds]))
        return original(members, target, folds)

    monkeypatch.setattr(joining, "tune_sum", spy)
    table, y, person = make(30, 2)
    model = FusedRegressor(("color", "pulse"), ("ridge",), quick=True).fit(table, y, person)
    sizes = [len(y) - len(test) for _, test in model.inner_folds_]
    assert [rows for rows, _ in seen] == [*sizes, len(y)]
    for rows, folds in seen:
        assert all(np.array_equal(np.sort(pair), np.arange(rows)) for pair in folds)


def test_a_feature_that_only_names_the_participant_does_not_score():
    # Five clips a person, the outcome unrelated to anything: rows of one person in both parts
    # of a fold would let trees look the outcome up.
    rng = np.random.default_rng(5)
    person = np.repeat(np.arange(60), 5)
    y = rng.normal(13, 1.5, 60)[person]
    digest = [hashlib.sha256(str(p).encode()).digest() for p in person]
    table = pd.DataFrame({f"color.id.h{i}.mean": [d[i] / 255.0 for d in digest] for i in range(6)})
    trees = ("random_forest",)
    honest = FusedRegressor(("color",), trees, quick=True).fit(table, y, person)
    leaking = FusedRegressor(("color",), trees, quick=True).fit(table, y, np.arange(len(y)))
    assert 1 - mse(y, leaking.oof_prediction_) / y.var() > 0.8
    assert 1 - mse(y, honest.oof_prediction_) / y.var() < 0.1


def test_row_order_does_not_matter():
    table, y, person = make(40, 2)
    model = FusedRegressor(("demographics", "color", "pulse"), (*FAST, "extra_trees"), quick=True)
    order = np.random.default_rng(3).permutation(len(y))
    first = clone(model).fit(table, y, person)
    other_names = (person * 7919) % 1009
    second = clone(model).fit(table.iloc[order], y[order], other_names[order])
    assert np.allclose(first.predict(table), second.predict(table), atol=1e-9)
    assert np.allclose(first.oof_prediction_[order], second.oof_prediction_, atol=1e-9)
    assert np.allclose(first.oof_[order], second.oof_, atol=1e-9)


def test_number_of_threads_does_not_matter():
    table, y, person = make(30)
    one = FusedRegressor(("color", "pulse"), FAST, quick=True).fit(table, y, person)
    two = FusedRegressor(("color", "pulse"), FAST, quick=True, n_jobs=2).fit(table, y, person)
    assert np.array_equal(one.predict(table), two.predict(table))


@pytest.mark.slow
def test_planted_signal_is_recovered_and_two_modalities_beat_one():
    table, y, person = make(120, signal=0.8, cue=0.0)
    alone = outer(table, y, person, ("color",))
    both = outer(table, y, person, ("color", "pulse"))
    assert 1 - mse(y, alone) / y.var() > 0.15
    assert mse(y, both) < mse(y, alone)


@pytest.mark.slow
def test_a_modality_of_noise_does_not_hurt():
    with_noise, without = [], []
    for seed in range(4):
        table, y, person = make(90, signal=0.6, seed=seed)
        without.append(mse(y, outer(table, y, person, ("color", "pulse"))) / y.var())
        joined = outer(table, y, person, ("color", "pulse", "noise"))
        with_noise.append(mse(y, joined) / y.var())
    assert np.mean(with_noise) - np.mean(without) < 0.02


@pytest.mark.slow
def test_modalities_of_noise_leave_sex_and_age_as_good_as_alone():
    fused, alone, null = [], [], []
    for seed in range(5):
        # A hundred people to train on in each outer fold.
        table, y, person = make(134, signal=0.0, seed=seed)
        fused.append(mse(y, outer(table, y, person, ("demographics", "color", "noise"))))
        baseline = np.empty_like(y)
        demographics = table[list(DEMOGRAPHIC_COLUMNS)].to_numpy()
        for train, test in grouped_folds(person, y, 4, 1):
            linear = LinearRegression().fit(demographics[train], y[train])
            baseline[test] = linear.predict(demographics[test])
        alone.append(mse(y, baseline))
        null.append(y.var())
    assert np.mean(alone) < 0.85 * np.mean(null)
    assert np.mean(fused) < 1.02 * np.mean(alone)


def test_color_adds_to_sex_and_age_where_it_has_a_signal():
    table, y, person = make(120, signal=0.8)
    alone = outer(table, y, person, ("demographics",))
    together = outer(table, y, person, ("demographics", "color", "pulse"))
    assert mse(y, together) < 0.85 * mse(y, alone)


def test_demographics_alone_are_ordinary_least_squares():
    table, y, person = make(50)
    model = FusedRegressor(("demographics",), ("xgboost",)).fit(table, y, person)
    values = table[list(DEMOGRAPHIC_COLUMNS)].to_numpy()
    expected = LinearRegression().fit(values, y).predict(values)
    assert np.allclose(model.predict(table), expected, atol=1e-9)
    for train, test in model.inner_folds_:
        held_out = LinearRegression().fit(values[train], y[train]).predict(values[test])
        assert np.allclose(model.oof_prediction_[test], held_out, atol=1e-9)


def test_one_member_is_taken_as_it_is():
    table, y, person = make(40)
    model = FusedRegressor(("color",), ("ridge",), quick=True).fit(table, y, person)
    assert model.weights_.tolist() == [1.0]
    assert np.allclose(model.oof_prediction_, model.oof_[:, 0])


def test_gaps_and_empty_modalities_are_survived():
    table, y, person = make(50)
    rng = np.random.default_rng(0)
    color = [name for name in table.columns if name.startswith("color.")]
    table[color] = table[color].mask(rng.random((50, len(color))) < 0.3)
    table[[name for name in table.columns if name.startswith("pulse.")]] = np.nan
    table.loc[:5, "demographics.age_years"] = np.nan
    modalities = ("demographics", "color", "pulse")
    stacked = FusedRegressor(modalities, (*FAST, "xgboost", "extra_trees"), quick=True)
    stacked.fit(table, y, person)
    assert all(not name.startswith("pulse/") for name in stacked.member_names_)
    gaps = table.copy()
    gaps.iloc[0] = np.nan
    assert np.isfinite(stacked.predict(gaps)).all()
    empty = FusedRegressor(("pulse",), FAST, quick=True).fit(table, y, person)
    assert np.allclose(empty.predict(table), y.mean())
    assert np.isfinite(empty.oof_prediction_).all()


def test_a_column_that_varies_only_in_one_fold_is_survived():
    table, y, person = make(30)
    table = pd.DataFrame({"color.a.b.c": np.where(np.arange(30) == 4, 1.0, 0.0)})
    model = FusedRegressor(("color",), ("ridge", "random_forest"), quick=True)
    assert np.isfinite(model.fit(table, y, person).oof_prediction_).all()


def test_scikit_learn_conventions():
    model = FusedRegressor(("color", "pulse"), FAST, inner_splits=4, seed=3, quick=True)
    assert clone(model).get_params() == model.get_params()
    assert model.set_params(seed=4).seed == 4
    table, y, person = make(30)
    assert len(clone(model).fit(table, y, person).inner_folds_) == 4


def test_candidates_are_tuned_unless_quick():
    table, y, person = make(60)
    quick = FusedRegressor(("color",), ("ridge",), quick=True).fit(table, y, person)
    tuned = FusedRegressor(("color",), ("ridge",)).fit(table, y, person)
    assert mse(y, tuned.oof_[:, 0]) <= mse(y, quick.oof_[:, 0])


def test_wrong_input_is_refused_with_advice():
    table, y, person = make(30)
    with pytest.raises(FeatureTableError, match="resnet152"):
        FusedRegressor(("resnet152",)).fit(table, y, person)
    with pytest.raises(FeatureTableError, match="gaps"):
        FusedRegressor(("color",)).fit(table, np.where(person == 0, np.nan, y), person)
    with pytest.raises(FeatureTableError, match="groups"):
        FusedRegressor(("color",)).fit(table, y, person[:-1])
    with pytest.raises(UsageError, match="catboost"):
        FusedRegressor(("color",), ("catboost",)).fit(table, y, person)
    with pytest.raises(UsageError, match="twice"):
        FusedRegressor(("color", "color")).fit(table, y, person)
    model = FusedRegressor(("color",), ("ridge",), quick=True).fit(table, y, person)
    with pytest.raises(FeatureTableError, match=r"color\.face\.q0\.mean"):
        model.predict(table.drop(columns="color.face.q0.mean"))


def test_progress_reaches_the_end():
    table, y, person = make(30)
    steps = []
    model = FusedRegressor(("color", "pulse"), ("ridge",), quick=True)
    model.fit(table, y, person, progress=lambda *step: steps.append(step))
    assert [done for done, _, _ in steps] == list(range(1, 12))
    assert {total for _, total, _ in steps} == {11}


def test_sum_of_members_is_least_squares_where_no_weight_is_negative():
    rng = np.random.default_rng(0)
    members = rng.normal(size=(200, 2))
    target = 3.0 + members @ [0.7, 0.4] + rng.normal(0, 0.1, 200)
    fitted = fit_sum(members, target, 0.0)
    design = np.column_stack([np.ones(200), members])
    expected = np.linalg.lstsq(design, target, rcond=None)[0]
    assert np.allclose([fitted.intercept, *fitted.weights], expected, atol=1e-9)


def test_sum_of_members_never_counts_one_against_the_truth_and_shrinks_to_the_mean():
    rng = np.random.default_rng(1)
    members = rng.normal(size=(100, 3))
    target = 13.0 - members[:, 0]
    assert (fit_sum(members, target, 0.0).weights >= 0).all()
    constant = fit_sum(members, target, np.inf)
    assert not constant.weights.any()
    assert constant.intercept == pytest.approx(target.mean())
    folds = grouped_folds(np.arange(100), target, 5, 0)
    assert tune_sum(members, target, folds).penalty in PENALTIES


def _wide(signal: float, seed: int, rows: int = 150) -> tuple[pd.DataFrame, np.ndarray]:
    """Color with part of the outcome, and 1,200 nearly collinear columns with another part."""
    rng = np.random.default_rng(seed)
    latent = rng.normal(size=(rows, 6))
    color = latent[:, :3] @ rng.normal(size=(3, 20)) + rng.normal(size=(rows, 20))
    embedding = latent[:, 3:] @ rng.normal(size=(3, 1200)) + rng.normal(size=(rows, 1200))
    y = 13.0 + latent[:, 0] + signal * latent[:, 3] + 0.7 * rng.normal(size=rows)
    names = [f"color.q{i}" for i in range(20)] + [f"resnet152.mean.{i:04d}" for i in range(1200)]
    return pd.DataFrame(np.column_stack([color, embedding]), columns=names), y


def _r2(table: pd.DataFrame, y: np.ndarray, *modalities: str) -> float:
    learners = ("random_forest", "ridge", "pls")
    fitted = FusedRegressor(modalities, learners, quick=True).fit(table, y, np.arange(len(y)))
    return 1.0 - float(np.square(y - fitted.oof_prediction_).sum() / np.square(y - y.mean()).sum())


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_an_embedding_that_knows_more_helps_and_one_that_knows_nothing_does_not_hurt(seed):
    table, y = _wide(1.0, seed)
    fused = _r2(table, y, "color", "resnet152")
    assert fused > _r2(table, y, "color") + 0.1
    assert fused > _r2(table, y, "resnet152") + 0.1
    table, y = _wide(0.0, seed)
    assert _r2(table, y, "color", "resnet152") > _r2(table, y, "color") - 0.05


def test_one_wild_row_does_not_silence_the_stack():
    """A column that hardly varies, but for one row, throws linear members out of all bounds."""
    table, y, groups = make(80)
    rng = np.random.default_rng(5)
    spike = 1e-4 * rng.normal(size=len(table))
    spike[17] = 30.0
    table["noise.face.spike.mean"] = spike
    model = FusedRegressor(("color", "noise"), ("ridge", "pls"), quick=True)
    model.fit(table, y, groups)
    assert model.oof_.min() >= y.min() - 0.5
    assert model.oof_.max() <= y.max() + 0.5
    assert model.weights_.max() > 0
    plain = FusedRegressor(("color", "noise"), ("ridge", "pls"), quick=True)
    rest = table.drop(columns="noise.face.spike.mean")
    calm = plain.fit(rest, y, groups).oof_prediction_
    assert mse(y, model.oof_prediction_) < 1.1 * mse(y, calm)
    wild = table.assign(**{"noise.face.spike.mean": 1e6})
    assert np.all(np.abs(model.predict(wild) - y.mean()) < 2 * np.ptp(y))
