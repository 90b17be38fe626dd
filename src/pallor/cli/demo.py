"""``pallor demo``: the main job from end to end, on simulated clips."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pallor.cli.evaluate import print_table
from pallor.cli.output import SIMULATED, command_line, progress, say


def demo(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write.")] = Path(
        "demo"
    ),
    participants: Annotated[int, typer.Option(min=12, help="Simulated people.")] = 32,
    duration: Annotated[float, typer.Option(min=6.0, help="Seconds a clip.")] = 10.0,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
) -> None:
    """Simulate a small cohort, extract, evaluate, train, predict; ends with a report.

    It takes a few minutes. Everything that it makes is SIMULATED.
    """
    from pallor.cohort.extraction import extract
    from pallor.cohort.feature_table import load_features
    from pallor.cohort.table import read_cohort
    from pallor.evaluation.protocol import evaluate
    from pallor.models.bundle import save_model
    from pallor.models.prediction import predict
    from pallor.models.training import train
    from pallor.report.files import write_run
    from pallor.simulation.cohort import simulate_cohort
    from pallor.simulation.settings import Settings

    say(SIMULATED)
    faces = Settings("easy", seed=seed, duration_s=duration)
    with progress("1/5 rendering") as report:
        table = simulate_cohort(
            directory / "cohort",
            faces,
            participants=participants,
            workers=workers,
            progress=report,
        )
    cohort = read_cohort(table)
    with progress("2/5 extracting") as report:
        extracted = extract(
            cohort,
            directory / "features",
            workers=workers,
            progress=report,
            command=command_line(),
        )
    say(f"read {extracted.read} = done {extracted.done} + failed {extracted.failed}")
    features = load_features(directory / "features")
    with progress("3/5 evaluating") as report:
        result = evaluate(
            features,
            quick=True,
            seed=seed,
            workers=workers,
            progress=report,
            command=command_line(),
        )
    write_run(result, directory / "run")
    with progress("4/5 training") as report:
        model = train(features, quick=True, seed=seed, progress=report)
    model_path = directory / "model.pallor"
    save_model(model, model_path)
    # A person whom the model has not seen: the one after the last of the cohort.
    with progress("5/5 estimating for a new person") as report:
        grown = simulate_cohort(
            directory / "new-person",
            faces,
            participants=1,
            first=participants,
            progress=report,
        )
    person = read_cohort(grown)
    estimate = predict(model, person.clip_paths()[0])
    print_table(result)
    if estimate.usable:
        truth = float(person.frame["hemoglobin_g_dl"].iloc[0])
        typer.echo(f"a new person: {estimate.sentence()} True value {truth:.1f} g/dL.")
    for reason in estimate.reasons:
        typer.echo(f"a new person: {reason.text}")
    say(SIMULATED)
    typer.echo(str(model_path))
    typer.echo(str(directory / "run" / "report.html"))
