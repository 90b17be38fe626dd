"""``pallor extract``: a cohort table to a feature table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pallor.cli.blas import one_blas_thread
from pallor.cli.output import comma_list, command_line, progress, say


def extract(
    table: Annotated[
        str,
        typer.Argument(
            metavar="COHORT",
            help="Cohort table, CSV or Parquet; a path, or an address such as s3://bucket/c.csv.",
        ),
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", help="Folder of the feature table, or its address.")
    ] = "features",
    modalities: Annotated[
        str,
        typer.Option(
            help="Comma-separated, such as color,pulse,resnet152 (pallor features tells of all); "
            "or auto: color and, where a clip allows it, pulse."
        ),
    ] = "auto",
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Processes on this machine, each with a clip at a time; by default one a "
            "processor, and 2 with networks, which need memory and use several processors.",
            show_default=False,
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Dask scheduler whose workers measure instead: tcp://HOST:PORT or tls://HOST:PORT.",
        ),
    ] = None,
    wait: Annotated[
        float,
        typer.Option(min=0, metavar="SECONDS", help="Longest time without any Dask worker."),
    ] = 600.0,
    work: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder to work in where the output is an address; in the cache by default.",
        ),
    ] = None,
    time_limit: Annotated[
        float,
        typer.Option(
            min=1, metavar="SECONDS", help="Longest time for a clip, which fails after it."
        ),
    ] = 3600.0,
    samples: Annotated[
        int, typer.Option(min=1, max=1024, help="Frames looked at, evenly over the clip.")
    ] = 16,
    weights: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VERSION", help="Such as resnet152=v1; v2 by default."),
    ] = None,
    backbone_file: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]FILE",
            help="An ONNX file of your own for the modality NAME (custom by default), or the "
            "checkpoint of NAME at another place.",
        ),
    ] = None,
    precision: Annotated[
        str, typer.Option(help="Of the networks: float32, or bfloat16 (the extra fast).")
    ] = "float32",
    keep_frames: Annotated[
        bool,
        typer.Option("--keep-frames", help="Keep the embedding of each frame in the table, too."),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start anew instead of going on.")
    ] = False,
) -> None:
    """Extract features from every clip of a cohort table.

    A clip that fails is listed in failures.csv with the reason and never stops the run;
    read = done + failed is printed at the end. Run again, and only what is missing is done.
    Exit status 0 if anything was extracted, 1 if nothing was.

    Networks need weights: see pallor weights list. Clusters and object stores: docs/cluster.md.
    """
    one_blas_thread()
    from pallor.cohort.address import shown, without_secrets
    from pallor.cohort.extraction_places import extract_to
    from pallor.cohort.table import read_cohort
    from pallor.features.settings import FeatureSettings, backbone_files, named_values

    settings = FeatureSettings(
        precision=precision,
        weights=named_values(weights or (), "--weights"),
        files=backbone_files(backbone_file or ()),
        keep_frames=keep_frames,
    )
    chosen = None if modalities == "auto" else comma_list(modalities)
    cohort = read_cohort(table)
    for note in cohort.notes:
        say(f"note: {note}")
    with progress("extracting") as report:
        result = extract_to(
            cohort,
            output,
            workers=_workers(chosen) if workers is None and scheduler is None else workers,
            scheduler=scheduler,
            time_limit_s=time_limit,
            wait_s=wait,
            work=work,
            say=say,
            modalities=chosen,
            progress=report,
            overwrite=overwrite,
            samples=samples,
            settings=settings,
            command=without_secrets(command_line()),
        )
    for failure in result.failures[:10]:
        say(f"pallor: {failure.text}")
    if result.failed > 10:
        say(f"pallor: and {result.failed - 10} more, in {shown(output).rstrip('/')}/failures.csv")
    typer.echo(f"{shown(output)}: read {result.read} = done {result.done} + failed {result.failed}")
    if result.done == 0:
        raise typer.Exit(1)


def _workers(modalities: list[str] | None) -> int:
    """Return how many processes suit this machine."""
    from pallor.features.backbones.table import BACKBONES
    from pallor.features.settings import CUSTOM, usable_cores

    networks = {*BACKBONES, CUSTOM} & set(modalities or ())
    return min(2, usable_cores()) if networks else usable_cores()
