"""Controls, permutation, the luck of the seed, and what others report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pallor.report import words
from pallor.report.summary import CONTROLS
from pallor.report.table import Column, Row, Table

_VERDICT: Final = {
    True: "tells hemoglobin: an alarm",
    False: "not shown to tell anything",
    None: "cannot be judged",
}
SEED_SCORES: Final = {"mae": "MAE (g/dL)", "r": "Pearson r", "r2": "R²"}
"""Scores of the seeds that are held against published ones."""


def controls(metrics: Mapping[str, Any]) -> Table | None:
    """Say what models that see no skin add to sex and age."""
    if not metrics["controls"]:
        return None
    rows = [
        Row(
            {
                "control": one["name"],
                "label": CONTROLS.get(one["name"], one["name"]),
                "incremental_r2": one["incremental_r2"],
                "verdict": _VERDICT[one["alarm"]],
            },
            main=bool(one["alarm"]),
        )
        for one in metrics["controls"]
    ]
    return Table(
        "controls",
        "What models that see no skin add to sex and age: R² with the control minus R² of sex and"
        " age, with 95 % interval. It should not lie above 0.",
        (
            Column("control", "", on_page=False),
            Column("label", "The control sees", in_file=False),
            Column("incremental_r2", "R² added", "interval", 3, signed=True),
            Column("verdict", "Verdict"),
        ),
        tuple(rows),
    )


def permutation(metrics: Mapping[str, Any]) -> Table | None:
    """Report the permutation test within sex."""
    test = metrics["permutation_within_sex"]
    if test is None:
        return None
    names = {"incremental_r2": "R² added to sex and age", "partial_correlation": "correlation"}
    cells = {
        **test,
        "label": names.get(test["statistic"], test["statistic"]),
        "exchanged_of": f"{test['exchanged']} of {test['participants']}",
    }
    return Table(
        "permutation_within_sex",
        "Measured hemoglobin exchanged among participants of the same sex: what the statistic is"
        " then, and how often it reaches the observed one.",
        (
            Column("statistic", "", on_page=False),
            Column("label", "Statistic", in_file=False),
            Column("observed", "Observed", "number", 3),
            Column("null_mean", "Mean when exchanged", "number", 3),
            Column("null_high", "95 % quantile when exchanged", "number", 3),
            Column("p_value", "p, one-sided", "number", 3),
            Column("permutations", "Exchanges", "number", 0),
            Column("exchanged_of", "Participants exchanged", in_file=False),
            Column("exchanged", "", "number", on_page=False),
            Column("participants", "", "number", on_page=False),
        ),
        (Row(cells),),
    )


def reproduction(metrics: Mapping[str, Any]) -> Table | None:
    """Where published figures fall among those of the seeds."""
    if not metrics["reproduction"]:
        return None
    rows = [
        Row(
            {
                "study": entry["study"],
                "model": entry["model"],
                "score": SEED_SCORES[figure["score"]],
                **{key: figure[key] for key in ("published", "median", "percentile", "seeds")},
                "range": {"value": figure["median"], **{k: figure[k] for k in ("low", "high")}},
                "inside": "inside" if figure["inside"] else "outside",
                "joint_share": entry["joint_share"],
            }
        )
        for entry in metrics["reproduction"]
        for figure in entry["figures"]
    ]
    return Table(
        "reproduction",
        "Published figures among those of the seeds: median and the range of 95 % of the seeds,"
        " share of the seeds (%) that lie below the published figure, and share (%) that is at"
        " least as good in all of its figures at once.",
        (
            Column("study", "Published by"),
            Column("model", "Our model"),
            Column("score", "Score"),
            Column("published", "Published", "number"),
            Column("range", "Median of the seeds, 95 % of them", "interval"),
            Column("percentile", "Seeds below (%)", "number", 0),
            Column("inside", "In the range"),
            Column("joint_share", "As good in all (%)", "interval", 0, 100.0),
            Column("seeds", "", "number", on_page=False),
        ),
        tuple(rows),
    )


def seeds(metrics: Mapping[str, Any]) -> Table | None:
    """Scores of every seed; for the file."""
    if not metrics["reproduction"]:
        return None
    rows = [
        Row({"model": entry["model"], "seed": number, "mae_g_dl": mae, "r": r, "r2": r2})
        for entry in metrics["reproduction"]
        for number, (mae, r, r2) in enumerate(
            zip(*(entry["by_seed"][score] for score in SEED_SCORES), strict=True)
        )
    ]
    return Table(
        "seeds",
        "Scores of every seed.",
        (
            Column("model", "Model"),
            Column("seed", "Seed", "number", 0),
            Column("mae_g_dl", "MAE (g/dL)", "number"),
            Column("r", "r", "number"),
            Column("r2", "R²", "number"),
        ),
        tuple(rows),
    )


def _ours(metrics: Mapping[str, Any]) -> Row | None:
    headline = words.find(metrics["models"], metrics["headline"])
    if headline is None:
        return None
    agreement, screening = metrics["agreement"], metrics["screening"]
    point = None if screening is None else screening["model"]["overall"]
    cells = {
        "key": "this_run",
        "study": "This run, main result",
        "participants": metrics["participants"],
        "method": f"stacking on {words.modalities(headline)}",
        "reference_method": words.listed(list(metrics["outcome"]["reference_methods"])),
        **{f"{key}_g_dl": headline[key]["value"] for key in ("mae", "rmse", "bias")},
        **{key: headline[key]["value"] for key in ("r", "rho", "r2")},
        "loa_low_g_dl": None if agreement is None else agreement["limit_low_g_dl"],
        "loa_high_g_dl": None if agreement is None else agreement["limit_high_g_dl"],
        "auc": None if point is None else point["auc"]["value"],
        **{
            key: None if point is None else point["at_cutoff"][key]["value"]
            for key in ("sensitivity", "specificity")
        },
    }
    return Row(_shown(cells), main=True)


def _shown(cells: dict[str, Any]) -> dict[str, Any]:
    """Add what the page shows of several cells together; drop what is not stated."""
    low, high = cells["loa_low_g_dl"], cells["loa_high_g_dl"]
    if low is not None and high is not None:
        cells["limits"] = f"{words.signed(low)} to {words.signed(high)}"
    parts = (cells.get(key) for key in ("site", "method", "reference_method"))
    cells["how"] = "; ".join(part for part in parts if part)
    return {key: value for key, value in cells.items() if value is not None}


def _source(address: str) -> str:
    """Write an address as text to be typed, not as a link."""
    return address.removeprefix("https://").removeprefix("http://").rstrip("/")


def prior_work(metrics: Mapping[str, Any]) -> Table:
    """Put what others report beside the main result."""
    rows = []
    for one in metrics["prior_work"]:
        low, high = one["loa"] or (None, None)
        cells = {
            **{key: one[key] for key in (
                "key", "study", "year", "site", "participants", "method", "reference_method", "r",
                "rho", "r2", "auc", "sensitivity", "specificity", "source", "evidence")},
            **{f"{key}_g_dl": one[key] for key in ("mae", "rmse", "bias")},
            "loa_low_g_dl": low, "loa_high_g_dl": high,
        }  # fmt: skip
        note = one["note"] and f"{one['note']}."
        aside = f"{_source(one['source'])} ({one['evidence']})"
        rows.append(Row(_shown(cells), note=note, aside=aside))
    ours = _ours(metrics)
    return Table(
        "prior_work",
        "Reported by others on other people, with other references and other designs: context, not"
        " comparable one to one, and no ranking. Empty: not stated where we looked (in the"
        " abstract or on the page).",
        (
            Column("key", "", on_page=False),
            Column("study", "Study"),
            Column("year", "Year", "number", 0),
            Column("participants", "People", "number", 0),
            Column("how", "Looked at; method; compared with", in_file=False),
            Column("site", "", on_page=False),
            Column("method", "", on_page=False),
            Column("reference_method", "", on_page=False),
            Column("mae_g_dl", "MAE (g/dL)", "number"),
            Column("rmse_g_dl", "RMSE (g/dL)", "number"),
            Column("bias_g_dl", "Bias (g/dL)", "number", on_page=False),
            Column("r", "r", "number"),
            Column("rho", "ρ", "number", on_page=False),
            Column("r2", "R²", "number"),
            Column("limits", "Limits of agreement (g/dL)", in_file=False),
            Column("loa_low_g_dl", "", "number", on_page=False),
            Column("loa_high_g_dl", "", "number", on_page=False),
            Column("auc", "AUC", "number"),
            Column("sensitivity", "Sensitivity", "number"),
            Column("specificity", "Specificity", "number"),
            Column("source", "", on_page=False),
            Column("evidence", "", on_page=False),
        ),
        ((ours,) if ours else ()) + tuple(rows),
    )
