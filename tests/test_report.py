from __future__ import annotations

import copy
import html
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from pallor.errors import FeatureTableError
from pallor.evaluation.explanation import combine
from pallor.evaluation.result import Evaluation
from pallor.report import words
from pallor.report.html import render, write_report
from pallor.report.methods import methods, references
from pallor.report.summary import summary
from pallor.report.tripod import ANSWERED, AUTHORS, ITEMS, PARTLY
from report_cases import (
    HOSTILE,
    Page,
    evaluation_of,
    explanation,
    features,
    rich_features,
    section,
    with_intervals,
)


@pytest.fixture(scope="module")
def evaluation():
    return evaluation_of(features(), repeats=1)


@pytest.fixture(scope="module")
def page(evaluation):
    return render(evaluation)


@pytest.fixture(scope="module")
def rich():
    return with_intervals(evaluation_of(rich_features(), repeats=2, folds=3))


@pytest.fixture(scope="module")
def rich_page(rich):
    return render(rich)


@pytest.fixture(scope="module")
def holdout():
    return evaluation_of(features(people=60), protocol="holdout", repeats=8)


def test_report_holds_everything(page, evaluation):
    text = html.unescape(page)
    for needed in (
        "SIMULATED", words.NOTICE, "pallor evaluate F", "sex and age", "Read", "Scored",
        "no hemoglobin value", "Copies", "contradictory labels", "p3 (", "p7 (", "Seed 0",
        "scikit-learn", "Bland-Altman", "random forest", "xgboost", "main result",
        "Unit of analysis", "bootstrap", "in sample", "Does fusing help?", "Sex in the features",
    ):  # fmt: skip
        assert needed in text, needed
    for sentence in summary(evaluation.metrics):
        assert sentence in text
    for heading, paragraph in methods(evaluation.metrics):
        assert f"<b>{heading}.</b> {paragraph}" in text


def test_every_section_is_there_where_the_evaluation_allows_it(rich_page):
    ids = Page(rich_page).ids
    sections = {
        "summary", "models", "fusing", "main", "baselines", "screening", "coverage", "quality",
        "subgroups", "controls", "sex", "explanation", "held-out", "prior-work", "flow",
        "duplicates", "methods", "references", "tripod", "record",
    }  # fmt: skip
    assert sections <= set(ids)
    assert "Not in this report" not in rich_page
    # All figures but those of the seeds, which hold-out alone has.
    assert rich_page.count("<svg") == 14


def test_links_of_the_page_lead_somewhere(rich_page):
    found = Page(rich_page)
    links = set(re.findall(r'<a href="#([^"]*)"', rich_page))
    assert len(links) > 10
    assert links <= set(found.ids)


def test_page_is_well_formed(page, rich_page, holdout):
    for text in (page, rich_page, render(holdout)):
        assert Page(text).unbalanced == []


def test_summary_names_the_verdicts_that_a_reader_needs(rich):
    text = " ".join(summary(rich.metrics))
    assert "knowing only sex and age" in text
    assert "by the limits of the WHO" in text
    assert "Intervals that should hold 90 % of the measurements held" in text
    assert "Control models that see no skin" in text
    assert f"p = {rich.metrics['permutation_within_sex']['p_value']:.3f}" in text
    assert "All modalities together" in text


def test_report_quotes_the_scores_of_every_cell(page, evaluation):
    cells = section(page, "models")
    for entry in evaluation.metrics["models"]:
        for score in ("mae", "r", "r2"):
            assert f"{words.number(entry[score]['value'])} <small>" in cells
            assert words.interval(entry[score]) in cells
    rows = section(page, "baselines")
    for entry in evaluation.metrics["baselines"]:
        assert words.interval(entry["mae"]) in rows
        assert words.interval(entry["r2"]) in rows


def test_every_score_of_the_main_model_stands_beside_the_baselines(rich, rich_page):
    rows = section(rich_page, "main")
    entries = [words.find(rich.metrics["models"], rich.metrics["headline"])]
    entries += rich.metrics["baselines"]
    for entry in entries:
        for key, score in entry.items():
            if isinstance(score, dict) and "low" in score and score["value"] is not None:
                scale, digits = (100, 0) if key.startswith("within") else (1, 2)
                digits = 1 if key == "mape_percent" else digits
                ends = {end: score[end] * scale for end in ("low", "high")}
                assert words.interval(ends, digits) in rows, key


