"""Evaluations for the tests of the report: small, cheap, and with everything a report can show."""

from __future__ import annotations

import copy
from html.parser import HTMLParser

import numpy as np
import pandas as pd

from pallor.evaluation.bootstrap import resample_counts
from pallor.evaluation.contributions import Contribution
from pallor.evaluation.coverage import judge_coverage
from pallor.evaluation.explanation import combine
from pallor.evaluation.fold_explanation import FoldExplanation
from pallor.evaluation.permutation_importance import Importance
from pallor.evaluation.protocol import evaluate
from pallor.evaluation.result import Evaluation, without_nan

HOSTILE = '<script>alert("x")</script><img src=http://evil.example/x onerror=alert(1)>$x_1$'
VOID = {"meta", "br", "img", "hr", "input", "link"}


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


def rich_features(people=90, name="p{}", site="site {}"):
    """Everything that a report has a section for: two sessions, sites, quality, background."""
    once = features(people, name)
    rng = np.random.default_rng(1)
    once["hemoglobin_g_dl"] -= 1.5
    once["site"] = [site.format(i % 3) for i in range(people)]
    once["camera"] = ["webcam" if i % 10 else "phone" for i in range(people)]
    table = pd.concat([once.assign(session="1"), once.assign(session="2")], ignore_index=True)
    table["clip"] = [f"{i}.mp4" for i in range(len(table))]
    table["content_sha256"] = [f"c{i}" for i in range(len(table))]
    table.loc[3, "content_sha256"] = "c7"
    for column in ("color.lips.log_rg.mean", "pulse.chin.green.ac_dc"):
        table[column] += rng.normal(0, 0.3, len(table)).astype(np.float32)
    table["color.left_cheek.ita.of_means"] = rng.normal(35, 12, len(table)).astype(np.float32)
    table["color.right_cheek.ita.of_means"] = table["color.left_cheek.ita.of_means"]
    table["color.background.luma.mean"] = rng.normal(0, 1, len(table)).astype(np.float32)
    table["duration_s"] = 10.0 + rng.normal(0, 0.1, len(table))
    table["snr_db"] = rng.normal(3, 2, len(table))
    table["usable_pulse"] = table["snr_db"] > 0
    return table


def evaluation_of(table, **options):
    return evaluate(
        table, model_factory=Line, bootstrap=100, command="pallor evaluate F", **options
    )


def with_intervals(evaluation):
    """Add what only the package's own models give: intervals, and what they look at."""
    metrics, predictions = copy.deepcopy(evaluation.metrics), evaluation.predictions
    repeats = [part for _, part in predictions.groupby("repeat", sort=True)]
    measured = repeats[0]["hemoglobin_g_dl"].to_numpy(float)
    participant, people = repeats[0]["participant_id"].factorize()
    predicted = np.stack([part[metrics["headline"]].to_numpy(float) for part in repeats])
    widths = np.empty((len(repeats), 4, len(measured)))
    widths[:] = np.array([0.6, 1.2, 1.6, np.inf])[None, :, None]
    metrics["coverage"] = without_nan(
        judge_coverage(
            measured,
            predicted,
            widths,
            participant,
            resample_counts(len(people), 100, 0),
            strata={"sex": np.where(participant % 2, "male", "female").astype(object)},
        ).as_dict()
    )
    metrics["explanation"] = combine([explanation(0.10), explanation(0.14)]).as_dict()
    return Evaluation(metrics, predictions)


def explanation(rise, place="lips", feature="color.lips.log_rg.mean"):
    """Explain one fold."""
    return FoldExplanation(
        units=20,
        silent=False,
        importance=(
            Importance("color", "modality", 4, rise, rise / 2),
            Importance("pulse", "modality", 1, -0.01, 0.0),
            Importance(place, "place", 1, rise / 3, 0.01),
        ),
        contributions=(
            Contribution(feature, "feature", rise, 0.9),
            Contribution("color.chin.luma.mean", "feature", rise / 2, -0.6),
            Contribution("color", "modality", rise),
            Contribution(place, "place", rise),
        ),
        weight_share=0.3,
        clipped_share=0.02,
    )


class Page(HTMLParser):
    """Collects tags, identifiers and everything that makes a browser fetch or run something."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses, self.handlers, self.ids = set(), [], [], []
        self.open, self.unbalanced = [], []
        self.feed(text)
        self.close()
        self.unbalanced += self.open

    def handle_starttag(self, tag, attrs):
        self._note(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self._note(tag, attrs)

    def handle_endtag(self, tag):
        if self.open and self.open[-1] == tag:
            self.open.pop()
        else:
            self.unbalanced.append(f"/{tag}")

    def _note(self, tag, attrs):
        self.tags.add(tag)
        for name, value in attrs:
            if name in {"src", "href", "xlink:href", "srcset", "data", "action", "poster"}:
                self.addresses.append(value)
            if name.startswith("on"):
                self.handlers.append(name)
            if name == "id":
                self.ids.append(value)


def section(page, name):
    """Cut one section out of a page."""
    return page.split(f'id="{name}">')[1].split("</section>")[0]
