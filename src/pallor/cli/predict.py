"""``pallor predict``: a model and clips to estimates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pallor.cli.blas import one_blas_thread
from pallor.cli.output import NOTICE, SIMULATED, print_json, say
from pallor.errors import UsageError

if TYPE_CHECKING:
    from pallor.anemia import Person
    from pallor.models.prediction import Estimate


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model file.")],
    clips: Annotated[list[str], typer.Argument(metavar="CLIP...", help="Videos or stills.")],
    json: Annotated[bool, typer.Option("--json", help="One JSON object a clip.")] = False,
    fhir: Annotated[
        bool, typer.Option("--fhir", help="One FHIR Observation (R4B, JSON) a clip.")
    ] = False,
    sex: Annotated[
        str | None, typer.Option(help="female or male; of the person in all clips.")
    ] = None,
    age_years: Annotated[float | None, typer.Option("--age-years", min=0, max=120)] = None,
    pregnancy: Annotated[
        str | None,
        typer.Option(
            help="no, or the trimester: first, second, third. For --fhir, as are the next three."
        ),
    ] = None,
    altitude_m: Annotated[float | None, typer.Option("--altitude-m", help="Of residence.")] = None,
    smoking: Annotated[str | None, typer.Option(help="no, yes, or such as 12/day.")] = None,
    subject: Annotated[
        str | None, typer.Option(help="A reference such as Patient/12, or an identifier.")
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="Of the networks; the model's own, another is refused.")
    ] = None,
    backbone_file: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]FILE", help="The ONNX file of your own that was extracted with."
        ),
    ] = None,
    coverage: Annotated[
        float | None, typer.Option(min=0.5, max=0.99, help="Of the interval; the model's own.")
    ] = None,
) -> None:
    """Estimate the hemoglobin concentration (g/dL) with an interval.

    A clip that the model cannot serve gets no number but a reason, and exit status 1; the
    others are still estimated.
    """
    one_blas_thread()
    only_fhir = {
        "--pregnancy": pregnancy,
        "--altitude-m": altitude_m,
        "--smoking": smoking,
        "--subject": subject,
    }
    _refuse(json, fhir, [name for name, value in only_fhir.items() if value is not None])
    from pallor.anemia import Person
    from pallor.features.settings import backbone_files
    from pallor.models.bundle import load_model
    from pallor.models.prediction import predict as predict_clip

    person = Person(sex, age_years, pregnancy, altitude_m, smoking)
    files = backbone_files(backbone_file or ())
    loaded = load_model(model)
    all_usable = True
    for clip in clips:
        estimate = predict_clip(
            loaded,
            clip,
            sex=sex,
            age_years=age_years,
            coverage=coverage,
            precision=precision,
            backbone_files=files,
        )
        all_usable &= estimate.usable
        if json:
            print_json(estimate.as_dict())
        elif fhir:
            print_json(_observation(estimate, person, subject))
        elif estimate.usable:
            typer.echo(f"{clip}: {estimate.sentence()}")
            if estimate.simulated:
                say(SIMULATED)
        for reason in estimate.reasons:
            say(f"pallor: not usable: {reason.text}")
        for warning in estimate.warnings:
            say(f"pallor: warning: {warning.text}")
    say(NOTICE)
    if not all_usable:
        raise typer.Exit(1)


def _refuse(json: bool, fhir: bool, only_fhir: list[str]) -> None:
    if json and fhir:
        raise UsageError("--json and --fhir exclude each other: choose one")
    if only_fhir and not fhir:
        raise UsageError(f"{only_fhir[0]} says something only in a FHIR resource: add --fhir")


def _observation(estimate: Estimate, person: Person, subject: str | None) -> dict[str, object]:
    from datetime import UTC, datetime

    from pallor.service.fhir import observation

    return observation(estimate.as_dict(), issued=datetime.now(UTC), person=person, subject=subject)
