from __future__ import annotations

import csv
import json
from dataclasses import fields
from importlib.resources import files

import pytest

from pallor.evaluation.prior_work import PriorWork, prior_work, reported

FIGURES = (
    "mae", "rmse", "r", "rho", "r2", "bias", "loa", "auc", "sensitivity", "specificity",
)  # fmt: skip
RANGES = {
    "mae": (0.3, 4), "rmse": (0.3, 4), "r": (-1, 1), "rho": (-1, 1), "r2": (-2, 1),
    "bias": (-2, 2), "auc": (0, 1), "sensitivity": (0, 1), "specificity": (0, 1),
}  # fmt: skip


def test_the_reproduced_paper_is_there_as_its_abstract_states_it():
    stacking = reported("gunes2026_stacking")
    assert (stacking.mae, stacking.r, stacking.r2) == (0.7754, 0.7878, 0.5852)
    assert stacking.study.startswith("Güneş")
    assert stacking.participants == 260
    boosted = reported("gunes2026_resnet152_xgboost")
    assert (boosted.mae, boosted.r, boosted.r2) == (0.6635, None, 0.4977)
    assert prior_work()[:2] == (stacking, boosted)


def test_every_entry_has_a_figure_an_address_and_says_where_it_was_read():
    works = prior_work()
    assert len({work.key for work in works}) == len(works) >= 30
    for work in works:
        assert any(getattr(work, name) is not None for name in FIGURES), work.key
        assert work.source.startswith(("https://", "http://")), work.key
        assert work.evidence in {"abstract", "page"}, work.key
        assert work.study.isprintable(), work.key
        assert work.study.strip(), work.key


def test_figures_are_in_the_units_they_are_said_to_be_in():
    for work in prior_work():
        for name, (low, high) in RANGES.items():
            value = getattr(work, name)
            assert value is None or low <= value <= high, (work.key, name)
        assert work.mae is None or work.rmse is None or work.mae <= work.rmse, work.key
        assert work.participants is None or work.participants > 10, work.key
        if work.loa is not None:
            low, high = work.loa
            middle = work.bias if work.bias is not None else 0.0
            # Limits are symmetrical about the bias, but for rounding in the source.
            assert (low + high) / 2 == pytest.approx(middle, abs=0.051), work.key


def test_devices_are_there_for_comparison():
    assert reported("hemocue_hiscock2015").loa == (-1.3, 1.4)
    assert reported("masimo_hiscock2015").loa == (-3.0, 2.9)
    assert sum(work.site.startswith("device") for work in prior_work()) >= 4


def test_the_table_has_just_the_columns_that_are_read_and_whole_rows():
    text = files("pallor.evaluation").joinpath("prior_work.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
    expected = {field.name for field in fields(PriorWork)} - {"loa"} | {"loa_low", "loa_high"}
    assert len(rows) == len(prior_work())
    for row in rows:
        # A comma too many gives a column None, one too few a value None.
        assert set(row) == expected, row["key"]
        assert None not in row.values(), row["key"]
        assert bool(row["loa_low"]) == bool(row["loa_high"]), row["key"]


def test_an_unknown_key_is_an_error_and_entries_go_to_json():
    with pytest.raises(KeyError):
        reported("nobody1900")
    back = json.loads(json.dumps(reported("yilmaz2022").as_dict(), ensure_ascii=False))
    assert back["study"] == "Yılmaz et al."
    assert back["loa"] == [-1.06, 1.12]
