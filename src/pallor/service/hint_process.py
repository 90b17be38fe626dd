"""Frames of cameras are decoded in a process of its own, with little memory and time.

A picture that breaks a decoder then breaks that process, which is started anew, and not the
service.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pallor.errors import PallorError, PictureError, WeightsError
from pallor.service.jobs.limits import deaf, die_with_parent, settle
from pallor.service.refusals import BusyError, InvalidRequestError

if TYPE_CHECKING:
    from pallor.video.face import FaceLandmarker

TIME_LIMIT_S = 10.0
FIRST_TIME_LIMIT_S = 60.0
"""The process loads its networks first."""
MAX_WAITING = 16
MEMORY_BYTES = 4 * 2**30
"""Address space, most of which the networks' libraries reserve and never touch."""
MAX_STREAMS = 200
FORGET_S = 5.0

_landmarker: FaceLandmarker | None = None


@dataclass
class HintProcess:
    """Looks at frames.

    Attributes
    ----------
    face_model
        Landmark model file; searched for when not given.
    """

    face_model: Path | None = None
    _pool: ProcessPoolExecutor | None = field(default=None, repr=False)
    _waiting: int = 0
    _warm: bool = False
    _before: OrderedDict[str, tuple[float, bytes]] = field(default_factory=OrderedDict, repr=False)

    async def look(self, content: bytes, stream: str) -> dict[str, Any]:
        """Look at a frame.

        Parameters
        ----------
        content
            JPEG or PNG.
        stream
            Whose camera it is; the frame before of the same one tells of motion.

        Raises
        ------
        InvalidRequestError
            It is no small picture.
        BusyError
            Too many frames wait, it took too long, or the process broke over it.
        """
        if self._waiting >= MAX_WAITING:
            raise BusyError("too many frames at once", 1)
        self._waiting += 1
        try:
            answer = await self._ask(content, self._previous(stream))
        finally:
            self._waiting -= 1
        if "error" in answer:
            raise InvalidRequestError(answer["error"])
        if "busy" in answer:
            raise BusyError("hints cannot be given: the landmark model is not there", 60)
        self._remember(stream, content)
        return answer

    def stop(self) -> None:
        """End the process."""
        pool, self._pool, self._warm = self._pool, None, False
        if pool is not None:
            _kill(pool)

    async def _ask(self, content: bytes, previous: bytes | None) -> dict[str, Any]:
        if self._pool is None:
            self._pool = _new_pool(self.face_model)
        pool = self._pool
        limit = TIME_LIMIT_S if self._warm else FIRST_TIME_LIMIT_S
        try:
            # The first frame starts the process.
            with deaf():
                future = pool.submit(_look, content, previous)
            answer = await asyncio.wait_for(asyncio.wrap_future(future), limit)
        except (BrokenProcessPool, TimeoutError, RuntimeError):
            # Others may have waited for the same process: who comes first puts a new one up.
            if self._pool is pool:
                self.stop()
            raise BusyError("the frame could not be looked at; send another", 1) from None
        self._warm = True
        return answer

    def _previous(self, stream: str) -> bytes | None:
        seen, content = self._before.get(stream, (0.0, b""))
        return content if content and time.monotonic() - seen < FORGET_S else None

    def _remember(self, stream: str, content: bytes) -> None:
        self._before[stream] = (time.monotonic(), content)
        self._before.move_to_end(stream)
        while len(self._before) > MAX_STREAMS:
            self._before.popitem(last=False)


def _new_pool(face_model: Path | None) -> ProcessPoolExecutor:
    import multiprocessing
    from multiprocessing import resource_tracker

    # It would be started with the process, and let through the signals that are held back then.
    resource_tracker.ensure_running()
    # spawn: a fork of a process with threads may inherit a lock that nobody will open.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, mp_context=context, initializer=_begin, initargs=(face_model,))


def _kill(pool: ProcessPoolExecutor) -> None:
    # A process that is stuck in a decoder does not listen to anything gentler.
    for process in list((getattr(pool, "_processes", None) or {}).values()):
        process.kill()
    pool.shutdown(wait=False, cancel_futures=True)


def _begin(face_model: Path | None) -> None:
    """Set the process up: its end and its limits first, then the networks."""
    global _landmarker
    _end_with_parent()
    settle()
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    except ImportError:  # Windows has no such limits.
        pass
    from pallor.video.face import FaceLandmarker

    try:
        _landmarker = FaceLandmarker(face_model)
    except WeightsError:
        _landmarker = None


def _end_with_parent() -> None:
    import multiprocessing
    import os

    die_with_parent()
    server = multiprocessing.parent_process()
    if server is not None and not server.is_alive():
        # Killed before it was asked to take this process with it.
        os._exit(1)


def _look(content: bytes, previous: bytes | None) -> dict[str, Any]:
    from pallor.service.hints import look

    if _landmarker is None:
        return {"busy": "no landmark model"}
    try:
        return look(content, _landmarker, previous).as_dict()
    except PictureError as error:
        return {"error": error.text}
    except (PallorError, MemoryError):
        return {"error": "the picture cannot be decoded"}
