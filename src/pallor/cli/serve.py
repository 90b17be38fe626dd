"""``pallor serve``: the web service."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pallor.cli.listening import bind, check_tls, shown_address
from pallor.cli.output import NOTICE, say
from pallor.errors import UsageError

if TYPE_CHECKING:
    from pallor.service.settings import ServiceSettings

DATA = Path("pallor-data")


def serve(
    model: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Model file; give several, the first is the default."),
    ] = None,
    data: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of everything that is kept.")
    ] = DATA,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8000,
    tls_cert: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Certificate chain, PEM.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its key, PEM.")] = None,
    behind_proxy: Annotated[
        bool, typer.Option("--behind-proxy", help="A reverse proxy in front of it does TLS.")
    ] = False,
    proxy: Annotated[
        str,
        typer.Option(
            metavar="ADDRESSES", help="Of the proxy, whose X-Forwarded-For is believed; or more."
        ),
    ] = "127.0.0.1,::1",
    workers: Annotated[int, typer.Option(min=1, help="Clips processed at the same time.")] = 1,
    database_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar="PALLOR_DATABASE_URL",
            help="postgresql://USER:PASSWORD@HOST/NAME; by default SQLite in DIR. In the "
            "environment other users of the machine do not see the password.",
        ),
    ] = None,
    max_mb: Annotated[int, typer.Option(min=1, help="Largest clip, MB.")] = 500,
    keep_hours: Annotated[
        float, typer.Option(min=0.01, help="Results are deleted after so many hours.")
    ] = 24.0,
    consent: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Consent texts of the study, en.txt, tr.txt, ...; templates by default.",
        ),
    ] = None,
    estimates_per_minute: Annotated[
        float, typer.Option(min=0.1, help="Of one key and address, after the first 30.")
    ] = 30.0,
) -> None:
    """Serve pages and a REST interface: a clip in, an estimate out.

    On anything but loopback it wants a key (pallor keys add) and TLS: --tls-cert and --tls-key,
    or --behind-proxy. On loopback without keys whoever sits at the machine may do everything.
    Clips are deleted as soon as they were processed; those of a study are kept, for whoever
    agreed to that (pallor study).

    The interface is described at /openapi.json; /healthz and /readyz tell whether it works,
    /metrics is for Prometheus (role admin).
    """
    need_service_extra()
    from pallor.service.security.exposure import Exposure
    from pallor.service.security.rate_limits import Rate, Rates
    from pallor.service.settings import ServiceSettings, UploadLimits

    if (tls_cert is None) != (tls_key is None):
        raise UsageError("--tls-cert and --tls-key belong together")
    if tls_cert is not None and tls_key is not None:
        warning = check_tls(tls_cert, tls_key)
        if warning is not None:
            say(f"warning: {warning}")
    # Whether there is a key shows when the database is open; the rest is known before.
    Exposure(host, tls_cert is not None, behind_proxy).refuse(keys=1)
    settings = ServiceSettings(
        data=data,
        database_url=database_url,
        models=tuple(model or ()),
        workers=workers,
        limits=UploadLimits(max_bytes=max_mb * 2**20),
        keep_results_s=keep_hours * 3600,
        host=host,
        port=port,
        behind_proxy=behind_proxy,
        tls_cert=tls_cert,
        tls_key=tls_key,
        consent=consent,
    )
    _run(settings, Rates(estimates=Rate(estimates_per_minute / 60, 30)), proxy)


def need_service_extra() -> None:
    """Say what to install where the packages of the service are absent.

    Raises
    ------
    UsageError
        One is.
    """
    from importlib.util import find_spec

    names = ("fastapi", "uvicorn", "python_multipart", "prometheus_client", "sqlalchemy", "alembic")
    for name in names:
        if find_spec(name) is None:
            raise UsageError(
                f"the package {name} is absent: install the service with "
                "pip install 'pallor[service]'"
            )


def _run(settings: ServiceSettings, rates: Any, proxy: str) -> None:
    import uvicorn

    from pallor.service import log
    from pallor.service.app import create_app
    from pallor.service.open_files import raise_open_files
    from pallor.service.security.slow_clients import (
        BACKLOG,
        MAX_CONNECTIONS,
        NEEDED_FILES,
        PatientProtocol,
    )
    from pallor.service.server import Server

    log.configure()
    open_files = raise_open_files()
    if open_files is not None and open_files < NEEDED_FILES:
        say(
            f"only {open_files} files may be open at a time; {MAX_CONNECTIONS} connections may "
            f"need {NEEDED_FILES}: raise the hard limit (ulimit -Hn, LimitNOFILE of systemd)"
        )
    sockets = bind(settings.host, settings.port)
    app = create_app(settings, rates)
    for card in app.state.services.models.cards.values():
        stamp = "SIMULATED, " if card["simulated"] else ""
        say(f"model {card['id']} ({stamp}{card['regressor']} on {', '.join(card['modalities'])})")
    if not settings.models:
        say("no model is loaded: estimates are refused; give one with --model FILE")
    say(NOTICE)
    config = uvicorn.Config(
        app,
        http=PatientProtocol,
        ws="none",
        # The protocol ends connections past its limit; this bounds requests whose client has gone.
        limit_concurrency=MAX_CONNECTIONS + 1,
        backlog=BACKLOG,
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
        log_config=None,
    )
    tls = settings.tls_cert is not None
    server = Server(config, shown_address(settings.host, sockets, tls=tls))
    try:
        server.run(sockets)
    except KeyboardInterrupt:
        # The server has ended by then, and passes on what ended it.
        pass
    finally:
        # However it ended: whatever was at work is given back, and nothing is left running.
        app.state.services.workers.stop(0.0)
    if not server.started:
        sys.exit(1)
