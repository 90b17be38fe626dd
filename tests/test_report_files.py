from __future__ import annotations

import copy
import csv
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from pallor.errors import FeatureTableError
from pallor.evaluation.result import Evaluation
from pallor.report.calibration import calibration_points
from pallor.report.figures.registry import FIGURES
from pallor.report.files import write_figures, write_tables
from report_cases import (
    HOSTILE,
    evaluation_of,
    features,
    rich_features,
    with_intervals,
)

SVG = "{http://www.w3.org/2000/svg}svg"


@pytest.fixture(scope="module")
def rich():
    return with_intervals(evaluation_of(rich_features(), repeats=2, folds=3))


def parsed(path):
    return ET.fromstring(path.read_bytes())  # noqa: S314 (made by this test)


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_figures_are_vector_and_print_files_on_white(rich, tmp_path):
    written = write_figures(rich, tmp_path)
    names = set(FIGURES) - {"seeds_mae", "seeds_r", "seeds_r2"}
    assert {path.name for path in written} == {f"{n}.{e}" for n in names for e in ("svg", "png")}
    for name in names:
        root = parsed(tmp_path / f"{name}.svg")
        assert root.tag == SVG
        assert root.get("width")
        assert "SIMULATED" in (tmp_path / f"{name}.svg").read_text(encoding="utf-8")
        with Image.open(tmp_path / f"{name}.png") as image:
            assert image.size[0] > 800
            assert image.info["dpi"] == pytest.approx((200, 200), abs=1)
            assert image.convert("RGB").getpixel((2, 2)) == (255, 255, 255)


def test_figures_of_real_clips_bear_no_stamp(tmp_path):
    table = features().assign(simulated=False, reference_method="venous_cbc")
    evaluation = evaluation_of(table, repeats=1)
    for path in write_figures(evaluation, tmp_path / "figures"):
        if path.suffix == ".svg":
            assert "SIMULATED" not in path.read_text(encoding="utf-8")
    for path in write_tables(evaluation, tmp_path / "tables"):
        assert "simulated" not in rows_of(path)[0]


def test_equal_evaluations_give_equal_files(rich, tmp_path):
    folder = rich.save(tmp_path / "run")
    for write in (write_figures, write_tables):
        first, second = write(rich, tmp_path / "a"), write(folder, tmp_path / "b")
        assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_figures_of_an_earlier_run_do_not_stay(rich, tmp_path):
    write_figures(rich, tmp_path / "figures")
    write_tables(rich, tmp_path / "tables")
    (tmp_path / "figures" / "mine.svg").write_text("mine", encoding="utf-8")
    cohort = features().drop(columns=["color.lips.log_rg.mean", "pulse.chin.green.ac_dc"])
    small = evaluation_of(cohort)
    figures = write_figures(small, tmp_path / "figures")
    tables = write_tables(small, tmp_path / "tables")
    left = {path.name for path in (tmp_path / "figures").iterdir()}
    assert left == {path.name for path in figures} | {"mine.svg"}
    assert {path.name for path in (tmp_path / "tables").iterdir()} == {p.name for p in tables}


def test_tables_hold_the_numbers_unrounded(rich, tmp_path):
    write_tables(rich, tmp_path)
    scores = rows_of(tmp_path / "scores.csv")
    for entry in rich.metrics["models"]:
        (row,) = (
            one
            for one in scores
            if (one["clips"], one["modalities"], one["regressor"])
            == ("all clips", "+".join(entry["modalities"]), entry["regressor"])
        )
        for key, name in (("mae", "mae_g_dl"), ("within_1_g_dl", "within_1_g_dl"), ("rho", "rho")):
            for end, ending in (("value", ""), ("low", "_low"), ("high", "_high")):
                assert float(row[name + ending]) == entry[key][end]
    shares = rows_of(tmp_path / "screening.csv")
    point = rich.metrics["screening"]["model"]["overall"]["at_cutoff"]
    assert float(shares[0]["sensitivity"]) == point["sensitivity"]["value"]
    assert float(shares[0]["true_positives"]) == point["true_positives"]
    assert {row["simulated"] for row in shares} == {"SIMULATED"}


