from __future__ import annotations

import copy
import html
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from pallor.cli.evaluate import print_table
from pallor.errors import FeatureTableError
from pallor.evaluation.protocol import evaluate
from pallor.evaluation.result import Evaluation
from pallor.report import words
from pallor.report.html import render, write_report

HOSTILE = '<script>alert("x")</script><img src=http://evil.example/x onerror=alert(1)>$x_1$'


class Line:
    """Least squares on all columns: cheap, enough for a report."""

    def __init__(self, modalities, learners, seed, quick):
        self.asked = (modalities, learners, seed, quick)

    def fit(self, X, y, groups):
        from sklearn.linear_model import LinearRegression

        assert len(groups) == len(X)
        self.model = LinearRegression().fit(X.to_numpy(float), y)

    def predict(self, X):
        return self.model.predict(X.to_numpy(float))


def features(people=30, name="p{}"):
    rng = np.random.default_rng(0)
    male = rng.integers(0, 2, people)
    hb = 13 + 1.8 * male + rng.normal(0, 1, people)
    table = pd.DataFrame(
        {
            "participant_id": [name.format(i) for i in range(people)],
            "clip": [f"{i}.mp4" for i in range(people)],
            "hemoglobin_g_dl": hb,
            "sex": np.where(male, "male", "female"),
            "age_years": rng.uniform(18, 80, people),
            "simulated": True,
            "reference_method": "simulated",
            "content_sha256": [f"c{i}" for i in range(people)],
            "color.lips.log_rg.mean": (hb + rng.normal(0, 0.7, people)).astype(np.float32),
            "pulse.chin.green.ac_dc": rng.normal(0, 1, people).astype(np.float32),
        }
    )
    table.loc[3, "content_sha256"] = "c7"
    table.loc[0, "hemoglobin_g_dl"] = np.nan
    return table


def evaluation_of(table, **options):
    return evaluate(
        table, model_factory=Line, bootstrap=100, command="pallor evaluate F", **options
    )


@pytest.fixture(scope="module")
def evaluation():
    return evaluation_of(features(), repeats=1)


@pytest.fixture(scope="module")
def page(evaluation):
    return render(evaluation)


