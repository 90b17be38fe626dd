"""Who was scored, who was left out and why, and what occurs twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pallor.report import words
from pallor.report.table import Column, Row, Table
from pallor.report.tables.scores import label

MOST_CONFLICTS: Final = 50
"""Conflicting copies listed in the report; ``metrics.json`` lists all."""
_COLUMNS: Final = {"hemoglobin_g_dl": "hemoglobin", "age_years": "age"}


def flow(metrics: Mapping[str, Any]) -> Table:
    """Account for everyone who was read."""
    found = metrics["flow"]
    rows = [Row(_step(found, "read", "Read"))]
    rows += [
        Row(
            {
                "step": f"Left out: {part['reason']}",
                "participants": part["participants"],
                "clips": part["clips"],
            }
        )
        for part in found["left_out"]
    ]
    rows.append(Row(_step(found, "scored", "Scored")))
    without = metrics["without_duplicates"]
    if without is not None:
        rows.append(
            Row(
                {
                    "step": "Of these, without copies",
                    "participants": without["participants"],
                    "clips": without["clips"],
                }
            )
        )
    return Table(
        "participants",
        "Everyone who was read is accounted for. A participant is left out where none of their"
        " clips can be scored.",
        (
            Column("step", "Step"),
            Column("participants", "Participants", "number", 0),
            Column("clips", "Clips", "number", 0),
        ),
        tuple(rows),
    )


def _step(found: Mapping[str, Any], key: str, name: str) -> dict[str, Any]:
    counted = {kind: found[kind][key] for kind in ("participants", "clips")}
    return {"step": name, **counted}


def copies(metrics: Mapping[str, Any]) -> Table | None:
    """Every score with copies beside the one without."""
    other = metrics["without_duplicates"]
    if other is None:
        return None
    rows = []
    for kind in ("baselines", "models"):
        for entry in metrics[kind]:
            cells = {"name": entry["name"], "label": label(entry)}
            cells |= {"mae_g_dl": entry["mae"], "r2": entry["r2"]}
            without = words.find(other[kind], entry["name"])
            if without is not None:
                cells["mae_without_copies_g_dl"] = without["mae"]
                cells["r2_without_copies"] = without["r2"]
            rows.append(Row(cells, main=entry["name"] == metrics["headline"]))
    gains = metrics["incremental_r2"], other["incremental_r2"]
    if None not in gains:
        cells = {"name": "incremental_r2", "label": "added to sex and age"}
        rows.append(Row({**cells, "r2": gains[0], "r2_without_copies": gains[1]}))
    return Table(
        "copies",
        "With all clips and without the copies"
        f" ({words.plural(other['participants'], 'participant')},"
        f" {words.plural(other['clips'], 'clip')}).",
        (
            Column("name", "", on_page=False),
            Column("label", "Estimate", in_file=False),
            Column("mae_g_dl", "MAE (g/dL), all", "interval"),
            Column("mae_without_copies_g_dl", "MAE (g/dL), without", "interval"),
            Column("r2", "R², all", "interval"),
            Column("r2_without_copies", "R², without", "interval"),
        ),
        tuple(rows),
    )


def conflicts(metrics: Mapping[str, Any]) -> Table | None:
    """List copies with contradictory labels."""
    found = metrics["duplicates"]["conflicting"]
    if not found:
        return None
    rows = []
    for conflict in found[:MOST_CONFLICTS]:
        people = zip(conflict["participants"], conflict["hemoglobin_g_dl"], strict=True)
        told = ", ".join(f"{who} ({words.number(value, 1)})" for who, value in people)
        differs = ", ".join(_COLUMNS.get(name, name) for name in conflict["conflicts"])
        rows.append(Row({"participants": told, "differs_in": differs}))
    left = len(found) - len(rows)
    rest = f" And {left} more, listed in metrics.json." if left else ""
    return Table(
        "contradictory_copies",
        f"Copies with contradictory labels.{rest}",
        (
            Column("participants", "Participants and their hemoglobin (g/dL)"),
            Column("differs_in", "Differ in"),
        ),
        tuple(rows),
    )
