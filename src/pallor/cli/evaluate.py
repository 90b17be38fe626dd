"""``pallor evaluate``: what an estimate from these features is worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pallor.cli.output import SIMULATED, comma_list, command_line, console, progress, say


def evaluate(
    features: Annotated[
        Path,
        typer.Argument(
            metavar="FEATURES",
            help="Folder of a feature table; or a cohort table, for the baselines alone.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the run.")] = Path(
        "run"
    ),
    group: Annotated[
        str | None, typer.Option(help="Leave one group out: site, camera or session.")
    ] = None,
    modalities: Annotated[str | None, typer.Option(help="Comma-separated; all by default.")] = None,
    regressors: Annotated[
        str, typer.Option(help="Comma-separated.")
    ] = "xgboost,random_forest,stacking",
    folds: Annotated[int | None, typer.Option(min=2, help="Outer folds; 5 by default.")] = None,
    repeats: Annotated[int | None, typer.Option(min=1, help="Repeats; 2 by default.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of folds and models.")] = 0,
    quick: Annotated[
        bool, typer.Option("--quick", help="A small honest protocol for a first look.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
) -> None:
    """Evaluate by nested cross-validation; write metrics.json and report.html.

    Participants never straddle a fold, and everything learned is learned inside the training
    part. Beside the models stand the mean, the sex and the sex-and-age baselines.
    """
    from pallor.cohort.feature_table import read_table
    from pallor.evaluation.protocol import evaluate as evaluate_table
    from pallor.report.html import write_report

    table = read_table(features)
    with progress("evaluating") as report:
        result = evaluate_table(
            table,
            group=group,
            modalities=comma_list(modalities),
            regressors=tuple(comma_list(regressors) or ()),
            folds=folds,
            repeats=repeats,
            seed=seed,
            quick=quick,
            workers=workers,
            progress=report,
            command=command_line(),
        )
    result.save(output)
    write_report(result, output / "report.html")
    print_table(result)
    typer.echo(str(output / "metrics.json"))
    typer.echo(str(output / "report.html"))


def print_table(result: object) -> None:
    """Print an evaluation's table and notes to stderr."""
    from rich.table import Table

    from pallor.evaluation.protocol import Evaluation
    from pallor.evaluation.summary import summary_rows

    if not isinstance(result, Evaluation):
        raise TypeError("an Evaluation is printed here")
    heading, rows = summary_rows(result)
    shown = Table(*heading, title="SIMULATED" if result.metrics["simulated"] else None)
    for row in rows:
        shown.add_row(*row)
    console().print(shown)
    for note in result.metrics["notes"]:
        say(f"note: {note}")
    if result.metrics["simulated"]:
        say(SIMULATED)
