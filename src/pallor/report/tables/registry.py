"""All tables of the report by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pallor.report import tripod
from pallor.report.table import Table
from pallor.report.tables import (
    agreement,
    doubts,
    explanation,
    groups,
    people,
    scores,
    screening,
    uncertainty,
)

if TYPE_CHECKING:
    import pandas as pd

Make = Callable[[Mapping[str, Any], "pd.DataFrame"], Table | None]


def _of_metrics(make: Callable[[Mapping[str, Any]], Table | None]) -> Make:
    """Let a table that needs no predictions be made as one that does."""
    return lambda metrics, _: make(metrics)


_FROM_METRICS: Mapping[str, Callable[[Mapping[str, Any]], Table | None]] = MappingProxyType(
    {
        "scores": scores.scores,
        "main_result": scores.main_scores,
        "baselines": scores.baselines,
        "fusing": scores.comparisons,
        "held_out": scores.held_out,
        "agreement": agreement.agreement,
        "error_by_hemoglobin": agreement.error_by_hemoglobin,
        "screening": screening.screening,
        "auc": screening.auc_gain,
        "roc": screening.roc,
        "decision_curve": screening.decision_curve,
        "coverage": uncertainty.coverage,
        "quality_gate": uncertainty.quality_gate,
        "risk_coverage": uncertainty.risk_coverage,
        "subgroups": groups.subgroups,
        "sex_probe": groups.sex_probe,
        "controls": doubts.controls,
        "permutation_within_sex": doubts.permutation,
        "importance": explanation.importance,
        "contributions": explanation.contributions,
        "reproduction": doubts.reproduction,
        "seeds": doubts.seeds,
        "prior_work": doubts.prior_work,
        "participants": people.flow,
        "copies": people.copies,
        "contradictory_copies": people.conflicts,
        "tripod_ai": tripod.checklist,
    }
)
TABLES: Mapping[str, Make] = MappingProxyType(
    {
        **{name: _of_metrics(make) for name, make in _FROM_METRICS.items()},
        "calibration": agreement.calibration,
    }
)
"""Metrics and predictions to the table of that name; None where they have nothing for it."""


def all_tables(metrics: Mapping[str, Any], predictions: pd.DataFrame) -> dict[str, Table]:
    """Make every table that the evaluation allows.

    Parameters
    ----------
    metrics, predictions
        Of an evaluation.

    Returns
    -------
    By name; what the evaluation has nothing for is not among them.
    """
    made = {name: make(metrics, predictions) for name, make in TABLES.items()}
    return {name: table for name, table in made.items() if table is not None}
