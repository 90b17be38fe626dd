"""How long jobs have been running, and how long nothing was heard of them, by a clock of its own.

The times in the database are of a clock that somebody may set. What it shows decides over no job.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pallor.service.store.job import Job


@dataclass
class _Seen:
    attempts: int
    since_s: float
    heartbeat_s: float | None
    heard_s: float


class Watch:
    """The jobs that are running, as one process sees them.

    Parameters
    ----------
    clock
        Seconds; nobody sets it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, _Seen] = {}

    def look(self, running: Iterable[Job]) -> None:
        """Note which jobs are running now, and which heartbeats are new."""
        now_s = self._clock()
        before, self._seen = self._seen, {}
        for job in running:
            seen = before.get(job.id)
            if seen is None or seen.attempts != job.attempts:
                seen = _Seen(job.attempts, now_s, job.heartbeat_s, now_s)
            elif seen.heartbeat_s != job.heartbeat_s:
                seen.heartbeat_s, seen.heard_s = job.heartbeat_s, now_s
            self._seen[job.id] = seen

    def forgive(self) -> None:
        """Begin to wait for heartbeats anew: while the database was away none could be heard."""
        now_s = self._clock()
        for seen in self._seen.values():
            seen.heard_s = now_s

    def running_s(self, job: Job) -> float:
        """Return for how long a job that was looked at has been running."""
        return self._clock() - self._seen[job.id].since_s

    def silent_s(self, job: Job) -> float:
        """Return for how long nothing has been heard of a job that was looked at."""
        return self._clock() - self._seen[job.id].heard_s
