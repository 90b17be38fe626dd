"""``pallor keys``: who may use the service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pallor.cli.data_folder import need_database
from pallor.cli.output import print_json, say
from pallor.cli.serve import DATA, need_service_extra

if TYPE_CHECKING:
    from pallor.service.store.keys import KeyStore

app = typer.Typer(
    no_args_is_help=True,
    help="Keys of access to the service. Roles, each with all before it: measure (estimates), "
    "study (also the collection of a cohort), admin (also metrics, and what other keys made).",
)

Data = Annotated[Path, typer.Option(metavar="DIR", help="Data folder of the service.")]
Url = Annotated[
    str | None,
    typer.Option(
        metavar="URL", envvar="PALLOR_DATABASE_URL", help="Of the database, if it is not in DIR."
    ),
]


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Of the person, program or device that gets it.")],
    role: Annotated[
        str, typer.Option(help="measure, study (includes measure) or admin.")
    ] = "measure",
    data: Data = DATA,
    database_url: Url = None,
) -> None:
    """Make a key and print it, once: only its hash is stored."""
    with _keys(data, database_url, new=True) as keys:
        secret = keys.add(name, role)
    typer.echo(secret)
    say("keep it now: it is not stored and cannot be shown again")


@app.command("list")
def list_keys(
    data: Data = DATA,
    database_url: Url = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a key.")] = False,
) -> None:
    """List the keys, without their secrets."""
    with _keys(data, database_url) as keys:
        found = keys.list()
    for key in found:
        made, revoked = (_when(time_s) for time_s in (key.created_s, key.revoked_s))
        if json:
            shown = {"id": key.id, "name": key.name, "role": str(key.role)}
            print_json({**shown, "created": made, "revoked": revoked})
        else:
            state = f"revoked {revoked}" if revoked else "valid"
            typer.echo(f"{key.id}  {key.role:<8} {made}  {state}  {key.name}")


@app.command()
def revoke(
    name: Annotated[str, typer.Argument(metavar="NAME|ID", help="As pallor keys list shows it.")],
    data: Data = DATA,
    database_url: Url = None,
) -> None:
    """Make a key worthless at once, also in open sessions."""
    with _keys(data, database_url) as keys:
        key = keys.revoke(name)
    typer.echo(f"{key.id}  {key.name}: revoked")


@contextmanager
def _keys(data: Path, url: str | None, *, new: bool = False) -> Iterator[KeyStore]:
    """Open the keys of a data folder; one that is not there is made only where it may be new."""
    need_service_extra()
    from pallor.service.settings import ServiceSettings
    from pallor.service.store.audit import AuditLog
    from pallor.service.store.engine import open_store
    from pallor.service.store.keys import KeyStore

    settings = ServiceSettings(data=data, database_url=url)
    if not new:
        need_database(settings, "list of keys")
    store = open_store(settings)
    try:
        keys = KeyStore(store)
        before = {key.id: key for key in keys.list()}
        yield keys
        for key in keys.list():
            if key != before.get(key.id):
                action = "key.add" if key.id not in before else "key.revoke"
                AuditLog(store).add("command line", action, key.id)
    finally:
        store.close()


def _when(time_s: float | None) -> str | None:
    if time_s is None:
        return None
    return datetime.fromtimestamp(time_s, UTC).isoformat(timespec="seconds")
