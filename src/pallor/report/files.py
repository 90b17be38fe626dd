"""Figures and tables of a report as files: SVG and PNG for a paper, CSV for a spreadsheet."""

from __future__ import annotations

from pathlib import Path

from pallor.evaluation.result import Evaluation, load_evaluation
from pallor.report.figures.canvas import png_file, svg_file
from pallor.report.figures.registry import FIGURES, all_figures
from pallor.report.html import complete
from pallor.report.table import to_csv
from pallor.report.tables.registry import TABLES, all_tables


def write_run(evaluation: Evaluation, folder: str | Path) -> Path:
    """Write everything of an evaluation: numbers, estimates, report, figures and tables.

    Parameters
    ----------
    evaluation
        The result of ``evaluate``.
    folder
        Made where it does not exist.

    Returns
    -------
    The report's path.

    Raises
    ------
    OSError
        If a file cannot be written.
    """
    from pallor.report.html import write_report

    target = evaluation.save(folder)
    write_figures(evaluation, target / "figures")
    write_tables(evaluation, target / "tables")
    return write_report(evaluation, target / "report.html")


def write_figures(evaluation: Evaluation | str | Path, folder: str | Path) -> list[Path]:
    """Write every figure as SVG and as PNG of print resolution on white.

    Parameters
    ----------
    evaluation
        The result of ``evaluate``, or the folder that it was saved to.
    folder
        Where the files go; made where it does not exist. Figures of an earlier evaluation go,
        lest they be taken for those of this one; other files there are left alone.

    Returns
    -------
    The files. Equal evaluations give equal bytes. Those of simulated clips say so.

    Raises
    ------
    FeatureTableError
        If the folder holds no complete evaluation.
    OSError
        If a file cannot be written.
    """
    from pallor.cohort.atomic import write_bytes, write_text

    found, target = _opened(evaluation), Path(folder)
    with complete():
        drawings = all_figures(found.metrics, found.predictions)
    target.mkdir(parents=True, exist_ok=True)
    _remove(target, set(FIGURES) - set(drawings), (".svg", ".png"))
    written = []
    for name, drawing in drawings.items():
        svg, png = target / f"{name}.svg", target / f"{name}.png"
        write_text(svg, svg_file(drawing))
        write_bytes(png, png_file(drawing))
        written += [svg, png]
    return written


def write_tables(evaluation: Evaluation | str | Path, folder: str | Path) -> list[Path]:
    """Write every table as CSV, numbers unrounded.

    Parameters
    ----------
    evaluation, folder
        As in `write_figures`.

    Returns
    -------
    The files. Those of simulated clips have a column ``simulated``.

    Raises
    ------
    FeatureTableError
        If the folder holds no complete evaluation.
    OSError
        If a file cannot be written.
    """
    from pallor.cohort.atomic import write_text

    found, target = _opened(evaluation), Path(folder)
    with complete():
        tables = all_tables(found.metrics, found.predictions)
        texts = {
            name: to_csv(table, simulated=found.metrics["simulated"])
            for name, table in tables.items()
        }
    target.mkdir(parents=True, exist_ok=True)
    _remove(target, set(TABLES) - set(texts), (".csv",))
    written = []
    for name, text in texts.items():
        path = target / f"{name}.csv"
        write_text(path, text)
        written.append(path)
    return written


def _remove(folder: Path, names: set[str], endings: tuple[str, ...]) -> None:
    for name in sorted(names):
        for ending in endings:
            (folder / f"{name}{ending}").unlink(missing_ok=True)


def _opened(evaluation: Evaluation | str | Path) -> Evaluation:
    return evaluation if isinstance(evaluation, Evaluation) else load_evaluation(evaluation)
