"""What runs inside a Dask worker: a clip is handed to a worker process of our own.

So a crash, a hang or the time limit costs one clip, as on a single machine, and no Dask
worker. Nothing but text and bytes goes between the machines.
"""

from __future__ import annotations

import importlib
import json
import threading

from pallor.cohort.clip_outcome import ClipTask, encode
from pallor.cohort.extraction_record import library_versions
from pallor.cohort.worker_pool import Worker
from pallor.errors import PallorError

_IDLE_S = 120.0


class _Desk:
    """The worker processes of one extraction within this Dask worker.

    Each thread of Dask takes an idle one, so there are as many as threads. Those that find
    no work for a while end: nobody may be left to end them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[Worker] = []
        self._busy: set[Worker] = set()
        self._timer: threading.Timer | None = None
        self._unfit: str | None = None
        self._ended = False

    def unfit(self, expected: str, task: str) -> str:
        """Tell what `fitting` tells; a worker may have joined after the start."""
        with self._lock:
            if self._unfit is None:
                self._unfit = fitting(expected, task)
            return self._unfit

    def run(self, task: ClipTask, function: str, time_limit_s: float | None) -> bytes | str:
        """Measure a clip in an idle worker process, or a new one."""
        with self._lock:
            if self._ended:  # Dask may start a task that is being canceled
                return "was told to stop"
            if self._timer is not None:
                self._timer.cancel()
            worker = self._idle.pop() if self._idle else _worker(function, time_limit_s)
            self._busy.add(worker)
        try:
            return encode(worker.run(task))
        finally:
            with self._lock:
                self._busy.remove(worker)
                self._idle.append(worker)
                self._timer = threading.Timer(0 if self._ended else _IDLE_S, self.end_idle)
                self._timer.daemon = True
                self._timer.start()

    def end_idle(self) -> None:
        """End the processes that have nothing to do."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.close()

    def end(self) -> None:
        """End all processes, and start no more; clips at work come to nothing."""
        with self._lock:
            self._ended = True
            busy = list(self._busy)
        for worker in busy:
            worker.stop()
        self.end_idle()


_desks: dict[str, _Desk] = {}


def measure_clip(
    run: str, task: str, function: str, time_limit_s: float | None, expected: str
) -> bytes | str:
    """Measure a clip on this machine.

    Parameters
    ----------
    run
        Name of the extraction; its worker processes are kept for its next clip.
    task
        As `ClipTask.to_json` wrote it.
    function
        What measures, as ``MODULE:FUNCTION``.
    time_limit_s
        Longest time for the clip, None for no limit.
    expected
        What `fitting` compares this machine with.

    Returns
    -------
    bytes or str
        The encoded outcome; or one line that says why this worker can measure no clip.
    """
    read = ClipTask.from_json(task)
    desk = _desks.setdefault(run, _Desk())
    unfit = desk.unfit(expected, task)
    if unfit:
        return unfit
    try:
        return desk.run(read, function, time_limit_s)
    except PallorError as error:
        return error.text


def fitting(expected: str, task: str) -> str:
    """Tell whether this machine measures a clip like the one that `circumstances` was called on.

    Parameters
    ----------
    expected
        What `circumstances` returned there.
    task
        As `ClipTask.to_json` wrote it; its modalities and settings count.

    Returns
    -------
    str
        One line with what is wrong; empty if nothing is.
    """
    there = json.loads(expected)
    try:
        here = json.loads(circumstances(ClipTask.from_json(task)))
    except PallorError as error:
        return error.text
    other = [
        f"{name} {here[part].get(name, 'absent')} instead of {there[part].get(name, 'absent')}"
        for part in ("versions", "networks")
        for name in sorted({*here[part], *there[part]})
        if here[part].get(name) != there[part].get(name)
    ]
    return f"has {', '.join(other)}" if other else ""


def circumstances(task: ClipTask) -> str:
    """Return what features depend on beside the clip: versions and networks, as JSON.

    Raises
    ------
    PallorError
        If the weights of a network are absent or altered.
    """
    from importlib.metadata import version

    from pallor.features.backbones.network import forget_networks
    from pallor.features.registry import check_ready

    networks = check_ready(task.modalities, task.settings)
    forget_networks()  # they are used in other processes
    versions = library_versions() | {"distributed": version("distributed")}
    return json.dumps({"versions": versions, "networks": networks})


def end_run(run: str) -> None:
    """End the worker processes of an extraction, those at work, too, for good."""
    _desks.setdefault(run, _Desk()).end()


def _worker(function: str, time_limit_s: float | None) -> Worker:
    module, _, name = function.partition(":")
    return Worker(getattr(importlib.import_module(module), name), time_limit_s)
