from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy import stats

from pallor.evaluation.prior_work import reported
from pallor.evaluation.reproduction import REPRODUCED, placement

STACKING, BOOSTED = (reported(key) for key in REPRODUCED)


def seeds_of(mae, r, r2):
    return {"mae": np.array(mae), "r": np.array(r), "r2": np.array(r2)}


def test_percentiles_and_ranges_are_those_of_the_seeds():
    rng = np.random.default_rng(0)
    seeds = seeds_of(
        rng.normal(0.8, 0.08, 100), rng.normal(0.75, 0.05, 100), rng.normal(0.5, 0.1, 100)
    )
    got = placement(STACKING, seeds)
    assert [figure.score for figure in got.figures] == ["mae", "r", "r2"]
    for figure, published in zip(got.figures, (0.7754, 0.7878, 0.5852), strict=True):
        values = seeds[figure.score]
        assert figure.published == published
        assert figure.percentile == pytest.approx(100 * np.mean(values < published))
        assert (figure.low, figure.high) == pytest.approx(np.percentile(values, [2.5, 97.5]))
        assert figure.median == pytest.approx(np.median(values))
        assert figure.inside


def test_joint_share_counts_seeds_at_least_as_good_in_all_figures():
    # Better in all; worse in r; worse in MAE; equal in all; worse in R2.
    seeds = seeds_of(
        [0.7, 0.7, 0.8, 0.7754, 0.7], [0.8, 0.7, 0.8, 0.7878, 0.8], [0.6, 0.6, 0.6, 0.5852, 0.5]
    )
    got = placement(STACKING, seeds)
    assert got.joint_share.value == pytest.approx(2 / 5)
    # Clopper and Pearson by their definition, with quantiles of the beta distribution.
    assert got.joint_share.low == pytest.approx(stats.beta.ppf(0.025, 2, 4), abs=1e-9)
    assert got.joint_share.high == pytest.approx(stats.beta.ppf(0.975, 3, 3), abs=1e-9)


def test_ties_with_the_published_figure_count_half():
    got = placement(STACKING, seeds_of([0.7754] * 4, [0.7, 0.7878, 0.9, 0.9], [0.1] * 4))
    assert [figure.percentile for figure in got.figures] == [50, 37.5, 100]
    assert [figure.inside for figure in got.figures] == [True, True, False]


def test_only_published_figures_are_compared():
    got = placement(BOOSTED, {"mae": [0.6, 0.7], "r2": [0.5, 0.5]})
    assert [figure.score for figure in got.figures] == ["mae", "r2"]
    assert got.joint_share.value == 0.5


def test_an_undefined_score_is_not_as_good_and_leaves_the_range():
    got = placement(STACKING, seeds_of([0.7, 0.7], [0.8, np.nan], [0.6, 0.6]))
    assert got.joint_share.value == 0.5
    assert [figure.seeds for figure in got.figures] == [2, 1, 2]
    got = placement(STACKING, seeds_of([0.7, 0.7], [np.nan, np.nan], [0.6, 0.6]))
    assert math.isnan(got.figures[1].percentile)
    assert not got.figures[1].inside
    assert got.joint_share.value == 0


def test_none_of_100_seeds_still_leaves_a_chance():
    got = placement(STACKING, seeds_of([1.0] * 100, [0.5] * 100, [0.2] * 100))
    assert (got.joint_share.value, got.joint_share.low) == (0, 0)
    assert got.joint_share.high == pytest.approx(1 - 0.025 ** (1 / 100), abs=1e-9)


@pytest.mark.parametrize(
    "seeds",
    [
        {"mae": [0.7], "r": [0.8]},
        seeds_of([], [], []),
        seeds_of([0.7, 0.8], [0.8], [0.5]),
        seeds_of([[0.7]], [[0.8]], [[0.5]]),
    ],
)
def test_seeds_that_do_not_match_are_refused(seeds):
    with pytest.raises(ValueError, match="seeds"):
        placement(STACKING, seeds)


def test_a_placement_goes_to_json():
    got = placement(STACKING, seeds_of([0.7, 0.8], [0.8, 0.7], [0.6, 0.5])).as_dict()
    back = json.loads(json.dumps(got))
    assert back["figures"][0]["score"] == "mae"
    assert back["joint_share"].keys() == {"value", "low", "high"}
    assert back["study"].startswith("Güneş")
