from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pallor.errors import FeatureTableError
from pallor.models.preprocessing import (
    DEMOGRAPHIC_COLUMNS,
    MAX_COMPONENTS,
    PREPARATIONS,
    demographic_features,
    matrix,
    partial_out,
    prepare,
    varying_columns,
    with_demographics,
    without_demographics,
)
from pallor.models.regressors import (
    LEARNERS,
    REGRESSORS,
    WIDE_COLUMNS,
    Size,
    preparation_of,
    thinned,
)


def _data(rows: int = 60, columns: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(rows, columns))
    return values, 2.0 * values[:, 0] + rng.normal(0.0, 0.1, rows)


def test_named_regressors_consist_of_known_learners():
    assert set(REGRESSORS) == {"xgboost", "random_forest", "stacking"}
    assert set(REGRESSORS["stacking"]) == set(LEARNERS)
    assert all(name in LEARNERS for names in REGRESSORS.values() for name in names)
    assert all(learner.preparation in PREPARATIONS for learner in LEARNERS.values())


def test_no_tree_searches_thousands_of_single_columns():
    for name, learner in LEARNERS.items():
        assert preparation_of(learner, WIDE_COLUMNS) == learner.preparation
        wide = preparation_of(learner, WIDE_COLUMNS + 1)
        assert wide == ("standardized" if name in ("pls", "chromophore") else "components")


@pytest.mark.parametrize("name", LEARNERS)
def test_every_candidate_learns_a_plain_signal_and_is_deterministic(name):
    learner = LEARNERS[name]
    values, y = _data(columns=4 if learner.core else 12)
    for candidate in learner.grid:
        predictions = []
        for _ in range(2):
            pipeline = prepare(learner.preparation, values[:40], 3)
            size = Size(rows=40, columns=values.shape[1], quick=True)
            fitted = learner.build(size, 3, 1, candidate).fit(
                pipeline.transform(values[:40]), y[:40]
            )
            predictions.append(fitted.predict(pipeline.transform(values[40:])))
        assert np.array_equal(*predictions)
        assert np.corrcoef(predictions[0], y[40:])[0, 1] > 0.5, candidate


@pytest.mark.parametrize("kind", PREPARATIONS)
def test_preparation_survives_empty_constant_and_holed_columns(kind):
    values, _ = _data(40, 80)
    values[:, 3] = np.nan
    values[:, 4] = 7.0
    values[::3, 5] = np.nan
    prepared = prepare(kind, values, 0).transform(values)
    assert prepared.shape[0] == 40
    if kind != "raw":
        assert np.isfinite(prepared).all()
    if kind == "imputed":
        assert prepared.shape[1] == 78
    if kind == "components":
        assert prepared.shape[1] == min(MAX_COMPONENTS, 40 // 5)


def test_preparation_learns_from_training_rows_alone():
    values, _ = _data(50, 5)
    values[0, 2] = np.nan
    pipeline = prepare("imputed", values[:30], 0)
    assert pipeline.transform(values[:1])[0, 2] == np.nanmedian(values[:30, 2])


def test_infinite_counts_as_undefined_and_absent_columns_are_named():
    table = pd.DataFrame({"color.a": [1.0, np.inf], "color.b": [None, 2.0]})
    assert np.array_equal(
        matrix(table, ["color.a", "color.b"]), [[1.0, np.nan], [np.nan, 2.0]], equal_nan=True
    )
    with pytest.raises(FeatureTableError, match=r"color\.c"):
        matrix(table, ["color.a", "color.c"])
    with pytest.raises(FeatureTableError, match="numbers"):
        matrix(pd.DataFrame({"color.a": ["red"]}), ["color.a"])


def test_varying_columns_ignore_gaps():
    values = np.array([[1.0, np.nan, 2.0, np.nan], [1.0, np.nan, 3.0, 5.0]])
    assert varying_columns(values) == 1
    assert varying_columns(np.zeros((3, 0))) == 0


def test_partial_out_leaves_nothing_linear_of_the_demographics():
    rng = np.random.default_rng(1)
    demographics = np.column_stack([rng.integers(0, 2, 80), rng.uniform(18, 80, 80)])
    values = demographics @ rng.normal(size=(2, 6)) + rng.normal(size=(80, 6))
    values[:, 5] = 3.25
    rest = without_demographics(values, demographics, partial_out(values, demographics))
    assert np.abs(demographics.T @ rest).max() < 1e-7
    assert np.abs(rest.mean(axis=0)).max() < 1e-9
    assert not rest[:, 5].any()


def test_partial_out_agrees_with_the_coefficient_of_the_full_regression():
    # Frisch, Waugh and Lovell: the partial slope equals that of the joint regression.
    rng = np.random.default_rng(2)
    sex = rng.integers(0, 2, (200, 1)).astype(float)
    feature = 0.8 * sex + rng.normal(size=(200, 1))
    y = 1.5 * sex[:, 0] + 0.6 * feature[:, 0] + rng.normal(0, 0.3, 200)
    rest = without_demographics(feature, sex, partial_out(feature, sex))[:, 0]
    design = np.column_stack([np.ones(200), sex, feature])
    joint = np.linalg.lstsq(design, y, rcond=None)[0][2]
    assert rest @ y / (rest @ rest) == pytest.approx(joint, abs=1e-9)


def test_demographics_are_coded_as_documented():
    table = pd.DataFrame({"sex": ["male", "female", None], "age_years": [40.0, 30.0, None]})
    made = demographic_features(table)
    assert tuple(made.columns) == DEMOGRAPHIC_COLUMNS
    assert np.array_equal(made.to_numpy()[:2], [[1, 40, 40], [0, 30, 0]])
    assert made.iloc[2].isna().all()
    assert demographic_features(table[["sex"]])["demographics.age_years"].isna().all()
    with pytest.raises(FeatureTableError, match="sex"):
        demographic_features(pd.DataFrame({"clip": ["a"]}))
    assert list(with_demographics(with_demographics(table)).columns) == [
        *table.columns,
        *DEMOGRAPHIC_COLUMNS,
    ]


@given(
    counts=st.lists(st.integers(1, 9), min_size=1, max_size=30),
    most=st.integers(1, 120),
    seed=st.integers(0, 5),
)
def test_thinning_leaves_everybody_about_as_many_rows(counts, most, seed):
    groups = np.repeat(np.arange(len(counts)), counts)
    groups = np.random.default_rng(seed).permutation(groups)
    rows = thinned(groups, most, seed)
    assert np.array_equal(rows, np.unique(rows))
    assert set(groups[rows]) == set(groups)
    if len(groups) <= most:
        assert len(rows) == len(groups)
        return
    each = max(1, most // len(counts))
    left = np.bincount(groups[rows], minlength=len(counts))
    assert np.array_equal(left, np.minimum(counts, each))
    assert len(rows) <= max(most, len(counts))


def test_trees_draw_as_many_rows_as_there_are_people():
    many, each_once = Size(600, 10, groups=100), Size(600, 10, groups=600)
    assert many.share == pytest.approx(1 / 6)
    assert each_once.share == Size(600, 10).share == 1.0
    forest = LEARNERS["random_forest"].build(many, 0, 1, {})
    assert forest.max_samples == pytest.approx(1 / 6)
    assert LEARNERS["random_forest"].build(each_once, 0, 1, {}).max_samples is None
    assert LEARNERS["xgboost"].build(many, 0, 1, {}).subsample == pytest.approx(0.8 / 6)
    assert LEARNERS["xgboost"].build(each_once, 0, 1, {}).subsample == 0.8
    assert forest.n_estimators >= 300
