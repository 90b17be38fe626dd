"""``pallor cohort``: a published data set's folder to a cohort table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pallor.cli.output import say


def cohort(
    reader: Annotated[str, typer.Argument(help="cp-anemic, mcd-rppg", metavar="READER")],
    root: Annotated[Path, typer.Argument(help="Folder of the data set.", metavar="ROOT")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Table to write, .csv or .parquet.")
    ] = Path("cohort.csv"),
) -> None:
    """Read a published data set's folder and write its cohort table.

    What is missing or stands twice is counted and named on stderr.
    """
    from pallor.cohort.duplicates import find_duplicates
    from pallor.cohort.readers import read
    from pallor.cohort.table import write_cohort

    found = read(reader, root)
    write_cohort(found, output)
    for note in found.notes:
        say(f"note: {note}")
    for note in find_duplicates(found).notes():
        say(f"note: {note}")
    people = found.frame["participant_id"].nunique()
    typer.echo(f"{output}: {len(found.frame)} clips of {people} participants")