def test_report_quotes_every_comparison_with_and_without_copies(page, evaluation):
    found = evaluation.metrics
    rows = section(page, "fusing")
    assert len(found["comparisons"]) == 2 * 3
    for part in (found, found["without_duplicates"]):
        for entry in part["comparisons"]:
            assert f">{words.signed(entry['r2']['value'])} <small>" in rows
            assert words.interval(entry["r2"]) in rows
            assert words.told_apart(entry) in rows
    assert "color + pulse against color" in rows
    assert "color + pulse against pulse" in rows


def test_report_says_how_well_sex_can_be_told_and_why_it_matters(page, evaluation):
    rows = section(page, "sex")
    assert "a model may be estimating sex instead of hemoglobin" in rows
    assert len(evaluation.metrics["sex_probe"]) == 2
    for probe in evaluation.metrics["sex_probe"]:
        auc = probe["auc"]
        assert f"{words.number(auc['value'])} <small>{words.interval(auc)}</small>" in rows
        for sex in ("female", "male"):
            assert f">{probe['participants'][sex]}</span>" in rows


def test_report_says_why_there_is_no_auc_of_sex():
    found = evaluation_of(features().drop(columns="sex"), repeats=1)
    rows = section(render(found), "sex")
    assert ">–</span>" in rows
    assert found.metrics["sex_probe"][0]["note"] in rows


def test_report_of_one_modality_compares_nothing():
    found = evaluation_of(features().drop(columns="pulse.chin.green.ac_dc"), repeats=1)
    page = render(found)
    assert 'id="fusing"' not in page
    assert "so there is nothing to fuse" in page


def test_groups_that_are_too_small_get_no_score(rich, rich_page):
    rows = section(rich_page, "subgroups")
    phone = next(one for one in rich.metrics["subgroups"] if one["grouping"] == "camera")
    assert {group["group"]: group["too_few"] for group in phone["groups"]}["phone"]
    row = rows.split("camera: phone")[-1].split("</tr>")[0]
    assert re.findall(r"<span>(.*?)</span>", row)[2:] == []
    assert "fewer than 20 participants: no conclusion" in rows


def test_screening_stands_beside_sex_and_age_with_its_counts(rich, rich_page):
    rows = section(rich_page, "screening")
    for part in ("model", "sex_age"):
        point = rich.metrics["screening"][part]["overall"]["at_cutoff"]
        found = point["true_positives"]
        of = found + point["false_negatives"]
        assert re.search(rf"{found:g} of {of:g}\b", rows)


def test_nobody_anemic_is_said_and_drawn_without_curves():
    table = features(people=60)
    table["hemoglobin_g_dl"] = 15.5 + np.arange(60) % 7 / 5
    rows = section(render(evaluation_of(table, repeats=1)), "screening")
    assert "No one is with anemia" in rows
    assert 'aria-label="ROC' not in rows


def test_without_sex_and_age_the_reasons_are_given():
    found = evaluation_of(rich_features().drop(columns=["sex", "age_years"]), repeats=1)
    page = render(found)
    assert "What the clips add to sex and age is not known" in page
    assert section(page, "controls").count("Not in this report.") == 2
    assert "have no anemia threshold: the cutoff depends on age" in section(page, "screening")
    assert "Nobody&#39;s limit of anemia is known" in section(page, "summary")
    assert "No conclusion by sex: the table has no sex." in section(page, "subgroups")


def test_without_a_pulse_the_quality_section_says_so(page):
    assert "No clip has a signal-to-noise ratio" in section(page, "quality")


def test_models_without_intervals_and_explanation_say_so(page):
    assert "so they have no intervals" in section(page, "coverage")
    assert "were not explained" in section(page, "explanation")


def test_an_alarm_of_a_control_is_a_warning(rich):
    metrics = copy.deepcopy(rich.metrics)
    metrics["controls"][0] |= {
        "alarm": True,
        "incremental_r2": {"value": 0.3, "low": 0.1, "high": 0.5},
    }
    metrics["notes"].append("Warning: color.a alone tells hemoglobin too well.")
    page = render(Evaluation(metrics, rich.predictions))
    boxes = re.findall(r'<p class="warning">(.*?)</p>', page)
    assert len(boxes) == 3
    assert boxes[0] == metrics["notes"][-1]
    assert "cannot be ascribed to the face" in boxes[1]


