"""Subgroups, and how well sex can be told from the features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pallor.evaluation.resampling import MIN_PARTICIPANTS
from pallor.report.table import Column, Row, Table
from pallor.report.tables.agreement import FEW
from pallor.report.tables.uncertainty import group_name

_SCORES: Final = (
    ("mae", "mae_g_dl", "MAE (g/dL)", 2, 1.0),
    ("bias", "bias_g_dl", "Bias (g/dL)", 2, 1.0),
    ("limit_low_g_dl", "limit_low_g_dl", "Lower limit (g/dL)", 2, 1.0),
    ("limit_high_g_dl", "limit_high_g_dl", "Upper limit (g/dL)", 2, 1.0),
    ("r2", "r2", "R²", 2, 1.0),
    ("sensitivity", "sensitivity", "Sensitivity (%)", 0, 100.0),
    ("specificity", "specificity", "Specificity (%)", 0, 100.0),
)


def subgroups(metrics: Mapping[str, Any]) -> Table | None:
    """Scores of the main result in every group of every grouping."""
    if metrics["subgroups"] is None:
        return None
    rows = []
    for grouping in metrics["subgroups"]:
        for group in grouping["groups"]:
            cells: dict[str, Any] = {
                "grouping": grouping["grouping"],
                "group": group["group"],
                "label": group_name(grouping["grouping"], group["group"]),
                **{
                    key: group[key]
                    for key in ("participants", "units", "anemic_participants")
                },
                **{
                    name: group["scores"][key]
                    for key, name, *_ in _SCORES
                    if key in group["scores"]
                },
            }  # fmt: skip
            for key, people in (
                ("sensitivity", group["anemic_participants"]),
                ("specificity", group["other_participants"]),
            ):
                if key in cells and people < MIN_PARTICIPANTS:
                    cells[key] = None
            rows.append(Row(cells, note=FEW if group["too_few"] else ""))
    return Table(
        "subgroups",
        "Main result by sex, age, skin tone, camera and site, with 95 % intervals over"
        " participants. Groups of fewer than 20 are listed without a score; sensitivity stands"
        " where at least 20 are anemic, specificity where at least 20 are not. Limits: limits of"
        " agreement.",
        (
            Column("grouping", "", on_page=False),
            Column("group", "", on_page=False),
            Column("label", "Group", in_file=False),
            Column("participants", "Participants", "number", 0),
            Column("units", "", "number", on_page=False),
            Column("anemic_participants", "Anemic", "number", 0),
            *(
                Column(name, label, "interval", digits, scale, signed=name == "bias_g_dl")
                for _, name, label, digits, scale in _SCORES
            ),
        ),
        tuple(rows),
    )


def sex_probe(metrics: Mapping[str, Any]) -> Table | None:
    """How well a linear probe tells sex from each modality."""
    if not metrics["sex_probe"]:
        return None
    rows = [
        Row(
            {
                "modality": probe["modality"],
                "auc": probe["auc"],
                "female": probe["participants"]["female"],
                "male": probe["participants"]["male"],
                "sex_unknown": probe["left_out"]["sex_unknown"],
                "no_features": probe["left_out"]["no_features"],
            },
            note=probe["note"] or "",
        )
        for probe in metrics["sex_probe"]
    ]
    return Table(
        "sex_probe",
        "How well a linear probe tells sex from each modality, out of fold: area under the ROC"
        " curve (AUC) with 95 % interval over participants. 0.5 is chance, 1 is always.",
        (
            Column("modality", "Modality"),
            Column("auc", "AUC", "interval"),
            Column("female", "Female", "number", 0),
            Column("male", "Male", "number", 0),
            Column("sex_unknown", "Sex unknown", "number", 0),
            Column("no_features", "No features", "number", 0),
        ),
        tuple(rows),
    )
