"""Uniformly spaced picks from a stream whose length is not known in advance."""

from __future__ import annotations

import math
from typing import Generic, TypeVar

Item = TypeVar("Item")


class UniformSampler(Generic[Item]):
    """Keep a bounded number of items, spaced evenly in time however long the stream gets.

    Items are accepted at most once per interval. When ``4 x count`` of them are held,
    every second one is dropped and the interval doubles, so memory is bounded while the
    held items stay evenly spaced. :meth:`select` then picks the ``count`` items nearest to
    ``count`` uniformly spaced times.

    Parameters
    ----------
    count
        Items wanted in the end, at least 1.
    expected_duration_s
        What the container says of its length, if it does; it saves work (fewer items are
        taken and dropped again), the result is as even without it.
    first_interval_s
        Interval to start with when the length is unknown.
    """

    def __init__(
        self, count: int, expected_duration_s: float | None = None, first_interval_s: float = 1 / 60
    ) -> None:
        if count < 1:
            raise ValueError(f"count must be at least 1, not {count}")
        self.count = count
        self._capacity = 4 * count
        self._interval_s = first_interval_s
        if expected_duration_s is not None and math.isfinite(expected_duration_s):
            self._interval_s = max(first_interval_s, expected_duration_s / (2 * count))
        self._times_s: list[float] = []
        self._items: list[Item] = []

    def __len__(self) -> int:
        return len(self._items)

    def wants(self, time_s: float) -> bool:
        """Return whether an item at this time would be kept."""
        # A tenth of an interval of slack: frame times jitter around the grid.
        return not self._times_s or time_s - self._times_s[-1] >= 0.9 * self._interval_s

    def add(self, time_s: float, item: Item) -> None:
        """Keep an item; times must not go backwards."""
        if len(self._items) >= self._capacity:
            self._times_s = self._times_s[::2]
            self._items = self._items[::2]
            self._interval_s *= 2
            if not self.wants(time_s):
                return
        self._times_s.append(time_s)
        self._items.append(item)

    def select(self) -> list[tuple[float, Item]]:
        """Return at most ``count`` ``(time_s, item)`` pairs, in order, none twice."""
        if len(self._items) <= self.count:
            return list(zip(self._times_s, self._items, strict=True))
        first, last = self._times_s[0], self._times_s[-1]
        step = (last - first) / (self.count - 1) if self.count > 1 else 0.0
        chosen: list[int] = []
        start = 0
        for k in range(self.count):
            target = first + k * step if self.count > 1 else (first + last) / 2
            # Leave enough items for the picks still to come, so that none is taken twice.
            stop = len(self._items) - (self.count - k - 1)
            best = min(range(start, stop), key=lambda i: abs(self._times_s[i] - target))
            chosen.append(best)
            start = best + 1
        return [(self._times_s[i], self._items[i]) for i in chosen]
