"""What the numbers mean, in sentences that anyone can read."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

NOTICE: Final = (
    "Research use only. Not a medical device; not for diagnosis, treatment or transfusion"
    " decisions. Confirm by venous blood count."
)
_PROTOCOLS: Final = {
    "nested": "{repeats} × {folds}-fold cross-validation",
    "quick": "{repeats} × {folds}-fold cross-validation with small models, for a first look",
    "holdout": "a fifth of the participants held out with each of {repeats} seeds",
    "group": "each {group} held out in turn ({folds} in all)",
    "fold": "the {folds} folds that the table gives",
}
_MINUS: Final = re.compile(r"(?<![\w.)])-(?=\d)")
"""A minus sign before a number, not the dash of 18-39."""


def number(value: float | None, digits: int = 2) -> str:
    """Format a number with a true minus sign; a dash where it is undefined."""
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{value:.{digits}f}"
    # A rounded zero has no sign.
    text = text.lstrip("-") if float(text) == 0 else text
    return text.replace("-", "−")


def interval(score: Mapping[str, float | None] | None, digits: int = 2) -> str:
    """Format the ends of an interval, ``0.70 to 0.82``; empty where they are undefined."""
    if score is None or score["low"] is None or score["high"] is None:
        return ""
    return f"{number(score['low'], digits)} to {number(score['high'], digits)}"


def with_interval(score: Mapping[str, float | None], digits: int = 2) -> str:
    """Format ``0.76 (0.70 to 0.82)``."""
    ends = interval(score, digits)
    return f"{number(score['value'], digits)} ({ends})" if ends else number(score["value"], digits)


def signed(value: float | None, digits: int = 2) -> str:
    """Format a difference, ``+0.02`` or ``−0.02``; what rounds to zero has no sign."""
    text = number(value, digits)
    # A dash and a zero stay as they are.
    return f"+{text}" if value is not None and value > 0 and float(text) > 0 else text


def signed_with_interval(score: Mapping[str, float | None], digits: int = 2) -> str:
    """Format a difference with its interval, ``+0.02 [−0.01, 0.05]``."""
    value = signed(score["value"], digits)
    if score["low"] is None or score["high"] is None:
        return value
    return f"{value} [{number(score['low'], digits)}, {number(score['high'], digits)}]"


def share(score: Mapping[str, float | None], digits: int = 0) -> str:
    """Format a share as percent with its interval, ``83 % (64 to 100 %)``."""
    percent = {
        end: None if (value := score[end]) is None else 100.0 * value
        for end in ("value", "low", "high")
    }
    ends = interval(percent, digits)
    text = f"{number(percent['value'], digits)} %"
    return f"{text} ({ends} %)" if ends else text


def p_value(p: float) -> str:
    """Format ``p = 0.021``; below 0.001 one digit that counts."""
    return f"p = {p:.3f}" if p >= 0.0005 else f"p = {p:.1g}"


def listed(parts: Sequence[str], last: str = "and") -> str:
    """Join ``a``, ``a and b``, ``a, b and c``."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {last} {parts[-1]}"


def plain(text: str) -> str:
    """Show text of the evaluation as on a page: true minus signs, no underscores."""
    text = _MINUS.sub("−", text)
    return text.replace("_", " ").replace(">=", "≥")


def plural(count: int, noun: str) -> str:
    """Format ``1 clip``, ``2 clips``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def protocol(metrics: Mapping[str, Any]) -> str:
    """Describe the outer split."""
    pattern = _PROTOCOLS.get(metrics["protocol"], "{folds} folds")
    return pattern.format(**metrics["splits"])


def find(entries: list[dict[str, Any]], name: str | None) -> dict[str, Any] | None:
    """Return the entry of that name, or None."""
    return next((entry for entry in entries if entry["name"] == name), None)


def modalities(entry: Mapping[str, Any]) -> str:
    """List the modalities of a model, ``color + pulse``."""
    return " + ".join(entry["modalities"]).replace("demographics", "sex and age")


def verdict(gain: Mapping[str, float | None]) -> str:
    """Say whether the interval of the incremental R2 excludes 0, and what follows."""
    low, high = gain["low"], gain["high"]
    if low is None or high is None:
        return "There is no interval, so nothing follows from it."
    if low > 0:
        return (
            "The interval excludes 0: in this cohort the clips add to what sex and age tell about"
            " hemoglobin."
        )
    if high < 0:
        return (
            "The interval excludes 0 on the wrong side: with the clips the estimate is worse than"
            " with sex and age alone."
        )
    return (
        "The interval includes 0: these data do not show that the clips tell anything beyond"
        " sex and age."
    )


def told_apart(comparison: Mapping[str, Any]) -> str:
    """Say of a fused model whether its R2 is better than that of the other, by the interval."""
    low, high = comparison["r2"]["low"], comparison["r2"]["high"]
    if low is None or high is None:
        return "no interval, so nothing follows from it"
    if low > 0:
        return "better"
    return "worse" if high < 0 else "no difference can be told"


def sides(comparison: Mapping[str, Any]) -> tuple[str, str]:
    """Name what a comparison compares without the regressor, ``("color+pulse", "color")``."""
    ending = f":{comparison['regressor']}"
    model, against = comparison["model"], comparison["against"]
    return model.removesuffix(ending), against.removesuffix(ending)


def compared(comparison: Mapping[str, Any]) -> str:
    """Say in one line what fusing changes."""
    model, against = sides(comparison)
    return (
        f"{model} against {against} ({comparison['regressor']}):"
        f" MAE {signed_with_interval(comparison['mae'])} g/dL,"
        f" R² {signed_with_interval(comparison['r2'])}: {told_apart(comparison)}"
    )


def probed(probe: Mapping[str, Any]) -> str:
    """Say in one line how well sex can be told from a modality."""
    auc = probe["auc"]
    if auc is None or auc["value"] is None:
        return f"how well sex can be told from {probe['modality']} is unknown"
    ends = ""
    if auc["low"] is not None and auc["high"] is not None:
        ends = f" [{number(auc['low'])}, {number(auc['high'])}]"
    return (
        f"sex can be told from {probe['modality']} with an AUC of {number(auc['value'])}{ends}"
        " (0.5 is chance)"
    )
