"""What the luck of the seed does, with published figures marked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pallor.report import words
from pallor.report.figures.canvas import BLUE, GRAY, VERMILION, Drawing, new

if TYPE_CHECKING:
    import pandas as pd

_TITLES: Final = {"mae": "mean absolute error (g/dL)", "r": "Pearson r", "r2": "R²"}


def _histogram(metrics: Mapping[str, Any], score: str) -> Drawing | None:
    entries = metrics["reproduction"] or ()
    # The main model's own; the table holds the others.
    entry = next((one for one in entries if one["model"] == metrics["headline"]), None)
    if entry is None:
        return None
    values = np.array([value for value in entry["by_seed"][score] if value is not None])
    if not values.size:
        return None
    from matplotlib.ticker import MaxNLocator

    figure, axes = new(4.2, 3.0)
    bins = int(np.clip(round(np.sqrt(values.size)), 5, 20))
    axes.hist(values, bins=bins, color=BLUE, alpha=0.65, edgecolor="white", linewidth=0.6)
    axes.axvline(float(np.median(values)), color=GRAY, linewidth=1.4, linestyle="--")
    published = next((one for one in entry["figures"] if one["score"] == score), None)
    told = f"median of the seeds {words.number(float(np.median(values)))}"
    if published is not None:
        axes.axvline(published["published"], color=VERMILION, linewidth=2)
        told += f", published {words.number(published['published'], 4)}"
    axes.set_xlabel(_TITLES[score])
    axes.set_ylabel("seeds")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    return Drawing(
        f"seeds-{score}",
        figure,
        f"{_TITLES[score]} of {values.size} seeds: {told}.",
        f"{_TITLES[score][0].upper()}{_TITLES[score][1:]} of the main model in {values.size} random"
        f" hold-out splits: {told}. Dashed: median. Solid: published ({entry['study']}).",
    )


def mae(metrics: Mapping[str, Any], _: pd.DataFrame) -> Drawing | None:
    """Draw the mean absolute errors of the seeds."""
    return _histogram(metrics, "mae")


def r(metrics: Mapping[str, Any], _: pd.DataFrame) -> Drawing | None:
    """Draw the correlations of the seeds."""
    return _histogram(metrics, "r")


def r2(metrics: Mapping[str, Any], _: pd.DataFrame) -> Drawing | None:
    """Draw R2 of the seeds."""
    return _histogram(metrics, "r2")
