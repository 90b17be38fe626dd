"""``pallor evaluate``: what an estimate from these features is worth."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pallor.cli.output import (
    SIMULATED,
    comma_list,
    command_line,
    console,
    print_json,
    progress,
    say,
    score_cell,
)

if TYPE_CHECKING:
    from pallor.evaluation.result import Evaluation


class Protocol(StrEnum):
    """What may be asked for by name; ``--quick`` and ``--group`` choose the others."""

    nested = "nested"
    holdout = "holdout"
    fold = "fold"


def evaluate(
    features: Annotated[
        list[str],
        typer.Argument(
            metavar="FEATURES...",
            help="Folder of a feature table or its address (s3://...), or several; or a cohort "
            "table, for the baselines alone.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the run.")] = Path(
        "run"
    ),
    protocol: Annotated[
        Protocol,
        typer.Option(
            help="nested: repeated cross-validation. holdout: a fifth held out, with one seed after"
            " another. fold: the folds of the table's fold column."
        ),
    ] = Protocol.nested,
    group: Annotated[
        str | None, typer.Option(help="Leave one group out: site, camera or session.")
    ] = None,
    modalities: Annotated[str | None, typer.Option(help="Comma-separated; all by default.")] = None,
    regressors: Annotated[
        str, typer.Option(help="Comma-separated.")
    ] = "xgboost,random_forest,stacking",
    folds: Annotated[int | None, typer.Option(min=2, help="Outer folds; 5 by default.")] = None,
    repeats: Annotated[
        int | None, typer.Option(min=1, help="Repeats, 2 by default; of holdout seeds, 100.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of folds and models.")] = 0,
    quick: Annotated[
        bool, typer.Option("--quick", help="A small honest protocol for a first look.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    json: Annotated[bool, typer.Option("--json", help="Print metrics.json as one line.")] = False,
) -> None:
    """Evaluate by nested cross-validation; write metrics.json, report.html, figures and tables.

    Participants never straddle a fold, and everything learned is learned inside the training
    part. Beside the models stand the mean, the sex and the sex-and-age baselines, what fusing
    modalities changes, and how well sex can be told from each. An interrupted run continues when
    the same command is given again.
    """
    from pallor.cohort.feature_table import read_table
    from pallor.evaluation.controls import SEEN
    from pallor.evaluation.protocol import evaluate as evaluate_table
    from pallor.report.files import write_run

    chosen = comma_list(modalities)
    table = read_table(features, chosen, also=SEEN)
    with progress("evaluating") as report:
        result = evaluate_table(
            table,
            protocol=protocol.value,
            group=group,
            modalities=chosen,
            regressors=tuple(comma_list(regressors) or ()),
            folds=folds,
            repeats=repeats,
            seed=seed,
            quick=quick,
            workers=workers,
            progress=report,
            resume_dir=output / "unfinished",
            command=command_line(),
        )
    write_run(result, output)
    if json:
        print_json(result.metrics)
        return
    print_table(result)
    typer.echo(str(output / "metrics.json"))
    typer.echo(str(output / "report.html"))


def print_table(result: Evaluation) -> None:
    """Print an evaluation's table and its verdict to stdout, its notes to stderr."""
    from rich.table import Table

    metrics = result.metrics
    title = f"{metrics['participants']} participants, {metrics['clips']} clips"
    shown = Table(title=f"SIMULATED: {title}" if metrics["simulated"] else title)
    columns = ["features", "regressor", "MAE g/dL", "r", "R²"]
    copies = metrics.get("without_duplicates")
    if copies:
        columns.append("R² without copies")
    in_sample = not metrics["models"]
    if in_sample:
        columns.append("MAE in sample")
    for column in columns:
        shown.add_column(column)
    without = _r2_by_name(copies) if copies else {}
    for entry in (*metrics["baselines"], *metrics["models"]):
        modalities = "+".join(entry.get("modalities", ())) or "(baseline)"
        row = [modalities, entry.get("regressor", entry["name"])]
        row += [score_cell(entry[score]) for score in ("mae", "r", "r2")]
        if copies:
            row.append(score_cell(without.get(entry["name"])))
        if in_sample:
            row.append(f"{entry['in_sample']['mae']:.2f}")
        shown.add_row(*row)
    console().print(shown)
    gain = metrics["incremental_r2"]
    if gain is not None:
        typer.echo(f"R² gained over knowing sex and age: {score_cell(gain)}")
    for line in _about_fusing_and_sex(metrics):
        typer.echo(line)
    for note in metrics["notes"]:
        say(f"note: {note}")
    if metrics["simulated"]:
        say(SIMULATED)


def _about_fusing_and_sex(metrics: Mapping[str, Any]) -> list[str]:
    from pallor.evaluation.request import HEADLINE
    from pallor.report import words

    # The regressor fixed beforehand; the report shows the others.
    sets = {"": metrics, "without copies: ": metrics["without_duplicates"] or {}}
    lines = [
        label + words.compared(comparison)
        for label, part in sets.items()
        for comparison in part.get("comparisons", ())
        if comparison["regressor"] == HEADLINE
    ]
    return lines + [words.probed(probe) for probe in metrics["sex_probe"]]


def _r2_by_name(metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {entry["name"]: entry["r2"] for entry in (*metrics["baselines"], *metrics["models"])}