def test_every_table_of_the_report_is_a_file(rich, tmp_path):
    written = {path.stem for path in write_tables(rich, tmp_path)}
    assert written == {
        "scores", "main_result", "baselines", "fusing", "held_out", "agreement", "calibration",
        "error_by_hemoglobin", "screening", "auc", "roc", "decision_curve", "coverage",
        "quality_gate", "risk_coverage", "subgroups", "sex_probe", "controls",
        "permutation_within_sex", "importance", "contributions", "prior_work", "participants",
        "copies", "contradictory_copies", "tripod_ai",
    }  # fmt: skip
    for path in tmp_path.iterdir():
        with path.open(encoding="utf-8", newline="") as file:
            head, *rest = csv.reader(file)
        assert rest, path
        assert len(head) == len(set(head)), path
        assert {len(row) for row in rest} == {len(head)}, path


def test_undefined_numbers_are_empty_cells(rich, tmp_path):
    write_tables(rich, tmp_path)
    cells = {cell for path in tmp_path.iterdir() for row in rows_of(path) for cell in row.values()}
    assert "" in cells
    assert cells.isdisjoint({"nan", "NaN", "None", "inf", "null"})
    mean = next(row for row in rows_of(tmp_path / "baselines.csv") if row["name"] == "mean")
    assert mean["r"] == ""


def test_text_of_a_table_is_no_formula(tmp_path):
    table = features(name='=cmd|"/C calc"!A{}')
    write_tables(evaluation_of(table, repeats=1), tmp_path)
    (row,) = rows_of(tmp_path / "contradictory_copies.csv")
    assert row["participants"].startswith("'=cmd")


def test_hostile_names_leave_figures_whole(tmp_path):
    table = rich_features(site=HOSTILE + "\x00\x1b{}")
    table["camera"] = "$\\frac{1}{$"
    for path in write_figures(evaluation_of(table, repeats=1), tmp_path):
        if path.suffix == ".svg":
            tags = {element.tag.split("}")[1] for element in parsed(path).iter()}
            assert "script" not in tags


def test_an_incomplete_evaluation_leaves_no_files(rich, tmp_path):
    metrics = copy.deepcopy(rich.metrics)
    del metrics["subgroups"]
    for write in (write_figures, write_tables):
        with pytest.raises(FeatureTableError, match="subgroups"):
            write(Evaluation(metrics, rich.predictions), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_calibration_groups_are_equal_and_ordered(rich):
    points = calibration_points(rich.metrics, rich.predictions)
    units = rich.metrics["units"]
    assert sum(point.units for point in points) == units
    assert len(points) == min(10, units // 20)
    assert max(p.units for p in points) - min(p.units for p in points) <= 1
    estimated = [point.estimated_g_dl for point in points]
    assert estimated == sorted(estimated)
    first = rich.predictions[rich.predictions["repeat"] == 0]
    mean = np.average(
        [point.measured_g_dl.value for point in points], weights=[p.units for p in points]
    )
    assert mean == pytest.approx(first["hemoglobin_g_dl"].mean())
    assert all(p.measured_g_dl.low < p.measured_g_dl.value < p.measured_g_dl.high for p in points)


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "pallor", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_command_writes_report_figures_and_tables_of_the_protocol_it_was_given(tmp_path):
    cohort = features(people=40).drop(columns=["color.lips.log_rg.mean", "pulse.chin.green.ac_dc"])
    cohort["fold"] = np.arange(40) % 4
    cohort.to_csv(tmp_path / "cohort.csv", index=False)
    for protocol, said in (
        ("holdout", "a fifth of the participants held out with each of 3 seeds"),
        ("fold", "the 4 folds that the table gives"),
    ):
        seeds = ("--repeats", 3) if protocol == "holdout" else ()
        run = tmp_path / protocol
        done = command(
            "evaluate", tmp_path / "cohort.csv", "-o", run, "--protocol", protocol, *seeds
        )
        assert done.returncode == 0, done.stderr
        assert said in (run / "report.html").read_text(encoding="utf-8")
        assert {path.name for path in run.iterdir()} == {
            "metrics.json", "predictions.csv", "report.html", "figures", "tables",
        }  # fmt: skip
        assert (run / "figures" / "flow.png").stat().st_size > 1000
        assert rows_of(run / "tables" / "baselines.csv")
    assert command("evaluate", tmp_path / "cohort.csv", "--protocol", "best").returncode == 2
