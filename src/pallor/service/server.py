"""The server of the application, as the command starts it."""

from __future__ import annotations

import logging
import socket

import uvicorn

_log = logging.getLogger("pallor.service")


class Server(uvicorn.Server):
    """Serves on sockets that are bound already.

    Parameters
    ----------
    config
        Of uvicorn.
    address
        URL to be told when requests are answered.
    """

    def __init__(self, config: uvicorn.Config, address: str) -> None:
        super().__init__(config)
        self._address = address

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say where."""
        await super().startup(sockets)
        if self.started:
            _log.info("running on %s (Ctrl-C ends it)", self._address)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End; a second Ctrl-C waits for no connection, but still gives the jobs back."""
        await super().shutdown(sockets)
        if self.force_exit:
            await self.lifespan.shutdown()
