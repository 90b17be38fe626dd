"""The HTTP protocol of the server, for clients that send slowly, never, or read nothing.

uvicorn ends a connection that was used before after some seconds without a byte. It waits without
end for the first request, for headers that come byte by byte, and for a client that does not read.
Bodies that come slowly are the matter of `pallor.service.uploads`.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol

from pallor.service.security.places import Places

_BUSY_BODY = json.dumps(
    {"error": {"code": "busy", "text": "too many connections; try again soon"}}
).encode()
BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 5\r\n"
    b"connection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(_BUSY_BODY), _BUSY_BODY)
)
"""Said without the application: a connection that has no place costs as little as possible."""


class PatientProtocol(H11Protocol):
    """One connection, which holds a place.

    Attributes
    ----------
    places
        Of the server; see `patient_protocol`.
    carrier
        What carries the bytes where TLS lies between, and holds bytes back for itself then.
    """

    places: ClassVar[Places]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.carrier: asyncio.Transport | None = None
        self._waits_since_s: float | None = None
        self._unsent = 0
        self._moved_s = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a place, or say that there is none."""
        super().connection_made(transport)
        self._waits_since_s = self._moved_s = self.places.clock()
        if not self.places.enter(self, transport.get_extra_info("peername")):
            transport.write(BUSY)
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self.places.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; the time for headers begins with their first byte, and no byte extends it."""
        if self._waits_since_s is None and not self._answering():
            self._waits_since_s = self.places.clock()
        super().data_received(data)
        if self._answering():
            self._waits_since_s = None
            self.places.work(self)

    def on_response_complete(self) -> None:
        """Rest, unless the next request is here already."""
        super().on_response_complete()
        if not self._answering():
            self.places.rest(self)

    def resume_writing(self) -> None:
        """Note that the client took something."""
        self._moved_s = self.places.clock()
        super().resume_writing()

    def look(self, now_s: float) -> None:
        """End the connection where the client took too long."""
        unsent = self._unsent_bytes()
        if unsent == 0 or unsent < self._unsent:
            self._moved_s = now_s
        self._unsent = unsent
        limits = self.places.limits
        late = self._waits_since_s is not None and now_s - self._waits_since_s > limits.headers_s
        if now_s - self._moved_s > limits.stalled_s:
            self._abort()
        elif late and not self.give_way():
            # An answer is still on its way: it is sent first.
            self.transport.close()

    def give_way(self) -> bool:
        """End the connection at once, unless something is still to be sent."""
        if self._unsent_bytes() > 0:
            return False
        self._abort()
        return True

    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _unsent_bytes(self) -> int:
        carried = 0 if self.carrier is None else self.carrier.get_write_buffer_size()
        return carried + self.transport.get_write_buffer_size()

    def _abort(self) -> None:
        self.transport.abort()
        if self.carrier is not None:
            self.carrier.abort()


def patient_protocol(places: Places) -> type[PatientProtocol]:
    """Return the protocol of a server whose connections hold these places."""
    return type("PatientProtocol", (PatientProtocol,), {"places": places})
