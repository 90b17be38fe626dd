"""Intervals and the quality gate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pallor.report import words
from pallor.report.table import Column, Row, Table
from pallor.report.tables.agreement import FEW

_VERDICTS: Final = {
    "below": "too narrow",
    "above": "wider than need be",
    "consistent": "consistent",
    "unknown": "unknown",
}
GATES: Final = {
    "usable_pulse": "a usable pulse",
    "chosen_in_training": "threshold chosen in training",
}
"""Gates by their key in the metrics."""


def group_name(grouping: str, label: str) -> str:
    """Name a group on the page."""
    names = {"ita": "skin tone", "age": "age"}
    plain = words.plain(label)
    return "everyone" if grouping == "all" else f"{names.get(grouping, grouping)}: {plain}"


def coverage(metrics: Mapping[str, Any]) -> Table | None:
    """Observed against nominal coverage, overall and in groups."""
    found = metrics["coverage"]
    if found is None:
        return None
    levels = [level["nominal"] for level in found["overall"]["levels"]]
    rows = []
    for stratum in (found["overall"], *found["strata"]):
        cells: dict[str, Any] = {
            "grouping": stratum["grouping"],
            "group": stratum["group"],
            "label": group_name(stratum["grouping"], stratum["group"]),
            "participants": stratum["participants"],
            "units": stratum["units"],
        }
        for level in stratum["levels"]:
            name = f"{100 * level['nominal']:g}"
            cells[f"coverage_of_{name}_percent"] = level["coverage"]
            cells[f"width_of_{name}_percent_g_dl"] = level["mean_width_g_dl"]
            cells[f"verdict_of_{name}_percent"] = _VERDICTS[level["verdict"]]
            cells[f"infinite_share_of_{name}_percent"] = level["infinite_share"]
        note = FEW if stratum["too_few"] else ""
        rows.append(Row(cells, main=stratum["grouping"] == "all", note=note))
    columns = [
        Column("grouping", "", on_page=False),
        Column("group", "", on_page=False),
        Column("label", "Who", in_file=False),
        Column("participants", "Participants", "number", 0),
        Column("units", "", "number", on_page=False),
    ]
    for nominal in levels:
        name = f"{100 * nominal:g}"
        shown = nominal in (0.5, 0.8, 0.9, 0.95)
        columns += [
            Column(
                f"coverage_of_{name}_percent", f"Observed of {name} %", "interval", 0, 100.0,
                on_page=shown,
            ),
            Column(
                f"width_of_{name}_percent_g_dl", f"Width of {name} % (g/dL)", "interval",
                on_page=nominal == 0.9,
            ),
            Column(f"verdict_of_{name}_percent", f"Verdict at {name} %", on_page=nominal == 0.9),
            Column(f"infinite_share_of_{name}_percent", "", "number", on_page=False),
        ]  # fmt: skip
    return Table(
        "coverage",
        "Share of the measurements (%) that lie inside the main model's own intervals, by the"
        " share that should, with 95 % intervals over participants, and the mean width of the"
        " intervals. Conformal intervals keep their promise for the cohort as a whole; in a group"
        " they need not.",
        tuple(columns),
        tuple(rows),
    )


def quality_gate(metrics: Mapping[str, Any]) -> Table | None:
    """Rejected against kept."""
    found = metrics["quality"]
    if found is None:
        return None
    keys = ("rejected_share_anemic", "rejected_share_other", "share_difference")
    rows = [
        Row(
            {
                "gate": GATES[key],
                "rejected": gate["rejected_participants"],
                **{name: gate[name] for name in ("participants", "units", "rejected_units")},
                "rejected_share": gate["rejected_share"],
                "hemoglobin_difference_g_dl": gate["hemoglobin_difference_g_dl"],
                **{name: gate[name] for name in keys},
                "mae_kept_g_dl": gate["mae_kept"],
                "mae_all_g_dl": gate["mae_all"],
            },
            note=gate["sentence"],
        )
        for key in GATES
        if (gate := found[key]) is not None
    ]
    if not rows:
        return None
    return Table(
        "quality_gate",
        "What a quality gate would do, with 95 % intervals over participants: whom it rejects, and"
        " how the error of the main result changes. Nobody is rejected in the other tables.",
        (
            Column("gate", "Gate"),
            Column("participants", "", "number", on_page=False),
            Column("rejected", "Participants rejected", "number", 0),
            Column("units", "", "number", on_page=False),
            Column("rejected_units", "", "number", on_page=False),
            Column("rejected_share", "Rejected of all (%)", "interval", 0, 100.0),
            Column("rejected_share_anemic", "Of the anemic (%)", "interval", 0, 100.0),
            Column("rejected_share_other", "Of the others (%)", "interval", 0, 100.0),
            Column("share_difference", "", "interval", on_page=False),
            Column(
                "hemoglobin_difference_g_dl", "Hemoglobin, rejected minus kept (g/dL)", "interval",
                signed=True,
            ),
            Column("mae_kept_g_dl", "MAE of the kept (g/dL)", "interval"),
            Column("mae_all_g_dl", "MAE of all (g/dL)", "interval"),
        ),
        tuple(rows),
    )  # fmt: skip


def risk_coverage(metrics: Mapping[str, Any]) -> Table | None:
    """Points of the risk-coverage curve; for the file."""
    if metrics["quality"] is None:
        return None
    rows = [
        Row({"share_kept": point["share_kept"], "mae_g_dl": point["mae"]})
        for point in metrics["quality"]["curve"]["curve"]
    ]
    return Table(
        "risk_coverage",
        "Error of the units of best quality.",
        (
            Column("share_kept", "Share kept", "number"),
            Column("mae_g_dl", "MAE (g/dL)", "interval"),
        ),
        tuple(rows),
    )