class Loads(HTMLParser):
    """Collects tags, identifiers and everything that makes a browser fetch or run something."""

    def __init__(self):
        super().__init__()
        self.tags, self.addresses, self.handlers, self.ids = set(), [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        for name, value in attrs:
            if name in {"src", "href", "xlink:href", "srcset", "data", "action", "poster"}:
                self.addresses.append(value)
            if name.startswith("on"):
                self.handlers.append(name)
            if name == "id":
                self.ids.append(value)


def parsed(text):
    loads = Loads()
    loads.feed(text)
    return loads


def test_report_holds_everything(page, evaluation):
    text = html.unescape(page)
    for needed in (
        "SIMULATED", words.NOTICE, "pallor evaluate F", "sex and age", "Read", "Scored",
        "no hemoglobin value", "Copies", "contradictory labels", "p3 (", "p7 (", "Seed 0",
        "scikit-learn", "Bland-Altman", "random forest", "xgboost", "main result",
        "Unit of analysis", "bootstrap", "In sample", "Does fusing help?", "Sex in the features",
    ):  # fmt: skip
        assert needed in text, needed
    for sentence in words.summary(evaluation.metrics) + words.methods(evaluation.metrics):
        assert sentence in text
    assert page.count("<svg") == 4


def test_report_quotes_the_scores_of_every_cell(page, evaluation):
    for entry in evaluation.metrics["models"] + evaluation.metrics["baselines"]:
        for score in ("mae", "r", "r2"):
            assert f"{words.number(entry[score]['value'])} <small>" in page
            assert words.interval(entry[score]) in page


def test_report_quotes_every_comparison_with_and_without_copies(page, evaluation):
    found = evaluation.metrics
    assert len(found["comparisons"]) == 2 * 3
    for entry in found["comparisons"]:
        assert f"<td>{words.signed_with_interval(entry['mae'])}</td>" in page
        assert f"<td>{words.signed_with_interval(entry['r2'])}</td>" in page
        assert f"<td>{words.told_apart(entry)}</td>" in page
    for entry in found["without_duplicates"]["comparisons"]:
        assert f"<td>{words.signed_with_interval(entry['r2'])}<br>" in page
    assert "color + pulse against color" in page
    assert "color + pulse against pulse" in page


def test_report_says_how_well_sex_can_be_told_and_why_it_matters(page, evaluation):
    section = page.split('<section id="sex">')[1].split("</section>")[0]
    assert "a model may be estimating sex instead of hemoglobin" in section
    assert len(evaluation.metrics["sex_probe"]) == 2
    for probe in evaluation.metrics["sex_probe"]:
        auc = probe["auc"]
        assert f"{words.number(auc['value'])} <small>{words.interval(auc)}</small>" in section
        for sex in ("female", "male"):
            assert f"<td>{probe['participants'][sex]}</td>" in section


def test_report_says_why_there_is_no_auc_of_sex():
    found = evaluation_of(features().drop(columns="sex"), repeats=1)
    section = render(found).split('<section id="sex">')[1].split("</section>")[0]
    assert "–<br>" in section
    assert found.metrics["sex_probe"][0]["note"] in section


def test_report_of_one_modality_compares_nothing():
    found = evaluation_of(features().drop(columns="pulse.chin.green.ac_dc"), repeats=1)
    assert 'id="fusing"' not in render(found)


def test_command_prints_fusing_and_sex_in_words(evaluation, capsys):
    print_table(evaluation)
    lines = capsys.readouterr().out.splitlines()
    fusing = [line for line in lines if line.startswith("color+pulse against")]
    assert [line.split(":")[0] for line in fusing] == [
        "color+pulse against color (stacking)",
        "color+pulse against pulse (stacking)",
    ]
    assert sum(line.startswith("without copies: color+pulse against") for line in lines) == 2
    told = [line for line in lines if line.startswith("sex can be told from ")]
    assert len(told) == 2
    auc = evaluation.metrics["sex_probe"][0]["auc"]
    ends = ", ".join(words.number(auc[key]) for key in ("low", "high"))
    assert told[0] == (
        f"sex can be told from color with an AUC of {words.number(auc['value'])} [{ends}]"
        " (0.5 is chance)"
    )


def test_report_loads_nothing_and_runs_nothing(page):
    loads = parsed(page)
    assert loads.tags.isdisjoint({"script", "link", "iframe", "object", "embed", "img", "base"})
    assert all(address.startswith("#") for address in loads.addresses), loads.addresses
    assert not loads.handlers
    assert "@import" not in page
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", page))
    # Names of XML namespaces are no addresses to load; there is no other.
    addresses = set(re.findall(r"https?://[^\s\"'<>)]+", page))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "default-src 'none'" in html.unescape(page)


def test_identifiers_on_the_page_are_unique(page):
    ids = parsed(page).ids
    assert len(ids) == len(set(ids))


def test_hostile_names_are_text_and_nothing_else():
    table = features(name="p{}" + HOSTILE)
    table["reference_method"] = HOSTILE
    table["site"] = np.where(np.arange(len(table)) % 2, "A" + HOSTILE, "B" + HOSTILE)
    evaluation = evaluation_of(table, group="site")
    evaluation.metrics["command"] = HOSTILE
    evaluation.metrics["notes"].append(HOSTILE)
    page = render(evaluation)
    assert page.count(html.escape("<script>", quote=False)) >= 6
    assert "<script" not in page
    assert parsed(page).tags.isdisjoint({"script", "img"})


def test_hostile_metrics_of_a_run_folder_are_text_too(evaluation, tmp_path):
    metrics = copy.deepcopy(evaluation.metrics)
    for entry in metrics["models"]:
        entry["modalities"] = [HOSTILE]
        entry["regressor"] = HOSTILE
    for entry in metrics["comparisons"]:
        entry |= {"model": HOSTILE, "against": HOSTILE, "regressor": HOSTILE}
    for entry in metrics["sex_probe"]:
        entry |= {"modality": HOSTILE, "note": HOSTILE}
    folder = Evaluation(metrics, evaluation.predictions).save(tmp_path / "run")
    page = write_report(folder, tmp_path / "report.html").read_text(encoding="utf-8")
    assert parsed(page).tags.isdisjoint({"script", "img"})
    assert not parsed(page).handlers


def test_folder_and_object_give_equal_bytes(evaluation, tmp_path):
    first = write_report(evaluation, tmp_path / "a.html")
    second = write_report(evaluation.save(tmp_path / "run"), tmp_path / "deep" / "b.html")
    assert first.read_bytes() == second.read_bytes()


def test_real_clips_bear_no_banner():
    table = features().assign(simulated=False, reference_method="venous_cbc")
    page = render(evaluation_of(table, protocol="quick"))
    assert "SIMULATED" not in page
    assert "small models" in page


def test_cohort_table_gets_a_report_of_baselines():
    table = features().drop(columns=["color.lips.log_rg.mean", "pulse.chin.green.ac_dc"])
    page = render(evaluation_of(table))
    assert page.count("<svg") == 2
    assert "only the baselines" in page
    assert "main result</span>" not in page


def test_no_copies_is_said():
    table = features()
    table["content_sha256"] = [f"c{i}" for i in range(len(table))]
    assert "No two clips share their content" in render(evaluation_of(table, repeats=1))


def test_incomplete_metrics_are_refused(evaluation, tmp_path):
    folder = evaluation.save(tmp_path / "run")
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    del metrics["flow"]
    (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    with pytest.raises(FeatureTableError, match="flow"):
        write_report(folder, tmp_path / "report.html")
    (folder / "metrics.json").write_text("[]", encoding="utf-8")
    with pytest.raises(FeatureTableError, match="not an object"):
        write_report(folder, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.02, 0.3, "tell more about hemoglobin"),
        (-0.1, 0.3, "do not show"),
        (-0.4, -0.1, "worse than"),
        (0.0, 0.3, "do not show"),
        (None, None, "no interval"),
    ],
)
def test_verdict_follows_the_interval(low, high, said):
    assert said in words.verdict({"value": 0.1, "low": low, "high": high})


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.756, "0.76"), (-0.5, "−0.50"), (-0.001, "0.00"), (None, "–"), (float("nan"), "–")],
)
def test_numbers_are_written_plainly(value, text):
    assert words.number(value) == text


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1200])
def test_a_real_browser_lays_it_out_within_the_window(page, tmp_path, width):
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is absent: install it to lay the report out in a real browser")
    # A browser's window has a least width, a frame in it has none.
    outer = tmp_path / "outer.html"
    outer.write_text(
        f'<body><iframe srcdoc="{html.escape(page)}" style="width:{width}px;border:0"></iframe>'
        "<script>onload = () => document.body.append('width ' + document.querySelector('iframe')"
        ".contentDocument.documentElement.scrollWidth)</script></body>",
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
    assert int(found) <= width
