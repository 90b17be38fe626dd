"""Scores of models and baselines, and what fusing changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pallor.report import words
from pallor.report.table import Column, Row, Table


@dataclass(frozen=True)
class Score:
    """One score: its key in the metrics and in files, and how it is shown."""

    key: str
    in_file: str
    label: str
    digits: int = 2
    scale: float = 1.0


SCORES: Final = (
    Score("mae", "mae_g_dl", "Mean absolute error (g/dL)"),
    Score("rmse", "rmse_g_dl", "Root mean squared error (g/dL)"),
    Score("median_absolute_error", "median_absolute_error_g_dl", "Median absolute error (g/dL)"),
    Score("mape_percent", "mape_percent", "Mean absolute percentage error (%)", 1),
    Score("bias", "bias_g_dl", "Bias, estimated minus measured (g/dL)"),
    Score("r", "r", "Pearson r"),
    Score("rho", "rho", "Spearman ρ"),
    Score("ccc", "ccc", "Concordance correlation"),
    Score("r2", "r2", "R², pooled over the folds"),
    Score("r2_fold_mean", "r2_fold_mean", "R², mean of the folds' own"),
    Score("calibration_slope", "calibration_slope", "Calibration slope (1 is ideal)"),
    Score(
        "calibration_intercept_g_dl",
        "calibration_intercept_g_dl",
        "Calibration intercept (g/dL; 0 is ideal)",
    ),
    Score("prediction_slope", "prediction_slope", "Slope of estimated on measured"),
    Score("within_0_5_g_dl", "within_0_5_g_dl", "Within 0.5 g/dL (%)", 0, 100),
    Score("within_1_g_dl", "within_1_g_dl", "Within 1 g/dL (%)", 0, 100),
    Score("within_4_percent", "within_4_percent", "Within 4 % of the measurement (%)", 0, 100),
    Score("within_7_percent", "within_7_percent", "Within 7 % of the measurement (%)", 0, 100),
)
"""Every score, in the order of the tables."""

_BASELINES: Final = {
    "mean": "mean",
    "sex": "sex",
    "sex_age": "sex and age",
    "sex_age_bmi": "sex, age and body mass index",
}


def label(entry: Mapping[str, Any]) -> str:
    """Name a model or a baseline on the page."""
    if "modalities" not in entry:
        return _BASELINES.get(entry["name"], str(entry["name"]))
    return f"{words.modalities(entry)}, {entry['regressor'].replace('_', ' ')}"


def _interval(value: Any) -> dict[str, float | None]:
    """Give a plain number the shape of an interval without ends."""
    return value if isinstance(value, dict) else {"value": value, "low": None, "high": None}


def scores(metrics: Mapping[str, Any]) -> Table:
    """Every score of every model and baseline; for the file, the page shows a part."""
    without = metrics["without_duplicates"]
    sets = [("all clips", metrics)]
    sets += [] if without is None else [("without copies", without)]
    rows = [
        Row(
            {
                "clips": clips,
                "kind": kind.removesuffix("s"),
                "modalities": "+".join(entry.get("modalities", ())),
                "regressor": entry.get("regressor", entry["name"]),
                **{score.in_file: _interval(entry[score.key]) for score in SCORES},
            },
            main=entry["name"] == metrics["headline"],
        )
        for clips, part in sets
        for kind in ("baselines", "models")
        for entry in part[kind]
    ]
    return Table(
        "scores",
        "Scores of all models and baselines.",
        (
            *(Column(key, key) for key in ("clips", "kind", "modalities", "regressor")),
            *(Column(score.in_file, score.label, "interval", score.digits) for score in SCORES),
        ),
        tuple(rows),
    )


def main_scores(metrics: Mapping[str, Any]) -> Table | None:
    """Every score of the main model beside those of the baselines; None without one."""
    headline = words.find(metrics["models"], metrics["headline"])
    if headline is None:
        return None
    # A seed tests one part, so that there is no mean over folds beside the score itself.
    holdout = metrics["protocol"] == "holdout"
    shown = [score for score in SCORES if not (holdout and score.key == "r2_fold_mean")]
    # What knows most stands next to the model.
    entries = [headline, *reversed(metrics["baselines"])]
    rows = [
        Row(
            {
                "score": score.in_file,
                "label": "R²" if holdout and score.key == "r2" else score.label,
                **{entry["name"]: _interval(entry[score.key]) for entry in entries},
            },
            digits=score.digits,
            scale=score.scale,
        )
        for score in shown
    ]
    names = ["Main result", *(label(entry).capitalize() for entry in entries[1:])]
    return Table(
        "main_result",
        "The main result beside what is reached without looking at any clip, with 95 % intervals"
        " over participants. A dash: undefined for a prediction that does not vary.",
        (
            Column("score", "", on_page=False),
            Column("label", "Score", in_file=False),
            *(
                Column(entry["name"], name, "interval")
                for entry, name in zip(entries, names, strict=True)
            ),
        ),
        tuple(rows),
    )


def baselines(metrics: Mapping[str, Any]) -> Table:
    """Show what is reached without a clip, out of fold and in sample."""
    shown = ("mae", "r", "r2")
    labels = {"mae": ("MAE", "mae_g_dl"), "r": ("r", "r"), "r2": ("R²", "r2")}
    rows = [
        Row(
            {
                "name": entry["name"],
                "baseline": label(entry),
                "description": entry["description"],
                **{labels[key][1]: entry[key] for key in shown},
                **{f"{labels[key][1]}_in_sample": entry["in_sample"][key] for key in shown},
            },
        )
        for entry in metrics["baselines"]
    ]
    return Table(
        "baselines",
        "What is reached without looking at any clip; mean absolute error (MAE) in g/dL. Out of"
        " fold is what compares with models; in sample is fitted and scored on the same people.",
        (
            Column("name", "", on_page=False),
            Column("baseline", "Baseline", in_file=False),
            Column("description", "What it is"),
            *(Column(labels[key][1], f"{labels[key][0]}, out of fold", "interval")
              for key in shown),
            *(Column(f"{labels[key][1]}_in_sample", f"{labels[key][0]}, in sample", "number")
              for key in shown),
        ),
        tuple(rows),
    )  # fmt: skip


def comparisons(metrics: Mapping[str, Any]) -> Table | None:
    """All modalities together against each alone, with and without copies."""
    if not metrics["comparisons"]:
        return None
    rest = (metrics["without_duplicates"] or {}).get("comparisons", [])
    without = {(other["model"], other["against"]): other for other in rest}
    rows = []
    for entry in metrics["comparisons"]:
        fused, single = (
            words.modalities({"modalities": side.split("+")}) for side in words.sides(entry)
        )
        cells = {
            "model": entry["model"],
            "against": entry["against"],
            "label": f"{fused} against {single}",
            "regressor": entry["regressor"].replace("_", " "),
            "mae_g_dl": entry["mae"],
            "r2": entry["r2"],
            "verdict": words.told_apart(entry),
        }
        other = without.get((entry["model"], entry["against"]))
        if other is not None:
            cells |= {
                "mae_without_copies_g_dl": other["mae"],
                "r2_without_copies": other["r2"],
                "verdict_without_copies": words.told_apart(other),
            }
        rows.append(Row(cells, main=entry["model"] == metrics["headline"]))
    columns = [
        Column("model", "", on_page=False),
        Column("against", "", on_page=False),
        Column("label", "Compared", in_file=False),
        Column("regressor", "Regressor"),
        Column("mae_g_dl", "MAE (g/dL)", "interval", signed=True),
        Column("r2", "R²", "interval", signed=True),
        Column("verdict", "Verdict"),
    ]
    if without:
        columns += [
            Column(
                "mae_without_copies_g_dl", "MAE, without copies", "interval",
                signed=True, on_page=False,
            ),
            Column("r2_without_copies", "R², without copies", "interval", signed=True),
            Column("verdict_without_copies", "Verdict, without copies"),
        ]  # fmt: skip
    return Table(
        "fusing",
        "All modalities together minus each alone, paired over the same participants, with 95 %"
        " intervals. Fusing helps where MAE falls and R² rises; the verdict goes by the interval"
        " of R². Every modality is listed, not only the one that scored best.",
        tuple(columns),
        tuple(rows),
    )


def held_out(metrics: Mapping[str, Any]) -> Table | None:
    """Score the main result in each part that was held out."""
    headline = words.find(metrics["models"], metrics["headline"])
    if headline is None or not metrics["held_out"]:
        return None
    rows = [
        Row(
            {
                "held_out": part["held_out"],
                "label": f"fold {name}" if (name := part["held_out"]).isdigit() else name,
                "participants": part["participants"],
                "units": part["units"],
                "mae_g_dl": part["mae"],
                "bias_g_dl": part["bias"],
                "r": part["r"],
                "r2": part["r2"],
            }
        )
        for part in metrics["held_out"]
    ]
    mean = words.number(headline["r2_fold_mean"])
    return Table(
        "held_out",
        "Main result in each part that was held out, first repeat. Small parts scatter widely."
        f" Mean of the folds' own R²: {mean}.",
        (
            Column("held_out", "", on_page=False),
            Column("label", "Held out", in_file=False),
            Column("participants", "Participants", "number", 0),
            Column("units", "", "number", on_page=False),
            Column("mae_g_dl", "MAE (g/dL)", "number"),
            Column("bias_g_dl", "Bias (g/dL)", "number", signed=True),
            Column("r", "r", "number"),
            Column("r2", "R²", "number"),
        ),
        tuple(rows),
    )
