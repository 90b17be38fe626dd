"""All figures of the report by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pallor.report.figures import (
    agreement,
    explanation,
    flow,
    scores,
    screening,
    seeds,
    subgroups,
    uncertainty,
)
from pallor.report.figures.canvas import Drawing, stamp

if TYPE_CHECKING:
    import pandas as pd

FIGURES: Mapping[str, Callable[[Mapping[str, Any], pd.DataFrame], Drawing | None]] = (
    MappingProxyType(
        {
            "scatter": agreement.scatter,
            "bland_altman": agreement.bland_altman,
            "error_by_hemoglobin": agreement.error_by_hemoglobin,
            "calibration": agreement.calibration,
            "mae": scores.mae,
            "r2": scores.r2,
            "roc": screening.roc,
            "decision_curve": screening.decision_curve,
            "coverage": uncertainty.coverage,
            "risk_coverage": uncertainty.risk_coverage,
            "subgroups": subgroups.forest,
            "importance": explanation.importance,
            "contributions": explanation.contributions,
            "seeds_mae": seeds.mae,
            "seeds_r": seeds.r,
            "seeds_r2": seeds.r2,
            "flow": flow.flow,
        }
    )
)
"""Metrics and predictions to the figure of that name; None where they have nothing for it."""


def all_figures(metrics: Mapping[str, Any], predictions: pd.DataFrame) -> dict[str, Drawing]:
    """Draw every figure that the evaluation allows, simulated ones marked.

    Parameters
    ----------
    metrics, predictions
        Of an evaluation.

    Returns
    -------
    By name; what the evaluation has nothing for is not among them.
    """
    drawn = {name: draw(metrics, predictions) for name, draw in FIGURES.items()}
    made = {name: drawing for name, drawing in drawn.items() if drawing is not None}
    if metrics["simulated"]:
        for drawing in made.values():
            stamp(drawing.figure)
    return made
