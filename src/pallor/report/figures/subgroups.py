"""Forest plot of the subgroups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from pallor.report import words
from pallor.report.figures.canvas import (
    BLUE,
    GRAY,
    INK,
    VERMILION,
    Drawing,
    finite,
    new,
    short,
    y_labels,
)
from pallor.report.tables.uncertainty import group_name

if TYPE_CHECKING:
    import pandas as pd

MOST_GROUPS: Final = 40
"""Groups that are drawn; the table lists all."""


def forest(metrics: Mapping[str, Any], _: pd.DataFrame) -> Drawing | None:
    """Draw the mean absolute error in every group that is large enough."""
    headline = words.find(metrics["models"], metrics["headline"])
    if metrics["subgroups"] is None or headline is None:
        return None
    groups = [
        (group_name(grouping["grouping"], group["group"]), group)
        for grouping in metrics["subgroups"]
        for group in grouping["groups"]
    ]
    left = max(0, len(groups) - MOST_GROUPS)
    groups = groups[:MOST_GROUPS]
    overall, low, high = finite(headline["mae"])
    figure, axes = new(5.2, 1.1 + 0.29 * len(groups))
    axes.axvline(overall, color=GRAY, linewidth=1, linestyle="--")
    axes.plot([low, high], [0, 0], color=VERMILION, linewidth=1.6)
    axes.plot([overall], [0], "D", color=VERMILION, markersize=5.5)
    for row, (_name, group) in enumerate(groups, 1):
        if group["too_few"]:
            axes.annotate(
                "fewer than 20: no conclusion", (1.0, row), xycoords=("axes fraction", "data"),
                ha="right", va="center", fontsize=7, color=INK,
            )  # fmt: skip
            continue
        value, low, high = finite(group["scores"]["mae"])
        axes.plot([low, high], [row, row], color=BLUE, linewidth=1.6)
        axes.plot([value], [row], "o", color=BLUE, markersize=5.5)
    names = [("everyone", metrics["participants"])]
    names += [(name, group["participants"]) for name, group in groups]
    y_labels(axes, [f"{short(name)} (n = {people})" for name, people in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlabel("mean absolute error (g/dL)")
    rest = f" {left} more groups are in the table." if left else ""
    told = "; ".join(
        f"{name} {words.number(group['scores']['mae']['value'])}"
        for name, group in groups
        if not group["too_few"]
    )
    return Drawing(
        "subgroups",
        figure,
        f"Mean absolute error by group: {told}.",
        "Main result by group, with 95 % intervals over participants. A group with more spread in"
        f" hemoglobin is harder, whatever the model.{rest}",
    )
