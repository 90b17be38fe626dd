"""``pallor check``: is a clip usable, and what is its heart rate."""

from __future__ import annotations

from typing import Annotated

import typer

from pallor.cli.blas import one_blas_thread
from pallor.cli.output import SIMULATED, print_json, say


def check(
    clips: Annotated[list[str], typer.Argument(help="Videos of a face.", metavar="CLIP...")],
    json: Annotated[bool, typer.Option("--json", help="One JSON object a clip.")] = False,
    face_model: Annotated[
        str | None, typer.Option(help="Landmark model file (face_landmarker.task).")
    ] = None,
) -> None:
    """Look whether a clip is usable, and measure its heart rate.

    Exit status 0 if every clip is usable, 1 if one is not (stderr says why; the others are
    still checked).
    """
    one_blas_thread()
    from pallor.features.quality import check as check_clip

    all_usable = True
    for clip in clips:
        result = check_clip(clip, face_model=face_model)
        all_usable &= result.usable
        if json:
            print_json(result.as_dict())
        elif result.usable:
            typer.echo(
                f"{clip}: usable. Heart rate {result.heart_rate_bpm:.1f} bpm, SNR "
                f"{result.snr_db:.1f} dB; {result.frames} frames, {result.duration_s:.1f} s, "
                f"{result.fps:.1f} frames/s, face in {result.face_coverage:.0%}."
            )
            if result.simulated:
                say(SIMULATED)
        for reason in result.reasons:
            say(f"pallor: not usable: {reason.text}")
        for warning in result.warnings:
            say(f"pallor: warning: {warning.text}")
    if not all_usable:
        raise typer.Exit(1)