def test_holdout_shows_the_seeds_and_says_what_it_does_not_have(holdout):
    page = render(holdout)
    rows = section(page, "seeds")
    assert rows.count("<svg") == 3
    assert "0.7754" in rows
    for name in ("screening", "coverage", "quality", "subgroups", "explanation"):
        assert "Under hold-out each seed tests a fifth" in section(page, name)
    assert "8 seeds" in page
    assert "R², mean of the folds" not in page


def test_prior_work_stands_beside_ours_and_is_no_ranking(rich, rich_page):
    rows = section(rich_page, "prior-work")
    assert "not comparable one to one" in rows
    assert "This run, main result" in rows
    # Every result and ours, and below each a row with its source.
    sourced = sum("(abstract)" in row or "(page)" in row for row in rows.split("</tr>"))
    assert sourced == len(rich.metrics["prior_work"])


def test_every_mark_in_the_methods_is_cited_and_listed(rich, holdout):
    for found in (rich.metrics, holdout.metrics):
        texts = [text for _, text in methods(found)]
        assert not [text for text in texts if "@" in text]
        listed = references(found)
        assert len(listed) == len(set(listed))
        assert any("TRIPOD+AI" in one for one in listed)
    assert any("Lancet 1986;327:307-310" in one for one in references(rich.metrics))
    assert not any("Lancet" in one for one in references(holdout.metrics))


def test_methods_tell_of_nothing_that_was_not_run(holdout, rich):
    told = {heading for heading, _ in methods(holdout.metrics)}
    assert told.isdisjoint({"Agreement", "Anemia", "Prediction intervals", "Permutation"})
    assert {"Seeds", "Splits", "Baselines"} <= told
    assert "Seeds" not in {heading for heading, _ in methods(rich.metrics)}


def test_all_27_items_of_the_checklist_are_answered_or_left_to_the_authors(rich_page, holdout):
    numbers = [item.number for item in ITEMS]
    assert len(numbers) == len(set(numbers)) == 52
    assert {re.sub(r"\D", "", number) for number in numbers} == {str(n) for n in range(1, 28)}
    rows = section(rich_page, "tripod")
    assert sum(rows.count(f">{status}</span>") for status in (ANSWERED, PARTLY, AUTHORS)) == 52
    assert "not in this run: Under hold-out" in section(render(holdout), "tripod")


def test_report_loads_nothing_and_runs_nothing(page, rich_page, holdout):
    for text in (page, rich_page, render(holdout)):
        found = Page(text)
        assert found.tags.isdisjoint({"script", "link", "iframe", "object", "embed", "img", "base"})
        assert all(address.startswith("#") for address in found.addresses), found.addresses
        assert not found.handlers
        assert "@import" not in text
        assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", text))
        # Names of XML namespaces are no addresses to load; there is no other.
        addresses = set(re.findall(r"https?://[^\s\"'<>)]+", text))
        assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
        assert "default-src 'none'" in html.unescape(text)


def test_identifiers_on_the_page_are_unique(rich_page, holdout):
    for text in (rich_page, render(holdout)):
        ids = Page(text).ids
        assert len(ids) == len(set(ids))


def test_hostile_names_are_text_and_nothing_else():
    table = rich_features(name="p{}" + HOSTILE, site="A{}" + HOSTILE)
    table["reference_method"] = HOSTILE
    table["camera"] = HOSTILE
    evaluation = evaluation_of(table, group="site")
    evaluation.metrics["command"] = HOSTILE
    evaluation.metrics["notes"] += [HOSTILE, f"Warning: {HOSTILE}", "@lin1989 @nobody1999"]
    evaluation.metrics["flow"]["left_out"].append(
        {"reason": HOSTILE + "\x07", "participants": 1, "clips": 1}
    )
    page = render(evaluation)
    assert page.count(html.escape("<script>", quote=False)) >= 12
    assert "<script" not in page
    found = Page(page)
    assert found.tags.isdisjoint({"script", "img"})
    assert found.unbalanced == []
    assert not found.handlers


