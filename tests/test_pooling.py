from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pallor.features.pooling import OF_STILLS, STATISTICS, pool

ALL = tuple(STATISTICS)


def _frames(rows: int, depth: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, depth)).astype(np.float32)


def test_a_ramp_has_its_closed_forms():
    time_s = np.arange(11) * 0.5
    ramp = (2.0 + 3.0 * time_s)[:, None].astype(np.float32)
    pooled = {name: float(values[0]) for name, values in pool(ramp, time_s, ALL).items()}
    step = 1.5
    assert pooled["mean"] == pytest.approx(2.0 + 3.0 * 2.5)
    assert pooled["p50"] == pytest.approx(pooled["mean"])
    assert pooled["p10"] == pytest.approx(2.0 + step)
    assert pooled["p90"] == pytest.approx(2.0 + 9 * step)
    assert pooled["std"] == pytest.approx(step * np.sqrt((11**2 - 1) / 12))
    assert pooled["mean_abs_diff"] == pytest.approx(step)
    assert pooled["slope"] == pytest.approx(3.0)


def test_the_slope_is_that_of_least_squares_on_uneven_times():
    time_s = np.array([0.0, 0.1, 0.7, 1.9, 2.0])
    frames = _frames(5, 4)
    expected = np.polyfit(time_s, frames.astype(np.float64), 1)[0]
    np.testing.assert_allclose(pool(frames, time_s, ("slope",))["slope"], expected, rtol=1e-9)


def test_one_frame_has_a_mean_and_nothing_else():
    pooled = pool(_frames(1), np.zeros(1), ALL)
    for name, values in pooled.items():
        assert np.isfinite(values).all() == (name in OF_STILLS)


def test_no_frame_gives_nan_of_the_right_length():
    pooled = pool(np.empty((0, 7), np.float32), np.empty(0), ALL)
    assert all(np.isnan(values).all() and values.shape == (7,) for values in pooled.values())


def test_frames_at_one_time_have_no_slope():
    assert np.isnan(pool(_frames(3), np.ones(3), ("slope",))["slope"]).all()


@given(
    rows=st.integers(2, 20),
    shift=st.floats(-100, 100),
    scale=st.floats(0.1, 10),
    seed=st.integers(0, 99),
)
def test_shift_and_scale_go_through(rows, shift, scale, seed):
    frames = _frames(rows, 2, seed).astype(np.float64)
    time_s = np.sort(np.random.default_rng(seed).uniform(0, 30, rows))
    before = pool(frames, time_s, ALL)
    after = pool(scale * frames + shift, time_s, ALL)
    for name in ("mean", "p10", "p50", "p90"):
        np.testing.assert_allclose(after[name], scale * before[name] + shift, atol=1e-9)
    for name in ("std", "mean_abs_diff", "slope"):
        np.testing.assert_allclose(after[name], scale * before[name], rtol=1e-6, atol=1e-7)


def test_order_in_time_matters_to_changes_alone():
    frames, time_s = _frames(8), np.arange(8.0)
    forth, back = pool(frames, time_s, ALL), pool(frames[::-1], time_s, ALL)
    for name in ("mean", "std", "p10", "p50", "p90", "mean_abs_diff"):
        np.testing.assert_allclose(back[name], forth[name], rtol=1e-12)
    np.testing.assert_allclose(back["slope"], -forth["slope"], rtol=1e-9)
