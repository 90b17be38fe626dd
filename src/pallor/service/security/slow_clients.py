"""The HTTP protocol of the server, for clients that send slowly, never, or read nothing.

uvicorn ends a connection that was used before after some seconds without a byte. It waits without
end for the first request, for headers that come byte by byte, and for a client that does not read.
Bodies that come slowly are the matter of `pallor.service.uploads`; floods from many addresses, and
of connections that never agree upon TLS (asyncio ends them after a minute), that of a proxy.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 800
"""Open at the same time; the next one is answered 503. Below the usual 1024 open files."""


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
        self._headers: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
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

    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete


def _stop(timer: asyncio.TimerHandle | None) -> asyncio.TimerHandle | None:
    """Cancel a timer; return None, which takes its place."""
    if timer is not None:
        timer.cancel()
    return None
