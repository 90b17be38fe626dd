"""``pallor simulate``: render a cohort with known hemoglobin, or ask what it can show."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pallor.cli.output import SIMULATED, comma_list, command_line, print_json, progress, say


def simulate(
    directory: Annotated[
        Path | None,
        typer.Argument(metavar="[DIR]", help="Where to write; with --oracle it may be left out."),
    ] = None,
    preset: Annotated[
        str, typer.Option(help="easy, paper, realistic or null; see docs/simulation.md.")
    ] = "paper",
    participants: Annotated[
        int | None,
        typer.Option(min=1, help="How many people; 96 easy, 260 paper or realistic, 200 null."),
    ] = None,
    sessions: Annotated[
        int, typer.Option(min=1, help="Clips of each person, hemoglobin changing between them.")
    ] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same bytes.")] = 0,
    duration: Annotated[float, typer.Option(min=0.1, help="Seconds a clip.")] = 10.0,
    fps: Annotated[float, typer.Option(min=1.0, help="Frames per second.")] = 30.0,
    size: Annotated[int, typer.Option(min=64, help="Width and height, pixels.")] = 480,
    camera: Annotated[
        str | None, typer.Option(help="Sensors to draw from, comma-separated.")
    ] = None,
    light: Annotated[str | None, typer.Option(help="Lights to draw from, comma-separated.")] = None,
    codec: Annotated[str, typer.Option(help="h264 or mjpeg.")] = "h264",
    quality: Annotated[
        int | None, typer.Option(help="h264: 0 (best) to 51, 18 by default; mjpeg: 1 to 31, 3.")
    ] = None,
    no_sex_cue: Annotated[
        bool, typer.Option("--no-sex-cue", help="Draw men and women alike.")
    ] = False,
    contact_sheet: Annotated[
        Path | None,
        typer.Option(
            metavar="PNG", help="Draw faces across melanin and hemoglobin instead; DIR is not used."
        ),
    ] = None,
    oracle: Annotated[
        bool,
        typer.Option("--oracle", help="Report what an ideal observer of these faces reaches."),
    ] = False,
    run: Annotated[
        Path | None,
        typer.Option(help="With --oracle: an evaluation of this cohort to measure against it."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    json: Annotated[bool, typer.Option("--json", help="Print oracle.json as one line.")] = False,
) -> None:
    """Render clips of faces with known hemoglobin, DIR/cohort.csv and DIR/truth.parquet.

    The same seed gives the same bytes; run again with more participants or sessions, and the
    cohort grows. What was interrupted goes on. Simulated scores are never clinical evidence.

    With --oracle, DIR/oracle.json tells R² and MAE of an observer who sees the true colors;
    without DIR nothing is rendered or written.
    """
    from pallor.errors import UsageError
    from pallor.simulation.settings import Settings

    settings = Settings(
        preset=preset,
        seed=seed,
        duration_s=duration,
        fps=fps,
        size=size,
        sex_cue=not no_sex_cue,
        sensors=_tuple(camera),
        lights=_tuple(light),
        codec=codec,
        quality=quality,
    )
    if contact_sheet is not None:
        from pallor.simulation.sheet import contact_sheet as draw_sheet

        spread = settings.spread
        drawn = draw_sheet(
            contact_sheet, sensor=spread.sensors[0], light=spread.lights[0], seed=seed
        )
        typer.echo(str(drawn))
        say(SIMULATED)
        return
    if directory is None and not oracle:
        raise UsageError("name a folder to write to; or --oracle, which needs none")
    if (run is not None or json) and not oracle:
        raise UsageError("--run and --json belong to --oracle")
    if directory is not None:
        from pallor.simulation.cohort import simulate_cohort

        with progress("rendering") as report:
            table = simulate_cohort(
                directory,
                settings,
                participants=participants,
                sessions=sessions,
                workers=workers,
                progress=report,
            )
        if not json:
            typer.echo(str(table))
    if oracle:
        from pallor.cli.oracle import ask_oracle, print_oracle

        with progress("looking") as report:
            answer = ask_oracle(
                settings,
                participants=participants,
                sessions=sessions,
                run=run,
                progress=report,
                command=command_line(),
            )
        if directory is not None:
            answer.save(directory)
        if json:
            print_json(answer.metrics)
        else:
            print_oracle(answer)
    say(SIMULATED)


def _tuple(value: str | None) -> tuple[str, ...] | None:
    parts = comma_list(value)
    return None if parts is None else tuple(parts)
