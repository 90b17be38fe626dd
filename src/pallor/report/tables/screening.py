"""Screening for anemia: the decision at the threshold, and what the curves are drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pallor.report import words
from pallor.report.table import Column, Row, Table

ESTIMATORS: Final = {"model": "main result", "sex_age": "sex and age"}
_SHARES: Final = (
    ("sensitivity", "Sensitivity (%)", ("true_positives", "false_negatives")),
    ("specificity", "Specificity (%)", ("true_negatives", "false_positives")),
    ("ppv", "Positive predictive value (%)", ("true_positives", "false_positives")),
    ("npv", "Negative predictive value (%)", ("true_negatives", "false_negatives")),
)
_COUNTS: Final = ("true_positives", "false_positives", "true_negatives", "false_negatives")


def _whole(value: float) -> str:
    """Format a count that was averaged over repeats, hence not always whole."""
    return words.number(value, 0 if float(value).is_integer() else 1)


def _of(point: Mapping[str, Any], parts: tuple[str, str]) -> str:
    return f"{_whole(point[parts[0]])} of {_whole(point[parts[0]] + point[parts[1]])}"


def _name(stratum: Mapping[str, Any]) -> str:
    return "everyone" if stratum["by"] == "all" else f"{stratum['by']}: {stratum['label']}"


def screening(metrics: Mapping[str, Any]) -> Table | None:
    """Sensitivity, specificity and predictive values with counts, beside sex and age."""
    found = metrics["screening"]
    if found is None:
        return None
    sets = {key: found[key] for key in ESTIMATORS if found[key] is not None}
    strata = [[part["overall"], *part["strata"]] for part in sets.values()]
    rows = []
    for of_stratum in zip(*strata, strict=True):
        for estimator, one in zip(sets, of_stratum, strict=True):
            point = one["at_cutoff"]
            cells = {
                "stratum": _name(one),
                "estimator": ESTIMATORS[estimator],
                **{key: one[key] for key in ("participants", "anemic", "not_anemic", "units")},
                "prevalence": one["prevalence"],
                "auc": one["auc"],
                "people": f"{one['anemic']} / {one['not_anemic']}",
            }
            for key, _, parts in _SHARES:
                cells[key] = point[key]
                cells[f"{key}_counts"] = _of(point, parts)
            cells |= {key: point[key] for key in _COUNTS}
            note = " ".join(one["notes"])
            rows.append(Row(cells, main=estimator == "model" and one["by"] == "all", note=note))
    return Table(
        "screening",
        "Screening for anemia by the WHO's limits of 2024: whoever is estimated below their limit"
        " is called anemic. Shares with 95 % intervals over participants and the counts behind"
        " them, units averaged over repeats. AUC: how often, of an anemic and another person of"
        " one fold, the anemic one has the lower estimate for their limit; 0.5 is chance.",
        (
            Column("stratum", "Who"),
            Column("estimator", "Estimate from"),
            Column("people", "Anemic / not", in_file=False),
            *(Column(key, "", "number", on_page=False)
              for key in ("participants", "anemic", "not_anemic", "units")),
            Column("prevalence", "", "interval", on_page=False),
            Column("auc", "AUC", "interval"),
            *(column for key, label, _ in _SHARES for column in (
                Column(key, label, "interval", 0, 100.0, below=f"{key}_counts"),
                Column(f"{key}_counts", "", on_page=False))),
            *(Column(key, "", "number", on_page=False) for key in _COUNTS),
        ),
        tuple(rows),
    )  # fmt: skip


def auc_gain(metrics: Mapping[str, Any]) -> Table | None:
    """AUC overall and within sex, and what the main result adds to sex and age."""
    found = metrics["screening"]
    if found is None or found["model"]["overall"]["auc"]["value"] is None:
        return None
    parts = {"overall": "among all", "within_sex": "within each sex"}

    def area(part: Mapping[str, Any] | None, key: str) -> Any:
        if part is None:
            return None
        return part["overall"]["auc"] if key == "overall" else part["auc_within_sex"]

    rows = [
        Row(
            {
                "pairs": label,
                "auc": area(found["model"], key),
                "auc_sex_age": area(found["sex_age"], key),
                "difference": None if found["auc_gain"] is None else found["auc_gain"][key],
            }
        )
        for key, label in parts.items()
    ]
    return Table(
        "auc",
        "Area under the ROC curve with 95 % intervals; the difference is paired. Among all, sex"
        " alone helps, since limits and frequency of anemia differ by sex; within each sex it"
        " does not.",
        (
            Column("pairs", "Pairs of people"),
            Column("auc", "Main result", "interval"),
            Column("auc_sex_age", "Sex and age", "interval"),
            Column("difference", "Difference", "interval", signed=True),
        ),
        tuple(rows),
    )


def roc(metrics: Mapping[str, Any]) -> Table | None:
    """Points of the ROC curves; for the file."""
    found = metrics["screening"]
    curves = {
        key: found[key]["roc"] for key in ESTIMATORS if found is not None and found[key] is not None
    }
    curves = {key: curve for key, curve in curves.items() if curve is not None}
    rows = [
        Row({"estimator": ESTIMATORS[key], "false_positive_rate": x, "true_positive_rate": y})
        for key, curve in curves.items()
        for x, y in zip(curve["false_positive_rate"], curve["true_positive_rate"], strict=True)
    ]
    if not rows:
        return None
    return Table(
        "roc",
        "Points of the ROC curves.",
        (
            Column("estimator", "Estimate from"),
            Column("false_positive_rate", "False positive rate", "number"),
            Column("true_positive_rate", "True positive rate", "number"),
        ),
        tuple(rows),
    )


def decision_curve(metrics: Mapping[str, Any]) -> Table | None:
    """Points of the decision curves; for the file."""
    found = metrics["screening"]
    if found is None:
        return None
    rows = []
    for key in ESTIMATORS:
        curve = None if found[key] is None else found[key]["decision_curve"]
        if curve is None:
            continue
        names = ("net_benefit", "net_benefit_low", "net_benefit_high")
        points = zip(curve["probability"], *(curve[name] for name in names), strict=True)
        for number, (at, value, low, high) in enumerate(points):
            rows.append(
                Row(
                    {
                        "estimator": ESTIMATORS[key],
                        "threshold_probability": at,
                        "net_benefit": {"value": value, "low": low, "high": high},
                        "treat_all": curve["treat_all"][number],
                    }
                )
            )
    if not rows:
        return None
    return Table(
        "decision_curve",
        "Points of the decision curves.",
        (
            Column("estimator", "Estimate from"),
            Column("threshold_probability", "Threshold probability", "number"),
            Column("net_benefit", "Net benefit", "interval", 3),
            Column("treat_all", "Net benefit of acting on everyone", "number", 3),
        ),
        tuple(rows),
    )
