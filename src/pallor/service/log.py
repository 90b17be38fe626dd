"""The log: to stderr, with times, and an outage of the database in few lines."""

from __future__ import annotations

import logging
import logging.config
import threading
import time
from collections.abc import Callable

REPEAT_S = 60.0
"""An outage that goes on is repeated so often."""


def configure() -> None:
    """Let everything that this process logs go to stderr, in one form."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "line": {
                    "format": "%(asctime)s %(levelname)s %(name)s: %(message)s",
                    "datefmt": "%Y-%m-%dT%H:%M:%S%z",
                }
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
            "root": {"handlers": ["stderr"], "level": "WARNING"},
            "loggers": {"pallor": {"level": "INFO"}, "uvicorn": {"level": "INFO"}},
        }
    )


class Outage:
    """Whether the database is away, as one process sees it, and when that was last said.

    Parameters
    ----------
    log
        Where it is said.
    clock
        Seconds.
    """

    def __init__(self, log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._log, self._clock = log, clock
        self._lock = threading.Lock()
        self._said_s: float | None = None

    @property
    def is_known(self) -> bool:
        """Whether the log tells of an outage that is not over."""
        return self._said_s is not None

    def met(self, text: str) -> None:
        """Say that the database did not answer, unless that was said a moment ago."""
        now_s = self._clock()
        with self._lock:
            if self._said_s is not None and now_s - self._said_s < REPEAT_S:
                return
            self._said_s = now_s
        self._log.error("%s", text)

    def over(self) -> None:
        """Say that the database answers again, where it was said to be away."""
        with self._lock:
            was, self._said_s = self._said_s, None
        if was is not None:
            self._log.warning("the database answers again")


outage = Outage(logging.getLogger("pallor.service.store"))
"""Of this process."""
