"""What the main model looks at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pallor.report import words
from pallor.report.figures.canvas import BLUE, GRAY, VERMILION, Drawing, new, y_labels

if TYPE_CHECKING:
    import pandas as pd


def _spread(
    axes: Any, row: int, value: float, ends: list[float | None], mark: tuple[str, str]
) -> None:
    marker, color = mark
    if None not in ends:
        axes.plot(ends, [row, row], color=color, linewidth=1.6)
    axes.plot([value], [row], marker, color=color, markersize=5.5)


def importance(metrics: Mapping[str, Any], _: pd.DataFrame) -> Drawing | None:
    """Draw the permutation importance of modalities and places."""
    found = metrics["explanation"]
    entries = [
        one for one in (found or {}).get("permutation", ()) if one["increase_mae_g_dl"] is not None
    ]
    if not found or not entries:
        return None
    figure, axes = new(4.8, 0.9 + 0.29 * len(entries))
    axes.axvline(0, color=GRAY, linewidth=1)
    marks = {"modality": ("D", VERMILION), "place": ("o", BLUE)}
    for row, one in enumerate(entries):
        mark = marks.get(one["kind"], marks["place"])
        _spread(axes, row, one["increase_mae_g_dl"], one["spread_mae_g_dl"], mark)
    y_labels(axes, [f"{one['kind']}: {one['group'].replace('_', ' ')}" for one in entries])
    axes.set_ylim(len(entries) - 0.4, -0.6)
    axes.set_xlabel("rise of the mean absolute error (g/dL)")
    told = "; ".join(
        f"{one['group']} {words.number(one['increase_mae_g_dl'], 3)}" for one in entries
    )
    return Drawing(
        "importance",
        figure,
        f"Permutation importance: {told}.",
        "Main model: rise of the error of held-out units where features are swapped between"
        " participants; mean over the folds, bars from the 10 % to the 90 % quantile of the folds"
        " (no confidence intervals). Diamonds: modalities. Circles: places.",
    )


def contributions(metrics: Mapping[str, Any], _: pd.DataFrame) -> Drawing | None:
    """Draw the features that move the estimates of the boosted trees most."""
    found = metrics["explanation"]
    entries = [
        one for one in (found or {}).get("contributions", ()) if one["mean_abs_g_dl"] is not None
    ]
    if not entries:
        return None
    figure, axes = new(5.6, 0.9 + 0.26 * len(entries))
    for row, one in enumerate(entries):
        _spread(axes, row, one["mean_abs_g_dl"], one["spread_g_dl"], ("o", BLUE))
    labels = [f"{one['feature']} {_direction(one['sign_correlation'])}" for one in entries]
    y_labels(axes, labels, line=50)
    axes.set_ylim(len(entries) - 0.4, -0.6)
    axes.set_xlim(left=0)
    axes.set_xlabel("mean size of the contribution (g/dL)")
    told = "; ".join(f"{one['feature']} {words.number(one['mean_abs_g_dl'], 3)}" for one in entries)
    return Drawing(
        "contributions",
        figure,
        f"Contributions to the boosted trees' estimates: {told}.",
        "Features that move the estimates of the boosted trees most, held-out units; bars as in the"
        " figure of importance. (+): the estimate rises with the feature; (−): it falls.",
    )


def _direction(sign: float | None) -> str:
    if sign is None or abs(sign) < 0.2:
        return "(±)"
    return "(+)" if sign > 0 else "(−)"
