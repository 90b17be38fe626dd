from __future__ import annotations

import threading
import time

import pytest

from pallor.video.ahead import GROUPS_AHEAD, ReadAhead


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 100])
@pytest.mark.parametrize("group", [1, 8])
def test_items_come_in_their_order(count: int, group: int) -> None:
    with ReadAhead(range(count), group=group) as items:
        assert list(items) == list(range(count))


def test_an_error_comes_after_the_items_before_it() -> None:
    def source():
        yield from range(11)
        raise ValueError("damaged")

    seen = []
    with ReadAhead(source(), group=4) as items, pytest.raises(ValueError, match="damaged"):
        for item in items:
            seen.append(item)  # noqa: PERF402
    assert seen == list(range(11))


def test_it_reads_ahead_but_not_without_bound() -> None:
    drawn = []

    def source():
        for i in range(1000):
            drawn.append(i)
            yield i

    with ReadAhead(source(), group=5) as items:
        walk = iter(items)
        next(walk)
        deadline = time.monotonic() + 5
        while len(drawn) < 10 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.1)
        assert 10 <= len(drawn) <= GROUPS_AHEAD * 5


def test_leaving_in_the_middle_ends_the_thread_before_the_source_is_closed() -> None:
    drawn = []

    def source():
        for i in range(10**9):
            drawn.append(i)
            yield i

    with pytest.raises(KeyError), ReadAhead(source(), group=2) as ahead:
        for item in ahead:
            if item == 5:
                raise KeyError(item)
    then = len(drawn)
    time.sleep(0.05)
    assert len(drawn) == then
    assert not any(thread.name == "pallor-decode" for thread in threading.enumerate())
