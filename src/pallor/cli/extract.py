"""``pallor extract``: a cohort table to a feature table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pallor.cli.output import comma_list, command_line, progress, say


def extract(
    table: Annotated[Path, typer.Argument(metavar="COHORT", help="Cohort table, CSV or Parquet.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the feature table.")
    ] = Path("features"),
    modalities: Annotated[
        str, typer.Option(help="Comma-separated: color, pulse; or auto: what the clips allow.")
    ] = "auto",
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start anew instead of going on.")
    ] = False,
) -> None:
    """Extract features from every clip of a cohort table.

    A clip that fails is listed in failures.csv with the reason and never stops the run;
    read = done + failed is printed at the end. Run again, and only what is missing is done.
    Exit status 0 if anything was extracted, 1 if nothing was.
    """
    from pallor.cohort.extraction import extract as extract_cohort
    from pallor.cohort.table import read_cohort

    cohort = read_cohort(table)
    for note in cohort.notes:
        say(f"note: {note}")
    with progress("extracting") as report:
        result = extract_cohort(
            cohort,
            output,
            modalities=None if modalities == "auto" else comma_list(modalities),
            workers=workers,
            progress=report,
            overwrite=overwrite,
            command=command_line(),
        )
    for failure in result.failures[:10]:
        say(f"pallor: {failure.text}")
    if result.failed > 10:
        say(f"pallor: and {result.failed - 10} more, in {output / 'failures.csv'}")
    typer.echo(f"{output}: read {result.read} = done {result.done} + failed {result.failed}")
    if result.done == 0:
        raise typer.Exit(1)