def test_hostile_metrics_of_a_run_folder_are_text_too(rich, tmp_path):
    metrics = copy.deepcopy(rich.metrics)
    for entry in metrics["models"]:
        entry["modalities"] = [HOSTILE]
        entry["regressor"] = HOSTILE
    for entry in metrics["comparisons"]:
        entry |= {"model": HOSTILE, "against": HOSTILE, "regressor": HOSTILE}
    for entry in metrics["sex_probe"]:
        entry |= {"modality": HOSTILE, "note": HOSTILE}
    for entry in metrics["prior_work"]:
        entry |= dict.fromkeys(("study", "method", "source", "note", "evidence"), HOSTILE)
    for entry in metrics["controls"]:
        entry["name"] = HOSTILE
    for grouping in metrics["subgroups"]:
        grouping |= {"sentence": HOSTILE, "note": HOSTILE}
        for group in grouping["groups"]:
            group["group"] = HOSTILE
    metrics["explanation"] = combine([explanation(0.1, HOSTILE, HOSTILE)]).as_dict()
    metrics["explanation"]["notes"] = [HOSTILE]
    folder = Evaluation(metrics, rich.predictions).save(tmp_path / "run")
    page = write_report(folder, tmp_path / "report.html").read_text(encoding="utf-8")
    found = Page(page)
    assert found.tags.isdisjoint({"script", "img"})
    assert found.unbalanced == []
    assert not found.handlers
    assert not [address for address in found.addresses if not address.startswith("#")]


def test_folder_and_object_give_equal_bytes(rich, tmp_path):
    first = write_report(rich, tmp_path / "a.html")
    second = write_report(rich.save(tmp_path / "run"), tmp_path / "deep" / "b.html")
    assert first.read_bytes() == second.read_bytes()


def test_real_clips_bear_no_banner():
    table = features().assign(simulated=False, reference_method="venous_cbc")
    page = render(evaluation_of(table, protocol="quick"))
    assert "SIMULATED" not in page
    assert "small models" in page


def test_cohort_table_gets_a_report_of_baselines():
    table = features().drop(columns=["color.lips.log_rg.mean", "pulse.chin.green.ac_dc"])
    page = render(evaluation_of(table))
    assert page.count("<svg") == 3
    assert "only the baselines" in page
    assert "main result</span>" not in page
    assert "so there is no main result" in section(page, "screening")


def test_no_copies_is_said():
    table = features()
    table["content_sha256"] = [f"c{i}" for i in range(len(table))]
    assert "No two clips share their content" in render(evaluation_of(table, repeats=1))


@pytest.mark.parametrize("key", ["flow", "screening", "prior_work", "controls", "subgroups"])
def test_evaluations_of_an_older_version_are_refused(evaluation, tmp_path, key):
    folder = evaluation.save(tmp_path / "run")
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    del metrics[key]
    (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    with pytest.raises(FeatureTableError, match=f"{key}.*run the evaluation again"):
        write_report(folder, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_metrics_that_are_no_object_are_refused(evaluation, tmp_path):
    folder = evaluation.save(tmp_path / "run")
    (folder / "metrics.json").write_text("[]", encoding="utf-8")
    with pytest.raises(FeatureTableError, match="not an object"):
        write_report(folder, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def laid_out(page, folder, width):
    """Width of the page's content in a real browser whose window has that width, CSS pixels."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is absent: install it to lay the report out in a real browser")
    # A browser's window has a least width, a frame in it has none.
    outer = folder / "outer.html"
    outer.write_text(
        f'<body><iframe srcdoc="{html.escape(page)}" style="width:{width}px;border:0"></iframe>'
        "<script>onload = () => document.body.append('width ' + document.querySelector('iframe')"
        ".contentDocument.scrollingElement.scrollWidth)</script></body>",
        encoding="utf-8",
    )
    options = ["--headless", "--no-sandbox", "--disable-gpu"]
    run = subprocess.run(
        [chromium, *options, "--virtual-time-budget=5000", "--dump-dom", outer.as_uri()],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    (found,) = re.findall(r"width (\d+)", run.stdout.rsplit("</script>", 1)[-1])
    return int(found)


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1200])
def test_a_real_browser_lays_it_out_within_the_window(rich_page, tmp_path, width):
    assert laid_out(rich_page, tmp_path, width) <= width


@pytest.mark.slow
def test_names_without_a_space_do_not_widen_the_page_of_a_phone(tmp_path):
    table = rich_features(name="p{}" + "x" * 300, site="s{}" + "y" * 300)
    table["reference_method"] = "z" * 300
    evaluation = evaluation_of(table, repeats=1)
    evaluation.metrics["notes"].append("Warning: " + "w" * 300)
    assert laid_out(render(evaluation), tmp_path, 390) <= 390
