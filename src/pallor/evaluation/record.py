"""What a reader must know of the table and of the run: outcomes, notes, versions, the call."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from pallor.evaluation.baselines import BASELINES, lacking
from pallor.evaluation.controls import face_less_columns
from pallor.evaluation.request import (
    DEMOGRAPHICS,
    HEADLINE,
    Request,
    columns_of_modalities,
)
from pallor.evaluation.suspicion import suspicion_notes, suspicious_columns
from pallor.evaluation.task import Task

if TYPE_CHECKING:
    import pandas as pd

_PACKAGES: Final = (
    "numpy", "pandas", "scipy", "scikit-learn", "xgboost-cpu", "xgboost",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Return the versions of what decides the numbers."""
    from pallor._version import __version__

    versions = {"pallor": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def is_simulated(table: pd.DataFrame) -> bool:
    """Tell whether any clip was rendered by a simulation."""
    marked = "simulated" in table.columns and bool(table["simulated"].fillna(False).any())
    method = table.get("reference_method")
    return marked or (method is not None and bool((method == "simulated").any()))


def outcome_of(table: pd.DataFrame, measured: NDArray[np.float64]) -> dict[str, Any]:
    """Describe the measured hemoglobin, g/dL, and how it was measured."""
    methods: dict[str, int] = {}
    if "reference_method" in table.columns:
        counted = table["reference_method"].fillna("unknown").value_counts()
        methods = {str(name): int(count) for name, count in counted.items()}
    return {
        "mean": float(measured.mean()),
        "sd": float(measured.std(ddof=1)),
        "minimum": float(measured.min()),
        "maximum": float(measured.max()),
        "reference_methods": methods,
    }


def suspicions(
    table: pd.DataFrame, task: Task, request: Request, models: Sequence[dict[str, Any]]
) -> list[str]:
    """Warn of columns and scores that are too good to be blood, one sentence each."""
    features = [name for name in request.modalities if name != DEMOGRAPHICS]
    columns = (*columns_of_modalities(table, features), *face_less_columns(table))
    seen = table[list(dict.fromkeys(columns))]
    found = suspicious_columns(seen, task.outcome, task.components)
    return suspicion_notes(found, models, table)


def _values(table: pd.DataFrame, column: str) -> list[str]:
    if column not in table.columns:
        return []
    return sorted(table[column].dropna().astype(str).unique())


def notes_of(table: pd.DataFrame, request: Request) -> list[str]:
    """Say what is left out or mixed, one sentence each."""
    notes = [*((table.attrs.get("extraction") or {}).get("notes") or ())]
    for name, baseline in BASELINES.items():
        absent = lacking(baseline, table)
        # The body mass index is rarely known, and asked for by nobody who has none.
        if absent and "bmi" not in absent:
            notes.append(
                f"Baseline {name} is left out: the table has no {' and no '.join(absent)}."
            )
    if not request.specs:
        notes.append("The table holds no features: only the baselines are scored.")
    elif request.incremental is None:
        notes.append(
            "The incremental R2 is left out: it needs the sex and the age of the participants"
            f" and the regressor {HEADLINE}."
        )
    kinds = _values(table, "input_kind")
    if len(kinds) > 1:
        notes.append(f"Kinds of input are mixed: {', '.join(kinds)}. Evaluate each by itself.")
    if len(_values(table, "simulated")) > 1:
        notes.append("Simulated and real clips are mixed: the scores say nothing about either.")
    return notes


def call_of(protocol: str, request: Request) -> str:
    """Write the call in Python that does the same."""
    group = f", group={request.group!r}" if request.group else ""
    return (
        f"pallor.evaluate(table, protocol={protocol!r}{group}, modalities={request.modalities!r},"
        f" quick={request.quick}, seed={request.seed}, repeats={request.repeats},"
        f" folds={request.folds}, bootstrap={request.bootstrap}, unit={request.unit!r})"
    )
