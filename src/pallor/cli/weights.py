"""``pallor weights``: the files of network weights that pallor needs, and where they are."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pallor.cli.output import print_json, progress, say

if TYPE_CHECKING:
    from pallor.weights.weight_file import WeightFile

_HELP = (
    "List, verify and fetch the networks' weights; only fetch opens a connection.",
    "A file is looked for at the path that its environment variable names, in pallor's cache, "
    "in torch's download folder, and in an installed package that carries it. The first place "
    "that has something decides; a wrong file there is an error. Nothing is ever fetched but by "
    "[bold]pallor weights fetch[/bold], and nothing is used unless its SHA-256 is right.",
    "Of some files the publisher states only the beginning of the hash. The whole hash of the "
    "first one used is written to FILE.sha256 in the cache, and must be met ever after; "
    "[bold]sha256sum -c[/bold] reads it, too.",
    "[bold]PALLOR_CACHE[/bold]: folder of pallor's cache, else ~/.cache/pallor or what the "
    "platform uses. Carry it to a machine without network to have the files there.",
    "[bold]PALLOR_MIRROR[/bold]: https address of a folder that has the files, used in place of "
    "the publishers'.",
    "[bold]HTTPS_PROXY[/bold]: proxy for fetching, such as http://proxy:8080. NO_PROXY and "
    "SSL_CERT_FILE are honored, too.",
    "[bold]PALLOR_FACE_MODEL[/bold]: path of face_landmarker.task, if it is elsewhere.",
    "[bold]TORCH_HOME[/bold]: torch's folder, else ~/.cache/torch; its hub/checkpoints may have "
    "torchvision's files already.",
)

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", help="\n\n".join(_HELP))

LANDMARKS = "face_landmarker"

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME", help="As pallor weights list shows them."),
]


@dataclass(frozen=True)
class FileState:
    """What ``list`` says of a file; ``path`` is where a missing one belongs."""

    name: str
    state: str
    place: str | None
    path: str
    sha256: str | None
    license: str
    publisher: str
    url: str | None
    text: str | None


def all_weight_files() -> dict[str, WeightFile]:
    """Return every file of weights by its name, the landmark model first."""
    from pallor.features.backbones.table import BACKBONES
    from pallor.video.face_model import FACE_MODEL

    backbones = [
        weights.file for backbone in BACKBONES.values() for weights in backbone.weights.values()
    ]
    return {weight.name: weight for weight in (FACE_MODEL, *backbones)}


@app.command("list")
def list_files(
    json: Annotated[bool, typer.Option("--json", help="One JSON object a file.")] = False,
) -> None:
    """Say which files there are and where: ok, missing, or wrong.

    Of what is not ok, stderr says why and how to get it. The exit status is 0
    in any case; [bold]pallor weights verify[/bold] fails where something is wrong.
    """
    states = [_state(weight) for weight in all_weight_files().values()]
    if json:
        for state in states:
            print_json(asdict(state))
        return
    _print_table(states)
    for state in states:
        if state.text is not None:
            say(f"{state.name}: {state.text}")


@app.command()
def verify(
    names: Names = None,
    pictures: Annotated[
        bool,
        typer.Option("--pictures", help="Let the networks also look at two known photographs."),
    ] = False,
    imagenet_sample: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Also measure the networks' accuracy on labeled pictures of ImageNet: a folder "
            "for each class, all 1000 named by synset (n01440764) or any named by index (0-999).",
        ),
    ] = None,
) -> None:
    """Check the SHA-256 of the files that are there, a line for each.

    Exit status 1 if a file is wrong, or a named one is missing. Without names
    all files are checked, and only the landmark model must be there.

    With --pictures or --imagenet-sample each network that is there is loaded
    with its classifier; one that does not see what is there, or whose accuracy
    lies below the published, gives exit status 1, too.
    """
    required = set(names or [LANDMARKS])
    states = [_state(weight) for weight in _chosen(names).values()]
    for state in states:
        said = {"ok": f"{state.sha256}  {state.path}", "wrong": state.text}.get(state.state, "")
        typer.echo(f"{state.name}  {state.state}  {said}".rstrip())
    blind = False
    if pictures or imagenet_sample is not None:
        for state in states:
            blind |= state.state == "ok" and not _sees(state.name, imagenet_sample)
    missing = any(state.state == "missing" and state.name in required for state in states)
    if blind or missing or any(state.state == "wrong" for state in states):
        raise typer.Exit(1)


@app.command()
def fetch(
    names: Names = None,
    everything: Annotated[bool, typer.Option("--all", help="Every file that there is.")] = False,
) -> None:
    """Fetch files from their publishers into the cache; this opens a connection.

    Prints SHA-256 and path of each file, as sha256sum does. A file that is in
    the cache and right is not fetched again; a wrong one is replaced once the
    new one was checked. If one file fails the others are still fetched, and the
    exit status is 1.

    PALLOR_MIRROR names another address to fetch from, HTTPS_PROXY a proxy,
    PALLOR_CACHE the folder: see [bold]pallor weights --help[/bold].
    """
    from pallor.errors import UsageError, WeightsError

    if bool(names) == everything:
        raise UsageError(
            f"name the files to fetch, or give --all; there is {', '.join(all_weight_files())}"
        )
    failed = False
    for weight in _chosen(names).values():
        try:
            _fetch_one(weight)
        except WeightsError as error:
            say(f"pallor: {error.text}")
            failed = True
    if failed:
        raise typer.Exit(1)


def _sees(name: str, sample: Path | None) -> bool:
    """Let a network classify pictures and say what came out; True for what is no network."""
    from pallor.features.backbones.verification import (
        classifier,
        owner_of,
        see_pictures,
        see_sample,
    )
    from pallor.features.settings import usable_cores

    owner = owner_of(name)
    if owner is None:
        return True
    logits = classifier(*owner, threads=usable_cores())
    good = True
    for seen in see_pictures(owner[1], logits):
        verdict = "right" if seen.right else "WRONG"
        typer.echo(
            f"{name}  {seen.picture}, which shows {seen.shows}: class {seen.top_class}, {verdict}"
        )
        good &= seen.right
    if sample is not None:
        with progress(f"{name}, pictures") as report:
            accuracy, low = see_sample(owner[1], logits, sample, report)
        typer.echo(
            f"{name}  {accuracy.correct} of {accuracy.images} pictures right: top-1 "
            f"{accuracy.accuracy:.3f} ({accuracy.low:.3f} to {accuracy.high:.3f}); published "
            f"{owner[1].top1:.3f}{', TOO LOW' if low else ''}"
        )
        for unreadable in accuracy.unreadable:
            say(f"pallor: {sample / unreadable}: cannot be read, left out")
        good &= not low
    return good


def _fetch_one(weight: WeightFile) -> None:
    from pallor.weights.download import fetch_weights

    fetched = False
    with progress(f"{weight.name}, bytes") as report:

        def passed_on(done: int, total: int) -> None:
            nonlocal fetched
            fetched = True
            report(done, total or weight.max_bytes, "" if total else "at most")

        located = fetch_weights(weight, passed_on)
    if not fetched:
        say(f"{weight.name}: right and there already ({located.place}), not fetched again")
    typer.echo(f"{located.sha256}  {located.path}")


def _chosen(names: Sequence[str] | None) -> dict[str, WeightFile]:
    from pallor.errors import UsageError

    known = all_weight_files()
    for name in names or ():
        if name not in known:
            raise UsageError(f"no weights are called {name}; there is {', '.join(known)}")
    return {name: known[name] for name in names or known}


def _state(weight: WeightFile) -> FileState:
    from pallor.errors import WeightsError
    from pallor.weights.locate import find_weights
    from pallor.weights.places import cached_path, place_of

    found = place_of(weight)
    path, place = found or (cached_path(weight), None)
    sha256, text = None, None
    try:
        sha256 = find_weights(weight).sha256
        state = "ok"
    except WeightsError as error:
        text = error.text
        state = "wrong" if os.path.lexists(path) else "missing"
    return FileState(
        name=weight.name,
        state=state,
        place=place,
        path=str(path),
        sha256=sha256,
        license=weight.license,
        publisher=weight.publisher,
        url=weight.url,
        text=text,
    )


def _print_table(states: Sequence[FileState]) -> None:
    rows = [("name", "state", "place", "sha256", "license", "path")]
    for state in states:
        short = state.license.partition(" (")[0].partition(";")[0]
        place, path = (state.place, state.path) if state.place else ("", "")
        rows.append((state.name, state.state, place, (state.sha256 or "")[:12], short, path))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        # Not a table that folds its cells: paths are there to be copied.
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join(cells).rstrip())
    typer.echo("\nLicenses:")
    for text in dict.fromkeys(state.license for state in states):
        names = ", ".join(state.name for state in states if state.license == text)
        typer.echo(f"  {names}: {text}.")
