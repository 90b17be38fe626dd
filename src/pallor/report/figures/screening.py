"""Screening for anemia: ROC curve and decision curve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from pallor.report import words
from pallor.report.figures.canvas import BLUE, GRAY, VERMILION, Drawing, legend, new
from pallor.report.tables.screening import ESTIMATORS

if TYPE_CHECKING:
    import pandas as pd

_LINES: Final = {"model": (VERMILION, "-", 1.8), "sex_age": (BLUE, "--", 1.4)}


def _curves(metrics: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = metrics["screening"] or {}
    curves = {name: found.get(name) for name in ESTIMATORS}
    return {name: part[key] for name, part in curves.items() if part is not None and part[key]}


def roc(metrics: Mapping[str, Any], _: pd.DataFrame) -> Drawing | None:
    """Draw the ROC curves of the main result and of sex and age."""
    curves = _curves(metrics, "roc")
    if "model" not in curves:
        return None
    figure, axes = new(4.2, 4.0)
    axes.plot([0, 1], [0, 1], color=GRAY, linewidth=1, linestyle=":")
    told = []
    for name, curve in curves.items():
        color, style, width = _LINES[name]
        area = words.with_interval(metrics["screening"][name]["overall"]["auc"])
        told.append(f"{ESTIMATORS[name]}, AUC {area}")
        axes.plot(
            [0, *curve["false_positive_rate"]], [0, *curve["true_positive_rate"]],
            color=color, linestyle=style, linewidth=width, label=told[-1],
        )  # fmt: skip
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_aspect("equal")
    axes.set_xlabel("1 − specificity")
    axes.set_ylabel("sensitivity")
    legend(axes, loc="lower right")
    overall = metrics["screening"]["model"]["overall"]
    return Drawing(
        "roc",
        figure,
        f"ROC curves for anemia: {'; '.join(told)}.",
        f"Anemia by the WHO's limits, {overall['anemic']} of {overall['participants']}"
        " participants: ROC curves, averaged over folds and repeats. Dotted: chance.",
    )


def decision_curve(metrics: Mapping[str, Any], _: pd.DataFrame) -> Drawing | None:
    """Draw the net benefit of acting on the estimate, on everyone and on no one."""
    curves = _curves(metrics, "decision_curve")
    if "model" not in curves:
        return None
    figure, axes = new(4.6, 4.0)
    for name, curve in curves.items():
        color, style, width = _LINES[name]
        axes.plot(
            curve["probability"], curve["net_benefit"],
            color=color, linestyle=style, linewidth=width, label=ESTIMATORS[name],
        )  # fmt: skip
    model = curves["model"]
    ends = [model[f"net_benefit_{end}"] for end in ("low", "high")]
    if not any(value is None for end in ends for value in end):
        axes.fill_between(model["probability"], *ends, color=VERMILION, alpha=0.13, linewidth=0)
    axes.plot(
        model["probability"], model["treat_all"],
        color=GRAY, linestyle="-.", linewidth=1.2, label="test everyone",
    )  # fmt: skip
    axes.axhline(0, color=GRAY, linewidth=1.0, linestyle=":", label="test no one")
    high = max(*model["net_benefit"], *model["treat_all"], *(v for v in ends[1] if v is not None))
    axes.set_ylim(-0.25 * (high or 1.0), 1.3 * (high or 1.0))
    axes.set_xlabel("threshold probability of anemia")
    axes.set_ylabel("net benefit (true positives a person)")
    legend(axes, loc="upper right")
    return Drawing(
        "decision-curve",
        figure,
        "Net benefit of acting on the estimate by threshold probability of anemia.",
        "Decision curve: what acting on the estimate, such as taking blood, is worth to someone"
        " who acts from that probability of anemia on; shaded: 95 % interval. Useful where it lies"
        " above both acting on everyone and on no one, and above sex and age.",
    )
