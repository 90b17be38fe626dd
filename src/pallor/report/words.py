"""What the numbers mean, in sentences that anyone can read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

NOTICE: Final = (
    "Research use only. Not a medical device; not for diagnosis, treatment or transfusion"
    " decisions. Confirm by venous blood count."
)
_PROTOCOLS: Final = {
    "nested": "{repeats} × {folds}-fold cross-validation",
    "quick": "{repeats} × {folds}-fold cross-validation with small models, for a first look",
    "group": "each {group} held out in turn ({folds} in all)",
    "fold": "the {folds} folds that the table gives",
}


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


def summary(metrics: Mapping[str, Any]) -> list[str]:
    """Say what was done, on whom, how good it is, and what it adds to sex and age.

    Parameters
    ----------
    metrics
        As in ``metrics.json``.

    Returns
    -------
    One sentence or two each.
    """
    said = [_who(metrics), *_how_good(metrics), *_beside_baselines(metrics), *_gain(metrics)]
    if metrics["without_duplicates"] is not None:
        said.append(_copies(metrics))
    return said


def _who(metrics: Mapping[str, Any]) -> str:
    outcome = metrics["outcome"]
    return (
        f"{plural(metrics['clips'], 'clip')} of {plural(metrics['participants'], 'participant')}"
        f" were scored, whose measured hemoglobin was {number(outcome['mean'], 1)} ±"
        f" {number(outcome['sd'], 1)} g/dL ({number(outcome['minimum'], 1)} to"
        f" {number(outcome['maximum'], 1)}). Nobody was scored by a model that had seen them"
        f" in training: {protocol(metrics)}."
    )


def _how_good(metrics: Mapping[str, Any]) -> list[str]:
    headline = find(metrics["models"], metrics["headline"])
    if headline is None:
        return ["No model of all modalities by stacking was scored, so there is no main result."]
    return [
        f"The main result, fixed before any score was seen, is stacking on"
        f" {modalities(headline)}: on average the estimate is"
        f" {with_interval(headline['mae'])} g/dL away from the measurement, Pearson r"
        f" {with_interval(headline['r'])}, R² {with_interval(headline['r2'])}."
    ]


def _beside_baselines(metrics: Mapping[str, Any]) -> list[str]:
    entries = metrics["baselines"]
    known = find(entries, "sex_age") or find(entries, "sex")
    said = []
    if known is not None:
        what = "sex and age" if known["name"] == "sex_age" else "sex"
        said.append(
            f"Knowing only {what}, without looking at any clip, the estimate would be"
            f" {with_interval(known['mae'])} g/dL away, R² {with_interval(known['r2'])}."
        )
    mean = find(entries, "mean")
    if mean is not None:
        said.append(
            f"Telling everybody the average would be {with_interval(mean['mae'])} g/dL away."
        )
    return said


def _gain(metrics: Mapping[str, Any]) -> list[str]:
    gain = metrics["incremental_r2"]
    if gain is None:
        return ["Whether clips tell more than sex and age cannot be said from this table."]
    told = f"Added to sex and age, the clips change R² by {with_interval(gain)}."
    return [f"{told} {verdict(gain)}"]


def verdict(gain: Mapping[str, float | None]) -> str:
    """Say whether the interval of the incremental R2 excludes 0, and what follows."""
    low, high = gain["low"], gain["high"]
    if low is None or high is None:
        return "There is no interval, so nothing follows from it."
    if low > 0:
        return (
            "The interval excludes 0: in this cohort the clips tell more about hemoglobin than"
            " sex and age do."
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


def _copies(metrics: Mapping[str, Any]) -> str:
    duplicates, other = metrics["duplicates"], metrics["without_duplicates"]
    said = (
        f"{duplicates['rows']} clips share their content with another"
        f" ({plural(duplicates['groups'], 'group')},"
        f" {duplicates['across_participants']} across participants)."
    )
    best = find(other["models"], metrics["headline"])
    if best is None:
        return said
    return (
        f"{said} On the {plural(other['clips'], 'clip')} that remain without these copies the main"
        f" result is {with_interval(best['mae'])} g/dL, R² {with_interval(best['r2'])}; quote"
        " this one."
    )


def methods(metrics: Mapping[str, Any]) -> list[str]:
    """Describe the protocol as a paper's methods section would."""
    splits = metrics["splits"]
    unit = (
        "a single clip"
        if splits["unit"] == "clip"
        else "a participant in a session; predictions for the clips of one were averaged"
    )
    return [
        f"Outer split: {protocol(metrics)}, seed {metrics['seed']}. All clips of a participant,"
        " and all clips that share content with one of theirs, lie on one side of every split;"
        " this was asserted for each fit. Everything that learns (imputation, scaling, dimension"
        " reduction, tuning, the weights of stacking) did so inside the training part, with inner"
        " folds grouped in the same way.",
        f"Unit of analysis: {unit}.",
        "Scores are computed on the pooled out-of-fold predictions of each repeat and averaged"
        " over repeats; predictions are not averaged over repeats. R² is 1 − SSE/SST about the"
        " mean of the scored measurements, and can be negative. Pearson r is not given for"
        " predictions that are constant inside each fold.",
        f"Intervals are 95 % percentile intervals of {splits['bootstrap']} bootstrap resamples of"
        " participants, the same for all models; differences are paired. They carry the"
        " uncertainty of who was measured, not that of training again on other people.",
        "Baselines: the mean; the mean of each sex; least squares on sex, age and sex × age;"
        " learned on the training part of the same splits. Incremental R² is R² of stacking on"
        " sex, age and all modalities minus R² of the last baseline, on the same rows.",
        "Sex probe: for each modality a logistic regression of sex on its features, prepared by"
        " training medians, variance filter, standardization and principal components, with an L2"
        " penalty fixed beforehand and sexes of equal weight; on the training part of the same"
        f" splits{' (first repeat)' if splits['quick'] and splits['repeats'] > 1 else ''}."
        " The AUC is that of units of analysis, pooled over the folds of a repeat; pooling puts"
        " it slightly below 0.5 where there is nothing to tell. Its interval does not carry the"
        " chance that lies in the fits either: one that barely excludes 0.5 shows nothing.",
        "The model of the main result was fixed beforehand; other cells of the table are shown"
        " for comparison, and the best of them is not a result.",
    ]
