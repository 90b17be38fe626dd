"""The server process: it listens, and gives no place to who only holds it."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pallor.service.security.places import ConnectionLimits, Places, within_open_files
from pallor.service.security.tls_door import PatientLoop

if TYPE_CHECKING:
    import uvicorn

    from pallor.service.settings import ServiceSettings

NOT_STARTED = 3
"""Exit status where the port could not be had, or the application did not start."""


def listen(app: Any, settings: ServiceSettings, proxy: str) -> None:
    """Serve until told to end.

    Parameters
    ----------
    app
        The application.
    settings
        Where to listen, and with which certificate.
    proxy
        Addresses whose ``X-Forwarded-For`` is believed, behind a proxy.
    """
    server, places = server_of(app, settings, proxy, within_open_files(ConnectionLimits()))
    with (
        contextlib.suppress(KeyboardInterrupt),
        asyncio.Runner(loop_factory=lambda: PatientLoop(places)) as runner,
    ):
        runner.run(server.serve())
    if not server.started:
        sys.exit(NOT_STARTED)


def server_of(
    app: Any, settings: ServiceSettings, proxy: str, limits: ConnectionLimits
) -> tuple[uvicorn.Server, Places]:
    """Make the server, to be run by a `PatientLoop` with its places.

    Parameters
    ----------
    app
        The application.
    settings
        Where to listen, and with which certificate.
    proxy
        Addresses whose ``X-Forwarded-For`` is believed, behind a proxy.
    limits
        Of connections.
    """
    import uvicorn

    from pallor.service.security.slow_clients import patient_protocol

    if settings.behind_proxy:
        # All come from the proxy's address; telling clients apart is up to the proxy.
        limits = replace(limits, per_address=limits.total)
    places = Places(limits)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=patient_protocol(places),
        ws="none",
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
        proxy_headers=settings.behind_proxy,
        forwarded_allow_ips=proxy,
        # The name and version of the server are of use to attackers alone.
        server_header=False,
        # An id opens a result: it belongs into the audit log, not into one that is shipped away.
        access_log=False,
        # Streams of events end when the server does.
        timeout_graceful_shutdown=5,
        log_level="info",
    )
    return uvicorn.Server(config), places
