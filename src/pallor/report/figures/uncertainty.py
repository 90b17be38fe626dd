"""Coverage of the intervals, and the error by quality."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pallor.report import words
from pallor.report.figures.canvas import BLUE, GRAY, GRID, VERMILION, Drawing, finite, legend, new
from pallor.report.tables.uncertainty import group_name

if TYPE_CHECKING:
    import pandas as pd

_MARKS: Final = ("o", "s", "^", "v", "P", "X", "<", ">", "h")


def coverage(metrics: Mapping[str, Any], _: pd.DataFrame) -> Drawing | None:
    """Draw observed against nominal coverage, overall and by sex."""
    if metrics["coverage"] is None:
        return None
    everyone, strata = metrics["coverage"]["overall"], metrics["coverage"]["strata"]
    shown = [one for one in strata if one["grouping"] == "sex" and one["levels"]]
    figure, axes = new(4.2, 4.0)
    levels = [level["nominal"] for level in everyone["levels"]]
    floor = max(0.0, min(levels) - 0.3)
    axes.plot([floor, 1], [floor, 1], color=GRAY, linewidth=1, linestyle="--")
    for number, one in enumerate([everyone, *shown]):
        color = BLUE if number else VERMILION
        # Side by side, or the intervals hide one another.
        shift = 0.013 * ((number + 1) // 2) * (-1 if number % 2 else 1)
        for place, level in enumerate(one["levels"]):
            value, low, high = finite(level["coverage"])
            x = level["nominal"] + shift
            axes.plot([x, x], [low, high], color=color, linewidth=1.4 if number else 2.0)
            axes.plot(
                [x], [value], _MARKS[number - 1] if number else "D", color=color, markersize=5.5,
                label=None if place else group_name(one["grouping"], one["group"]),
            )  # fmt: skip
    axes.set_xlim(floor, 1.02)
    axes.set_ylim(floor, 1.02)
    axes.set_aspect("equal")
    axes.set_xlabel("coverage that was asked for")
    axes.set_ylabel("coverage that was observed")
    legend(axes, loc="upper left")
    told = "; ".join(
        f"{level['nominal']:g}: {words.with_interval(level['coverage'])}"
        for level in everyone["levels"]
    )
    return Drawing(
        "coverage",
        figure,
        f"Observed by nominal coverage: {told}.",
        "Intervals of the main result: share of the measurements inside by the share that should"
        " be, with 95 % intervals. Below the dashed line they are too narrow.",
    )


def risk_coverage(metrics: Mapping[str, Any], _: pd.DataFrame) -> Drawing | None:
    """Draw the error of the units of best quality by the share that is kept."""
    if metrics["quality"] is None:
        return None
    curve = metrics["quality"]["curve"]
    shares = np.array([100 * point["share_kept"] for point in curve["curve"]])
    value, low, high = np.array([finite(point["mae"]) for point in curve["curve"]]).T
    figure, axes = new(4.6, 3.6)
    axes.fill_between(shares, low, high, color=BLUE, alpha=0.15, linewidth=0)
    axes.plot(shares, value, "-o", color=BLUE, linewidth=1.6, markersize=4.5)
    axes.axhline(value[-1], color=GRAY, linewidth=1, linestyle="--")
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_ylim(bottom=0)
    axes.set_xlim(0, 103)
    axes.set_xlabel("clips kept, best quality first (%)")
    axes.set_ylabel("mean absolute error of the kept (g/dL)")
    gain = words.signed_with_interval(curve["gain"])
    names = {"snr_db": "the signal-to-noise ratio of the pulse"}
    score = names.get(metrics["quality"]["score"], metrics["quality"]["score"])
    return Drawing(
        "risk-coverage",
        figure,
        f"Mean absolute error by share kept; error of all minus area under the curve {gain} g/dL.",
        f"Main result: error of those that are kept when clips are rejected by {score}, with 95 %"
        f" intervals. Dashed: all kept. Mean gain over all shares {gain} g/dL; 0 where quality"
        " knows nothing of the error. No threshold is chosen here.",
    )
