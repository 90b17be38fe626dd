"""Rate limits: a token bucket for each client and kind of request, in memory."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from pallor.service.refusals import TooManyRequestsError

MAX_BUCKETS = 20_000
"""Clients remembered; past that the one not seen for longest is forgotten."""


@dataclass(frozen=True)
class Rate:
    """How fast a bucket fills, and how much it holds."""

    per_s: float
    burst: int


@dataclass(frozen=True)
class Rates:
    """Rates by kind of request.

    Attributes
    ----------
    general
        Everything that is not named below.
    estimates
        New estimates. 30 at once: a classroom that starts together.
    hints
        Frames to be judged before a recording; a page sends two a second.
    failures
        Wrong keys of one address; keys of 256 bits cannot be guessed, but logs stay readable.
    sign_ins
        Sessions that a key begins at one address. 30 at once: a classroom that shares a key.
    """

    general: Rate = Rate(20.0, 120)
    estimates: Rate = Rate(0.5, 30)
    hints: Rate = Rate(5.0, 30)
    failures: Rate = Rate(0.1, 10)
    sign_ins: Rate = Rate(0.1, 30)


@dataclass
class RateLimiter:
    """Buckets of all clients.

    Only the event loop uses it: there is no lock.
    """

    rates: Rates = field(default_factory=Rates)
    clock: Callable[[], float] = time.monotonic
    _buckets: OrderedDict[tuple[str, str], tuple[float, float]] = field(
        default_factory=OrderedDict, repr=False
    )

    def take(self, kind: str, client: str) -> None:
        """Take one token.

        Parameters
        ----------
        kind
            Name of a field of `Rates`.
        client
            Key or address.

        Raises
        ------
        TooManyRequestsError
            If the bucket is empty.
        """
        rate, tokens = self._filled(kind, client)
        if tokens < 1:
            raise TooManyRequestsError((1 - tokens) / rate.per_s)
        self._buckets[kind, client] = (tokens - 1, self.clock())
        while len(self._buckets) > MAX_BUCKETS:
            self._buckets.popitem(last=False)

    def _filled(self, kind: str, client: str) -> tuple[Rate, float]:
        rate: Rate = getattr(self.rates, kind)
        key = (kind, client)
        if key not in self._buckets:
            return rate, float(rate.burst)
        self._buckets.move_to_end(key)
        tokens, since = self._buckets[key]
        return rate, min(rate.burst, tokens + (self.clock() - since) * rate.per_s)
