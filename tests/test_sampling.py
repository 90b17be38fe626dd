from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pallor.video.sampling import UniformSampler


def _run(times: np.ndarray, count: int, expected: float | None = None) -> list[float]:
    sampler: UniformSampler[float] = UniformSampler(count, expected)
    for t in times:
        if sampler.wants(float(t)):
            sampler.add(float(t), float(t))
        assert len(sampler) <= 4 * count
    picked = sampler.select()
    assert [t for t, _ in picked] == [item for _, item in picked]
    return [t for t, _ in picked]


@pytest.mark.parametrize("expected", [None, 10.0, 3.0, 100.0])
@pytest.mark.parametrize("duration_s", [1.0, 10.0, 90.0])
def test_picks_are_uniform_whatever_the_container_says(
    duration_s: float, expected: float | None
) -> None:
    picked = _run(np.arange(0, duration_s, 1 / 30), 16, expected)
    if expected is not None and expected > 2 * duration_s:
        assert len(picked) >= 1  # a header that lies costs picks, never an error
        return
    assert len(picked) == 16
    gaps = np.diff(picked)
    if expected == duration_s:
        assert gaps.max() - gaps.min() <= 2 / 30 + 1e-9
    assert gaps.max() < 2.1 * gaps.min() + 1 / 30
    assert picked[0] == 0
    assert picked[-1] > 0.85 * duration_s


@given(
    st.lists(st.floats(0.001, 5.0), min_size=1, max_size=400),
    st.integers(1, 20),
)
def test_picks_are_ordered_distinct_and_bounded(gaps: list[float], count: int) -> None:
    picked = _run(np.cumsum(gaps), count)
    assert 1 <= len(picked) <= count
    assert all(a < b for a, b in itertools.pairwise(picked))


def test_a_stream_shorter_than_the_count_gives_each_item_once() -> None:
    assert _run(np.array([0.0, 1.0, 2.0]), 16) == [0.0, 1.0, 2.0]


def test_count_must_be_positive() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        UniformSampler(0)
