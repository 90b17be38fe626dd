"""Uniformly spaced picks from a stream whose length is not known in advance."""

from __future__ import annotations

import math
from typing import Generic, TypeVar

Item = TypeVar("Item")


class UniformSampler(Generic[Item]):
    """Keep a bounded number of items, spaced evenly in time however long the stream gets.

    An item is accepted when the next point of a uniform grid has been reached. When
    ``4 x count`` are held, every second one is dropped and the grid becomes twice as wide, so
    memory is bounded while the held items stay evenly spaced. :meth:`select` then picks the
    ``count`` items nearest to ``count`` uniformly spaced times.

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
            # Twice as dense as needed: if the container tells the truth every second item is
            # an exact pick, and if the clip is cut in half there are still enough.
            self._interval_s = max(first_interval_s, expected_duration_s / (2 * count - 1))
        self._next_s = -math.inf
        self._times_s: list[float] = []
        self._items: list[Item] = []

    def __len__(self) -> int:
        return len(self._items)

    def wants(self, time_s: float) -> bool:
        """Return whether an item at this time would be kept."""
        return time_s >= self._next_s

    def add(self, time_s: float, item: Item) -> None:
        """Keep an item; times must not go backwards."""
        if len(self._items) >= self._capacity:
            self._times_s = self._times_s[::2]
            self._items = self._items[::2]
            self._interval_s *= 2
            if time_s - self._times_s[-1] < 0.75 * self._interval_s:
                self._next_s = self._grid_after(self._times_s[-1])
                return
        self._times_s.append(time_s)
        self._items.append(item)
        self._next_s = self._grid_after(time_s)

    def _grid_after(self, time_s: float) -> float:
        """Return the grid point nearest to one interval later, less a rounding error."""
        origin = self._times_s[0]
        steps = math.floor((time_s - origin) / self._interval_s + 1.25)
        return origin + steps * self._interval_s - 1e-9

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
