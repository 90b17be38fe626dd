"""The report: one HTML file that needs nothing else, no network and no script."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from pallor.errors import FeatureTableError
from pallor.evaluation.result import Evaluation, load_evaluation
from pallor.report import absent, words
from pallor.report.figures.canvas import svg_element
from pallor.report.figures.registry import all_figures
from pallor.report.methods import methods, references
from pallor.report.summary import controls, fusing, summary
from pallor.report.table import cell_ends, cell_text
from pallor.report.tables.registry import all_tables

TEMPLATES: Final = Path(__file__).parent / "templates"
_PAGE: Final = "report.html.j2"


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
        loader=jinja2.FileSystemLoader(TEMPLATES),
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
        words.plain,
        cell_text,
        cell_ends,
    ):
        environment.filters[helper.__name__] = helper
    with complete():
        try:
            return environment.get_template(_PAGE).render(**_context(evaluation))
        except jinja2.UndefinedError as error:
            raise KeyError(str(error)) from error


@contextmanager
def complete() -> Iterator[None]:
    """Turn what an incomplete evaluation leads to into an error that says what to do.

    Raises
    ------
    FeatureTableError
        Where an entry is missing or of another kind than it should be.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        raise FeatureTableError(
            f"the evaluation lacks what the report shows ({error}): run the evaluation again"
        ) from error


def _context(evaluation: Evaluation) -> dict[str, Any]:
    metrics = evaluation.metrics
    return {
        "m": metrics,
        "notice": words.NOTICE,
        "summary": summary(metrics),
        "fusing": fusing(metrics),
        "controls": controls(metrics),
        "methods": methods(metrics),
        "references": references(metrics),
        "protocol": words.protocol(metrics),
        "headline": words.find(metrics["models"], metrics["headline"]),
        "sex_age": words.find(metrics["baselines"], "sex_age"),
        "without": _without(metrics),
        "grid": _grid(metrics),
        "tables": all_tables(metrics, evaluation.predictions),
        "figures": _figures(evaluation),
        "reason": {key: absent.reason(metrics, key) for key in _SECTIONS},
    }


_SECTIONS: Final = (
    "agreement", "error_by_hemoglobin", "screening", "coverage", "quality", "subgroups",
    "controls", "permutation_within_sex", "explanation", "incremental_r2",
)  # fmt: skip
"""Entries of the metrics that may be None, with a section or a part of one."""


def _without(metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    """Scores of the main result without copies, to stand beside those with."""
    other = metrics["without_duplicates"]
    headline = None if other is None else words.find(other["models"], metrics["headline"])
    if other is None or headline is None:
        return None
    known = words.find(other["baselines"], "sex_age")
    return {
        "mae": headline["mae"],
        "r2": headline["r2"],
        "sex_age": None if known is None else known["mae"],
        "gain": other["incremental_r2"],
    }


def _grid(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Arrange models as rows of modalities and columns of regressors."""
    regressors = list(dict.fromkeys(entry["regressor"] for entry in metrics["models"]))
    rows: dict[str, dict[str, Any]] = {}
    for entry in metrics["models"]:
        rows.setdefault(words.modalities(entry), {})[entry["regressor"]] = entry
    return {"regressors": regressors, "rows": rows}


def _figures(evaluation: Evaluation) -> dict[str, Any]:
    from markupsafe import Markup

    drawings = all_figures(evaluation.metrics, evaluation.predictions)
    return {
        # Safe: made by svg_element, in which every text is escaped.
        name: {"svg": Markup(svg_element(drawing)), "caption": drawing.caption}  # noqa: S704
        for name, drawing in drawings.items()
    }
