"""Places for connections: so many in all, so many for one address, and none for who only waits."""

from __future__ import annotations

import asyncio
import ipaddress
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

SPARE_FILES = 512
"""For the database, uploads under way, and the processes that are started."""


@dataclass(frozen=True)
class ConnectionLimits:
    """How many connections, and how long each may do nothing.

    Attributes
    ----------
    total, per_address
        Open at the same time. A classroom behind one address needs six a browser.
    headers_s
        Seconds for a request to arrive up to the end of its headers, counted from the connection
        or, on one that was used before, from the first byte.
    handshake_s
        Seconds for TLS to be agreed upon.
    stalled_s
        Seconds in which a client that is written to takes nothing.
    """

    total: int = 2000
    per_address: int = 400
    headers_s: float = 10.0
    handshake_s: float = 10.0
    stalled_s: float = 60.0


class Connection(Protocol):
    """What holds a place."""

    def look(self, now_s: float) -> None:
        """End it where it took too long."""

    def give_way(self) -> bool:
        """End it at once, unless it still has something to say; tell whether it ended."""


class Places:
    """Who holds a place.

    A connection without a request is at rest. Where no place is left the one that rests longest
    gives way: who opens connections without end drives out his own, and a request that comes at
    once gets through. Only the event loop uses it: there is no lock.

    Parameters
    ----------
    limits
        See `ConnectionLimits`.
    clock
        Seconds, monotonic.
    """

    def __init__(
        self, limits: ConnectionLimits, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.limits = limits
        self.clock = clock
        self._held: dict[Connection, str] = {}
        # In the order in which they began to rest.
        self._resting: dict[Connection, None] = {}
        self._by_address: Counter[str] = Counter()
        self._round: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """Return how many are held."""
        return len(self._held)

    def enter(self, connection: Connection, peer: object) -> bool:
        """Take a place, at rest; False where none could be had.

        Parameters
        ----------
        connection
            To be told when it took too long.
        peer
            Address as the transport names it.
        """
        address = _network(peer)
        if self._by_address[address] >= self.limits.per_address and not self._make_room(address):
            return False
        if len(self._held) >= self.limits.total and not self._make_room(None):
            return False
        self._held[connection] = address
        self._by_address[address] += 1
        self.rest(connection)
        if self._round is None:
            self._look()
        return True

    def leave(self, connection: Connection) -> None:
        """Give a place back; nothing where none is held."""
        self._resting.pop(connection, None)
        address = self._held.pop(connection, None)
        if address is None:
            return
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]

    def rest(self, connection: Connection) -> None:
        """Note that no request is under way."""
        if connection in self._held:
            self._resting.pop(connection, None)
            self._resting[connection] = None

    def work(self, connection: Connection) -> None:
        """Note that a request is under way."""
        self._resting.pop(connection, None)

    def _make_room(self, address: str | None) -> bool:
        for connection in list(self._resting):
            if address in {None, self._held[connection]} and connection.give_way():
                self.leave(connection)
                return True
        return False

    def _look(self) -> None:
        """Look at all from time to time, as long as there are any."""
        now_s = self.clock()
        for connection in list(self._held):
            connection.look(now_s)
        limits = self.limits
        shortest_s = min(limits.headers_s, limits.handshake_s, limits.stalled_s)
        loop = asyncio.get_running_loop()
        again = bool(self._held)
        self._round = loop.call_later(min(1.0, shortest_s / 5), self._look) if again else None


def within_open_files(limits: ConnectionLimits) -> ConnectionLimits:
    """Ask the system for as many open files as the connections need; return what it allows.

    Without a file that is free the service could open neither its database nor an upload.
    """
    if sys.platform == "win32":
        return limits
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.total + SPARE_FILES
    if 0 <= soft < wanted:
        soft = wanted if hard < 0 else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft < 0 or soft >= wanted:
        return limits
    return replace(limits, total=max(16, soft - SPARE_FILES))


def _network(peer: object) -> str:
    """Return the address, for IPv6 the network that one subscriber has all of."""
    host = str(peer[0]) if isinstance(peer, tuple) and peer else str(peer)
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if address.version == 4:
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))
