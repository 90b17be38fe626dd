from __future__ import annotations

import json
import math

import numpy as np
import pytest

from pallor.evaluation import metrics
from pallor.evaluation.bootstrap import resample_counts
from pallor.evaluation.error_by_hemoglobin import EDGES_G_DL, error_by_hemoglobin


def test_bins_are_fixed_half_open_and_hold_every_unit():
    y = np.array([7.9, 8.0, 9.99, 10.0, 12.0, 13.0, 15.99, 16.0, 19.0])
    bins = error_by_hemoglobin(y, y[None] + 1, np.arange(9), resample_counts(9, 50, 0))
    assert [one.units for one in bins] == [1, 2, 1, 0, 1, 1, 0, 1, 2]
    assert (bins[0].low_g_dl, bins[-1].high_g_dl) == (None, None)
    assert tuple(one.low_g_dl for one in bins[1:]) == EDGES_G_DL
    assert tuple(one.high_g_dl for one in bins[:-1]) == EDGES_G_DL
    assert all(one.few for one in bins)
    assert math.isnan(bins[3].mae.value)
    assert bins[1].bias.value == pytest.approx(1)


def test_bins_of_fewer_than_20_participants_are_marked():
    # 20 people below 12.5 g/dL; 19 above, who have 38 units.
    people = np.concatenate([np.arange(20), np.repeat(np.arange(20, 39), 2)])
    y = np.where(people < 20, 12.0, 13.0)
    low, high = error_by_hemoglobin(y, y[None], people, resample_counts(39, 20, 0), (12.5,))
    assert (low.participants, low.units, low.few) == (20, 20, False)
    assert (high.participants, high.units, high.few) == (19, 38, True)


def test_errors_of_a_bin_equal_those_of_a_loop_that_resamples_people():
    rng = np.random.default_rng(9)
    people = rng.permutation(np.repeat(np.arange(60), rng.integers(1, 5, 60)))
    y = rng.normal(13.5, 1.5, people.size)
    p = y + rng.normal(0.2, 1, people.size)
    repeats = np.stack([p, p + rng.normal(0, 0.4, p.size)])
    counts = resample_counts(60, 60, seed=3)
    bins = error_by_hemoglobin(y, repeats, people, counts, edges_g_dl=(12.5, 14.0))
    assert sum(one.units for one in bins) == y.size
    for one in bins:
        low, high = one.low_g_dl or -math.inf, one.high_g_dl or math.inf
        inside = (y >= low) & (y < high)
        assert one.participants == len(np.unique(people[inside]))
        assert one.few == (one.participants < 20)
        mae = np.mean([metrics.mae(y[inside], q[inside]) for q in repeats])
        assert one.mae.value == pytest.approx(mae, abs=1e-9)
        drawn = []
        for row in counts:
            units = np.concatenate(
                [np.flatnonzero((people == k) & inside) for k in np.repeat(np.arange(60), row)]
            )
            drawn.append(np.mean([metrics.bias(y[units], q[units]) for q in repeats]))
        ends = np.quantile(drawn, (0.025, 0.975))
        assert [one.bias.low, one.bias.high] == pytest.approx(ends, abs=1e-9)


def test_a_model_that_knows_only_the_mean_errs_upward_where_blood_is_thin():
    rng = np.random.default_rng(10)
    y = rng.normal(13.5, 1.7, 800)
    bins = error_by_hemoglobin(
        y, np.full((1, 800), y.mean()), np.arange(800), resample_counts(800, 200, 0)
    )
    well_filled = [one for one in bins if not one.few]
    assert len(well_filled) >= 5
    biases = [one.bias.value for one in well_filled]
    assert biases == sorted(biases, reverse=True)
    assert well_filled[0].bias.low > 0 > well_filled[-1].bias.high


def test_results_go_to_json():
    y = np.linspace(7, 17, 30)
    bins = error_by_hemoglobin(y, y[None] + 0.1, np.arange(30), resample_counts(30, 30, 0))
    got = json.loads(json.dumps([one.as_dict() for one in bins]))
    assert got[4]["mae"].keys() == {"value", "low", "high"}
    assert (got[0]["low_g_dl"], got[0]["few"]) == (None, True)
