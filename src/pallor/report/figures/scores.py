"""Scores of every baseline and model side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from pallor.report.figures.canvas import BLUE, GRAY, VERMILION, Drawing, finite, new, y_labels
from pallor.report.tables.scores import label

if TYPE_CHECKING:
    import pandas as pd

_MARKS: Final = {
    "baseline": ("s", GRAY),
    "model": ("o", BLUE),
    "headline": ("D", VERMILION),
}


def _comparison(metrics: Mapping[str, Any], score: str, title: str, caption: str) -> Drawing:
    entries = [
        (
            "headline" if entry["name"] == metrics["headline"] else kind.removesuffix("s"),
            label(entry),
            finite(entry[score]),
        )
        for kind in ("baselines", "models")
        for entry in metrics[kind]
    ]
    figure, axes = new(4.8, 0.9 + 0.29 * len(entries))
    for row, (role, _, (value, low, high)) in enumerate(entries):
        marker, color = _MARKS[role]
        axes.plot([low, high], [row, row], color=color, linewidth=1.6)
        axes.plot([value], [row], marker, color=color, markersize=5.5)
    y_labels(axes, [name for _, name, _ in entries])
    axes.set_ylim(len(entries) - 0.4, -0.6)
    axes.set_xlabel(title)
    told = "; ".join(f"{name} {value:.2f}" for _, name, (value, _, _) in entries)
    return Drawing(score, figure, f"{title}: {told}.", caption)


def mae(metrics: Mapping[str, Any], _: pd.DataFrame) -> Drawing:
    """Draw the mean absolute error of every baseline and model."""
    return _comparison(
        metrics,
        "mae",
        "mean absolute error (g/dL)",
        "With 95 % intervals; smaller is better. Squares: baselines. Circles: models. Diamond:"
        " main result.",
    )


def r2(metrics: Mapping[str, Any], _: pd.DataFrame) -> Drawing:
    """Draw R2 of every baseline and model."""
    return _comparison(
        metrics,
        "r2",
        "R²",
        "With 95 % intervals; larger is better, 0 is the mean of those scored.",
    )
