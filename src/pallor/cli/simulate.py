"""``pallor simulate``: render a cohort with known hemoglobin."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pallor.cli.output import SIMULATED, progress, say


def simulate(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write.")],
    preset: Annotated[
        str, typer.Option(help="easy, paper, realistic or null; see docs/simulation.md.")
    ] = "paper",
    participants: Annotated[int, typer.Option(min=1, help="How many people.")] = 64,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same bytes.")] = 0,
    duration: Annotated[float, typer.Option(min=1.0, help="Seconds a clip.")] = 10.0,
    no_sex_cue: Annotated[
        bool, typer.Option("--no-sex-cue", help="Draw men and women alike.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
) -> None:
    """Render clips of faces with known hemoglobin, and DIR/cohort.csv.

    The same seed gives the same bytes; run again with more participants, and the cohort
    grows. Simulated scores are never clinical evidence.
    """
    from pallor.simulation.cohort import simulate_cohort

    with progress("rendering") as report:
        table = simulate_cohort(
            directory,
            preset=preset,
            participants=participants,
            seed=seed,
            duration_s=duration,
            sex_cue=not no_sex_cue,
            workers=workers,
            progress=report,
        )
    say(SIMULATED)
    typer.echo(str(table))
