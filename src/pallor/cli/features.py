"""``pallor features``: what is measured, and how."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from pallor.cli.output import comma_list, print_json


def features(
    modalities: Annotated[str | None, typer.Option(help="Comma-separated; all by default.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a family.")] = False,
) -> None:
    """List the features: name, meaning, formula, unit, source.

    Names are modality, place, quantity, statistic; what stands in braces varies.
    """
    from pallor.features.registry import documentation

    for doc in documentation(comma_list(modalities)):
        if json:
            print_json(asdict(doc))
            continue
        typer.echo(f"{doc.pattern}  [{doc.unit}]")
        typer.echo(f"    {doc.description}")
        typer.echo(f"    {doc.formula}")
        typer.echo(f"    Source: {doc.source}")
