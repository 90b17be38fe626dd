"""The HTTP protocol of the server, for clients that hold connections, or keep it busy.

uvicorn ends a connection that was used before after some seconds without a byte. It waits without
end for the first request, for headers that come byte by byte, and for a client that does not read;
it opens as many connections as come, and takes the pieces of a body however small they are.
Bodies that come slowly are the matter of `pallor.service.uploads`; floods from many addresses, and
of connections that never agree upon TLS (asyncio ends them after a minute), that of a proxy.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 800
"""Open at the same time; the next one ends at once."""
MAX_OF_ADDRESS = 100
"""Of these, by one address; many people may share it, and a browser opens up to six."""
BACKLOG = 100
"""Connections that are accepted in one turn of the loop: they are counted some turns later."""
NEEDED_FILES = MAX_CONNECTIONS + 4 * BACKLOG + 200
"""Files that may have to be open: connections, those that are not counted yet, and 200 for clips
that arrive, exports, the database and pipes to workers."""
MAX_SMALL_CHUNKS = 500
"""A chunk takes some 10 microseconds, whatever its size: so many take as long as a request."""
SMALL_CHUNK_BYTES = 256
"""In chunks of one byte 1 MB/s would fill a processor, in those of 64 bytes 10 MB/s."""


class TooManyChunksError(Exception):
    """A body comes in more than `MAX_SMALL_CHUNKS`, on average of under `SMALL_CHUNK_BYTES`."""


class CountedChunks(h11.Connection):
    """The server's side of a connection, that counts the chunks of each body."""

    def __init__(self) -> None:
        super().__init__(h11.SERVER)
        self._chunks = self._bytes = 0

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """Return what comes next in what was received.

        Raises
        ------
        TooManyChunksError
            If that is one small chunk too many.
        """
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._chunks = self._bytes = 0
        elif isinstance(event, h11.Data):
            self._chunks += event.chunk_end
            self._bytes += len(event.data)
            few_bytes = self._bytes < self._chunks * SMALL_CHUNK_BYTES
            if self._chunks > MAX_SMALL_CHUNKS and few_bytes:
                raise TooManyChunksError
        return event


class PatientProtocol(H11Protocol):
    """One connection.

    Attributes
    ----------
    headers_s
        Seconds for a request to arrive up to the end of its headers, counted from the connection
        or, on one that was used before, from the first byte.
    stalled_s
        Seconds in which a client that is written to takes nothing.
    """

    headers_s: ClassVar[float] = 10.0
    stalled_s: ClassVar[float] = 60.0

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.conn = CountedChunks()
        self._headers: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request, unless too many connections are open."""
        super().connection_made(transport)
        if self._one_too_many():
            # It is lost some turns of the loop later, and keeps nobody out meanwhile.
            self.connections.discard(self)
            transport.abort()
            return
        self._headers = self.loop.call_later(self.headers_s, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._headers = _stop(self._headers)
        self._stalled = _stop(self._stalled)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; the time for headers begins with their first byte, and no byte extends it."""
        if self._headers is None and not self._answering():
            self._headers = self.loop.call_later(self.headers_s, self._late)
        super().data_received(data)
        if self._answering():
            self._headers = _stop(self._headers)

    def handle_events(self) -> None:
        """Act on what was received."""
        try:
            super().handle_events()
        except TooManyChunksError:
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP; the application is not heard any more."""
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        try:
            super().send_400_response(msg)
        except h11.LocalProtocolError:
            # Its answer has begun, or ended while the body was still to come.
            self.transport.abort()

    def pause_writing(self) -> None:
        """Begin to wait for the client to take what is sent."""
        super().pause_writing()
        if self._stalled is None:
            self._stalled = self.loop.call_later(self.stalled_s, self.transport.abort)

    def resume_writing(self) -> None:
        """Note that the client took something."""
        self._stalled = _stop(self._stalled)
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """End a connection at rest, also where the client never takes the end of its answer."""
        super().timeout_keep_alive_handler()
        if self._stalled is None:
            self._stalled = self.loop.call_later(self.stalled_s, self.transport.abort)

    def _late(self) -> None:
        self._headers = None
        self.transport.abort()

    def _one_too_many(self) -> bool:
        if len(self.connections) > MAX_CONNECTIONS:
            return True
        # Behind a proxy everybody comes from its address.
        if self.config.proxy_headers or self.client is None:
            return False
        others = (one.client for one in self.connections if isinstance(one, H11Protocol))
        hosts = [client[0] for client in others if client is not None]
        return hosts.count(self.client[0]) > MAX_OF_ADDRESS

    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete


def _stop(timer: asyncio.TimerHandle | None) -> asyncio.TimerHandle | None:
    """Cancel a timer; return None, which takes its place."""
    if timer is not None:
        timer.cancel()
    return None
