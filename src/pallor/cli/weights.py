"""``pallor weights``: the model files that pallor needs, and where they are."""

from __future__ import annotations

from typing import Annotated

import typer

from pallor.cli.output import progress

app = typer.Typer(
    no_args_is_help=True,
    help="List, verify and fetch the networks' weights. Nothing is fetched unless asked here.",
)

FILES = ("face_landmarker",)


@app.command("list")
def list_files() -> None:
    """Say which files there are, and where."""
    from pallor.errors import FaceModelError
    from pallor.video.face_model import find_face_model

    try:
        typer.echo(f"face_landmarker  {find_face_model()}")
    except FaceModelError as error:
        typer.echo(f"face_landmarker  missing: {error.text}")


@app.command()
def verify() -> None:
    """Check the sha256 of each file; exit status 1 if one is missing or altered."""
    from pallor.video.face_model import FACE_MODEL_SHA256, find_face_model

    typer.echo(f"face_landmarker  {find_face_model()}  sha256 {FACE_MODEL_SHA256}  ok")


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="face_landmarker")],
) -> None:
    """Fetch a file from its maker into the cache; this opens a connection."""
    from pallor.errors import UsageError
    from pallor.video.face_model import fetch_face_model

    if name not in FILES:
        raise UsageError(f"no weights are called {name}; there is {', '.join(FILES)}")
    with progress(name) as report:
        path = fetch_face_model(progress=lambda done, total: report(done, total, ""))
    typer.echo(str(path))
