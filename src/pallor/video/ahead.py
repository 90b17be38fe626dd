"""Reading ahead: an iterator that runs in a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

Item = TypeVar("Item")

GROUPS_AHEAD = 4
"""Groups of items that are held at one time."""


class ReadAhead(Generic[Item]):
    """Draws from an iterable in a thread; a context manager, to be iterated once inside.

    The decoder works without the interpreter's lock, so decoding goes on while the frames
    before are measured. Leaving the context waits for the thread: what it reads from may be
    closed then.

    Parameters
    ----------
    items
        Where to draw from. An exception there is raised where the items are read.
    group
        Items that are handed over at once, since every handing over costs; up to
        `GROUPS_AHEAD` groups are held.
    """

    def __init__(self, items: Iterable[Item], group: int = 8) -> None:
        self._items = items
        self._group = group
        self._ready: queue.Queue[list[Item] | BaseException | None] = queue.Queue(
            GROUPS_AHEAD - 2  # one is being filled, one is being read
        )
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="pallor-decode", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped.set()
        while self._thread.is_alive():
            # The thread may wait for room.
            try:
                self._ready.get(timeout=0.05)
            except queue.Empty:
                continue
        self._thread.join()

    def __iter__(self) -> Iterator[Item]:
        """Yield the items in their order."""
        while True:
            given = self._ready.get()
            if given is None:
                return
            if isinstance(given, BaseException):
                raise given
            yield from given

    def _work(self) -> None:
        end: BaseException | None = None
        group: list[Item] = []
        try:
            for item in self._items:
                group.append(item)
                if len(group) == self._group:
                    self._ready.put(group)
                    group = []
                if self._stopped.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - raised again where the items are read
            end = error
        if group:
            self._ready.put(group)
        self._ready.put(end)
