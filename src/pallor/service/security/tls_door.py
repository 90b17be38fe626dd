"""The server's event loop: who agrees upon TLS holds a place, too, and not for long.

The standard loop tells a protocol of a connection only after the handshake, for which it gives a
minute: whoever opens connections and says nothing would be counted by nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import Any

from pallor.service.security.places import Places

Factory = Callable[[], asyncio.BaseProtocol]


class PatientLoop(asyncio.SelectorEventLoop):
    """An event loop whose servers open the door for TLS themselves.

    Parameters
    ----------
    places
        Of the server.
    """

    def __init__(self, places: Places) -> None:
        super().__init__()
        self._places = places

    async def create_server(
        self, protocol_factory: Factory, *args: Any, **options: Any
    ) -> asyncio.base_events.Server:
        """Listen; with TLS each connection begins as a `TlsDoor`."""
        context = options.pop("ssl", None)
        if context is None:
            return await super().create_server(protocol_factory, *args, **options)

        def door() -> TlsDoor:
            return TlsDoor(self, protocol_factory, context, self._places)

        return await super().create_server(door, *args, **options)


class TlsDoor(asyncio.Protocol):
    """A connection until TLS is agreed upon.

    Parameters
    ----------
    loop
        That runs it.
    factory
        Makes the protocol that goes on.
    context
        Certificate and rules.
    places
        Of the server.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        factory: Factory,
        context: ssl.SSLContext,
        places: Places,
    ) -> None:
        self._loop = loop
        self._factory = factory
        self._context = context
        self._places = places
        self._early = bytearray()
        self._lost = False
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a place and begin; who finds none cannot be told before TLS is agreed upon."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self._transport = transport
        if not self._places.enter(self, transport.get_extra_info("peername")):
            transport.abort()
            return
        transport.pause_reading()
        self._task = self._loop.create_task(self._greet(transport))

    def data_received(self, data: bytes) -> None:
        """Keep what comes with the end of the handshake; TLS is its carrier by then."""
        self._early += data

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Give the place back."""
        self._lost = True
        self._places.leave(self)

    def look(self, now_s: float) -> None:
        """Do nothing: the handshake has a time limit of its own."""

    def give_way(self) -> bool:
        """End the connection."""
        if self._transport is not None:
            self._transport.abort()
        return True

    async def _greet(self, transport: asyncio.Transport) -> None:
        limit_s = self._places.limits.handshake_s
        try:
            # Scanners and broken connections are no event of ours: nothing is logged.
            with contextlib.suppress(OSError, EOFError):
                tls = await self._loop.start_tls(
                    transport,
                    self,
                    self._context,
                    server_side=True,
                    ssl_handshake_timeout=limit_s,
                )
                if tls is not None and not self._lost:
                    self._hand_over(tls, transport)
                    return
            transport.abort()
        finally:
            self._places.leave(self)

    def _hand_over(self, tls: asyncio.Transport, transport: asyncio.Transport) -> None:
        self._places.leave(self)
        protocol = self._factory()
        assert isinstance(protocol, asyncio.Protocol)  # noqa: S101 - for the type checker
        if hasattr(protocol, "carrier"):
            protocol.carrier = transport
        tls.set_protocol(protocol)
        protocol.connection_made(tls)
        if self._early:
            protocol.data_received(bytes(self._early))
