"""The report: one HTML file that needs nothing else, no network and no script."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pallor.errors import FeatureTableError
from pallor.evaluation.result import Evaluation, load_evaluation
from pallor.report import figures, words

if TYPE_CHECKING:
    import pandas as pd

TEMPLATE: Final = "report.html.j2"
MOST_CONFLICTS: Final = 50
"""Conflicting copies listed in the report; ``metrics.json`` lists all."""


def write_report(evaluation: Evaluation | str | Path, path: str | Path) -> Path:
    """Write the report of an evaluation.

    Parameters
    ----------
    evaluation
        The result of ``evaluate``, or the folder that it was saved to.
    path
        Where the HTML file goes.

    Returns
    -------
    The path. Equal evaluations give equal bytes.

    Raises
    ------
    FeatureTableError
        If the folder holds no complete evaluation.
    OSError
        If the file cannot be written.
    """
    from pallor.cohort.atomic import write_text

    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(evaluation, Evaluation):
        evaluation = load_evaluation(evaluation)
    write_text(target, render(evaluation))
    return target


def render(evaluation: Evaluation) -> str:
    """Return the report as HTML text.

    Raises
    ------
    FeatureTableError
        If the metrics lack what the report shows.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        # Always on: the default goes by the file's ending, and this one ends in .j2.
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for helper in (
        words.number,
        words.interval,
        words.with_interval,
        words.plural,
        words.signed_with_interval,
        words.told_apart,
    ):
        environment.filters[helper.__name__] = helper
    try:
        return environment.get_template(TEMPLATE).render(**_context(evaluation))
    except (KeyError, TypeError, ValueError, jinja2.UndefinedError) as error:
        raise FeatureTableError(
            f"the evaluation lacks what the report shows ({error}): run the evaluation again"
        ) from error


def _context(evaluation: Evaluation) -> dict[str, Any]:
    metrics = evaluation.metrics
    conflicts = metrics["duplicates"]["conflicting"]
    return {
        "m": metrics,
        "notice": words.NOTICE,
        "summary": words.summary(metrics),
        "methods": words.methods(metrics),
        "protocol": words.protocol(metrics),
        "headline": words.find(metrics["models"], metrics["headline"]),
        "grid": _grid(metrics),
        "side_by_side": _side_by_side(metrics),
        "comparisons": _comparisons(metrics),
        "conflicts": [_pair_up(conflict) for conflict in conflicts[:MOST_CONFLICTS]],
        "conflicts_left": max(0, len(conflicts) - MOST_CONFLICTS),
        "figures": _figures(metrics, evaluation.predictions),
    }


def _pair_up(conflict: dict[str, Any]) -> dict[str, Any]:
    rows = zip(conflict["participants"], conflict["hemoglobin_g_dl"], strict=True)
    return {"rows": list(rows), "differs_in": ", ".join(conflict["conflicts"])}


def _grid(metrics: dict[str, Any]) -> dict[str, Any]:
    """Arrange models as rows of modalities and columns of regressors."""
    regressors = list(dict.fromkeys(entry["regressor"] for entry in metrics["models"]))
    rows: dict[str, dict[str, Any]] = {}
    for entry in metrics["models"]:
        rows.setdefault(words.modalities(entry), {})[entry["regressor"]] = entry
    return {"regressors": regressors, "rows": rows}


def _label(entry: dict[str, Any]) -> str:
    labels = {"mean": "mean", "sex": "sex", "sex_age": "sex and age"}
    if "modalities" not in entry:
        return labels.get(entry["name"], str(entry["name"]))
    return f"{words.modalities(entry)}, {entry['regressor'].replace('_', ' ')}"


def _side_by_side(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """Pair every score with the one without copies."""
    other = metrics["without_duplicates"]
    if other is None:
        return []
    return [
        {
            "label": _label(entry),
            "with": entry,
            "without": words.find(other[kind], entry["name"]),
            "headline": entry["name"] == metrics["headline"],
        }
        for kind in ("baselines", "models")
        for entry in metrics[kind]
    ]


def _comparisons(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """Pair every comparison with the one without copies."""
    rest = (metrics["without_duplicates"] or {}).get("comparisons", [])
    without = {(other["model"], other["against"]): other for other in rest}
    return [
        {
            "label": " against ".join(
                words.modalities({"modalities": side.split("+")}) for side in words.sides(entry)
            ),
            "regressor": entry["regressor"].replace("_", " "),
            "with": entry,
            "without": without.get((entry["model"], entry["against"])),
            "headline": entry["model"] == metrics["headline"],
        }
        for entry in metrics["comparisons"]
    ]


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _bars(metrics: dict[str, Any], score: str) -> list[figures.Bar]:
    bars = []
    for kind in ("baselines", "models"):
        for entry in metrics[kind]:
            role = "headline" if entry["name"] == metrics["headline"] else kind.removesuffix("s")
            value, low, high = (_number(entry[score][key]) for key in ("value", "low", "high"))
            bars.append(figures.Bar(_label(entry), value, low, high, role))
    return bars


def _figures(metrics: dict[str, Any], predictions: pd.DataFrame) -> dict[str, Any]:
    from markupsafe import Markup

    drawn = {
        "mae": figures.comparison(_bars(metrics, "mae"), "mean absolute error (g/dL)", "mae"),
        "r2": figures.comparison(_bars(metrics, "r2"), "R²", "r2"),
    }
    name = metrics["headline"]
    headline = words.find(metrics["models"], name)
    if headline is not None:
        # One repeat: a point is one unit, not one unit several times.
        first = predictions[predictions["repeat"] == 0]
        measured = first["hemoglobin_g_dl"].to_numpy(dtype=float)
        predicted = first[name].to_numpy(dtype=float)
        limits = metrics["agreement"]
        drawn["scatter"] = figures.scatter(measured, predicted)
        drawn["bland_altman"] = figures.bland_altman(
            measured,
            predicted,
            _number(headline["bias"]["value"]),
            (_number(limits["limit_low_g_dl"]), _number(limits["limit_high_g_dl"])),
        )
    # Safe: made by figures.to_svg, in which every text is escaped.
    return {key: Markup(value) for key, value in drawn.items()}  # noqa: S704
