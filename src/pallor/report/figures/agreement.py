"""Estimated against measured: scatter, Bland-Altman plot, error by hemoglobin, calibration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pallor.report import words
from pallor.report.calibration import calibration_points
from pallor.report.figures.canvas import (
    BLUE,
    GRAY,
    GRID,
    VERMILION,
    Drawing,
    finite,
    legend,
    new,
)
from pallor.report.tables.agreement import bin_name

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

FloatArray = NDArray[np.float64]


def _first_repeat(
    metrics: Mapping[str, Any], predictions: pd.DataFrame
) -> tuple[FloatArray, FloatArray] | None:
    """Return measured and estimated of one repeat: a point is one unit, not one several times."""
    if metrics["headline"] is None:
        return None
    first = predictions[predictions["repeat"] == 0]
    measured = first["hemoglobin_g_dl"].to_numpy(dtype=np.float64)
    return measured, first[metrics["headline"]].to_numpy(dtype=np.float64)


def _dots(axes: Axes, x: FloatArray, y: FloatArray) -> None:
    # Many points need less ink each.
    crowd = len(x) > 300
    axes.scatter(
        x, y, s=9 if crowd else 16, color=BLUE, alpha=0.4 if crowd else 0.55, linewidths=0, zorder=2
    )


def _identity(axes: Axes, *values: FloatArray) -> None:
    both = np.concatenate(values)
    pad = 0.05 * (float(np.ptp(both)) or 1.0)
    low, high = float(both.min()) - pad, float(both.max()) + pad
    axes.plot([low, high], [low, high], color=GRAY, linewidth=1, linestyle="--", zorder=1)
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.set_aspect("equal")


def scatter(metrics: Mapping[str, Any], predictions: pd.DataFrame) -> Drawing | None:
    """Draw estimates against measurements with the line of identity."""
    pair = _first_repeat(metrics, predictions)
    if pair is None:
        return None
    measured, estimated = pair
    figure, axes = new(4.2, 4.0)
    _identity(axes, measured, estimated)
    _dots(axes, measured, estimated)
    axes.set_xlabel("measured hemoglobin (g/dL)")
    axes.set_ylabel("estimated hemoglobin (g/dL)")
    part = "first seed, the part that it tests" if _is_holdout(metrics) else "first repeat"
    return Drawing(
        "scatter",
        figure,
        f"Estimated against measured hemoglobin of {len(measured)} units.",
        f"Main result: estimated against measured hemoglobin, {part}. On the dashed line both"
        " agree.",
    )


def _is_holdout(metrics: Mapping[str, Any]) -> bool:
    return bool(metrics["protocol"] == "holdout")


def bland_altman(metrics: Mapping[str, Any], predictions: pd.DataFrame) -> Drawing | None:
    """Draw differences against means with bias, limits of agreement and their intervals."""
    pair, found = _first_repeat(metrics, predictions), metrics["agreement"]
    if pair is None or found is None:
        return None
    measured, estimated = pair
    figure, axes = new(4.2, 4.0)
    _dots(axes, (measured + estimated) / 2, estimated - measured)
    axes.axhline(0, color=GRAY, linewidth=0.7)
    lines = {
        "bias": (found["bias_g_dl"], "-"),
        "lower limit": (found["lower_limit_g_dl"], "--"),
        "upper limit": (found["upper_limit_g_dl"], "--"),
    }
    for label, (score, style) in lines.items():
        value, low, high = finite(score)
        if not np.isfinite(value):
            continue
        axes.axhline(value, color=VERMILION, linewidth=1.2, linestyle=style)
        if np.isfinite(low) and np.isfinite(high):
            axes.axhspan(low, high, color=VERMILION, alpha=0.13, linewidth=0, zorder=0)
        above = label != "lower limit"
        axes.annotate(
            f"{label} {words.signed(value)}",
            (1.0, value), xycoords=("axes fraction", "data"), xytext=(0, 3 if above else -3),
            textcoords="offset points", ha="right", va="bottom" if above else "top", fontsize=8,
            bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.6},
        )  # fmt: skip
    axes.margins(y=0.12)
    axes.set_xlabel("mean of estimated and measured (g/dL)")
    axes.set_ylabel("estimated minus measured (g/dL)")
    told = {name: words.with_interval(score) for name, (score, _) in lines.items()}
    limits = f"{told['lower limit']} and {told['upper limit']} g/dL"
    return Drawing(
        "bland-altman",
        figure,
        f"Differences of {len(measured)} units: bias {told['bias']} g/dL, 95 % limits of agreement"
        f" {limits}.",
        "Main result, Bland-Altman: differences of the first repeat; bias and limits of agreement"
        " of all repeats, shaded with their 95 % intervals. If differences are normal, 95 % of"
        f" them lie between the limits, {limits}.",
    )


def error_by_hemoglobin(metrics: Mapping[str, Any], _: pd.DataFrame) -> Drawing | None:
    """Draw bias and mean absolute error in bins of measured hemoglobin."""
    found = [one for one in metrics["error_by_hemoglobin"] or () if one["units"]]
    if not found:
        return None
    figure, axes = new(4.6, 3.6)
    axes.axhline(0, color=GRAY, linewidth=0.7)
    for key, label, color, marker, shift in (
        ("mae", "mean absolute error", BLUE, "o", -0.12),
        ("bias", "bias", VERMILION, "D", 0.12),
    ):
        for place, one in enumerate(found):
            value, low, high = finite(one[key])
            x = place + shift
            axes.plot([x, x], [low, high], color=color, linewidth=1.4)
            face = "white" if one["few"] else color
            axes.plot([x], [value], marker, color=color, markersize=5.5, markerfacecolor=face)
        axes.plot([], [], marker, color=color, markersize=5.5, label=label)
    names = [bin_name(one["low_g_dl"], one["high_g_dl"]).replace(" to ", "–") for one in found]
    people = [f"{name}\nn = {one['participants']}" for name, one in zip(names, found, strict=True)]
    axes.set_xticks(range(len(found)), people, fontsize=7)
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel("measured hemoglobin (g/dL)")
    axes.set_ylabel("error (g/dL)")
    legend(axes, loc="best")
    told = "; ".join(
        f"{bin_name(one['low_g_dl'], one['high_g_dl'])}: bias {words.number(one['bias']['value'])}"
        for one in found
    )
    return Drawing(
        "error-by-hemoglobin",
        figure,
        f"Error by measured hemoglobin. {told}.",
        "Main result: error by measured hemoglobin with 95 % intervals; n participants. Hollow:"
        " fewer than 20, no conclusion. A bias above 0 on the left means that anemia is"
        " underestimated.",
    )


def calibration(metrics: Mapping[str, Any], predictions: pd.DataFrame) -> Drawing | None:
    """Draw measured against estimated hemoglobin in groups of equal size."""
    points = calibration_points(metrics, predictions)
    headline = words.find(metrics["models"], metrics["headline"])
    if not points or headline is None:
        return None
    figure, axes = new(4.2, 4.0)
    estimated = np.array([point.estimated_g_dl for point in points])
    measured = np.array([point.measured_g_dl.value for point in points])
    ends = np.array([[point.measured_g_dl.low, point.measured_g_dl.high] for point in points])
    _identity(axes, estimated, measured, ends[np.isfinite(ends)])
    slope, intercept = (
        headline[key]["value"] for key in ("calibration_slope", "calibration_intercept_g_dl")
    )
    if slope is not None and intercept is not None:
        line = np.array(axes.get_xlim())
        axes.plot(line, intercept + slope * line, color=VERMILION, linewidth=1.2)
    for point, x, y, (low, high) in zip(points, estimated, measured, ends, strict=True):
        axes.plot([x, x], [low, high], color=BLUE, linewidth=1.4)
        axes.plot(
            [x], [y], "o", color=BLUE, markersize=5.5,
            markerfacecolor="white" if point.few else BLUE,
        )  # fmt: skip
    axes.set_xlabel("mean estimated hemoglobin (g/dL)")
    axes.set_ylabel("mean measured hemoglobin (g/dL)")
    told = words.with_interval(headline["calibration_slope"])
    return Drawing(
        "calibration",
        figure,
        f"Measured against estimated hemoglobin in {len(points)} groups; slope {told}.",
        "Main result, calibration: mean measured by mean estimated hemoglobin in groups of equal"
        " size, first repeat, with 95 % intervals; hollow: fewer than 20 participants. Line: least"
        f" squares over all repeats, slope {told}. On the dashed line estimates mean what they"
        " say.",
    )
