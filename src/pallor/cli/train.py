"""``pallor train``: a feature table to a model file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pallor.cli.output import NOTICE, SIMULATED, comma_list, progress, say


def train(
    features: Annotated[
        list[str],
        typer.Argument(
            metavar="FEATURES...", help="Folder of a feature table or its address, or several."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Model file to write.")] = Path(
        "model.pallor"
    ),
    regressor: Annotated[
        str, typer.Option(help="stacking, xgboost or random_forest.")
    ] = "stacking",
    modalities: Annotated[str | None, typer.Option(help="Comma-separated; all by default.")] = None,
    demographics: Annotated[
        bool, typer.Option("--demographics", help="Let the model know sex and age.")
    ] = False,
    coverage: Annotated[float, typer.Option(min=0.5, max=0.99, help="Of the intervals.")] = 0.9,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="No tuning, fewer trees.")] = False,
) -> None:
    """Train a model on every modality of a feature table, intervals included.

    Tables that were extracted with different settings are refused; a participant of two tables
    is one person.

    The figures that it prints come from grouped cross-validation inside; `pallor evaluate`
    is the full account.
    """
    from pallor.cohort.feature_table import load_features
    from pallor.models.bundle import save_model
    from pallor.models.training import train as train_model

    chosen = comma_list(modalities)
    with progress("training") as report:
        model = train_model(
            load_features(features, chosen),
            regressor=regressor,
            modalities=chosen,
            demographics=demographics,
            coverage=coverage,
            seed=seed,
            quick=quick,
            progress=report,
        )
    save_model(model, output)
    for note in model.metadata["notes"]:
        say(f"note: {note}")
    if model.metadata["simulated"]:
        say(SIMULATED)
    say(NOTICE)
    typer.echo(f"{output}: {model.summary()}")
