"""What the main model looks at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pallor.report.table import Column, Row, Table


def _spread(value: float | None, spread: list[float | None]) -> dict[str, float | None]:
    return {"value": value, "low": spread[0], "high": spread[1]}


def importance(metrics: Mapping[str, Any]) -> Table | None:
    """Permutation importance of modalities and places."""
    found = metrics["explanation"]
    if not found or not found["permutation"]:
        return None
    rows = [
        Row(
            {
                "kind": one["kind"],
                "group": one["group"].replace("_", " "),
                "features": one["features"],
                "increase_mae_g_dl": _spread(one["increase_mae_g_dl"], one["spread_mae_g_dl"]),
                "increase_mse": _spread(one["increase_mse"], one["spread_mse"]),
            }
        )
        for one in found["permutation"]
    ]
    low, high = (100 * value for value in found["spread_quantiles"])
    return Table(
        "importance",
        "How much the error of held-out units rises where these features are swapped between"
        f" participants: mean over {found['folds']} folds, and below the {low:.0f} % and"
        f" {high:.0f} % quantiles over the folds, which are no confidence interval. About 0: the"
        " model does as well without.",
        (
            Column("group", "Features of"),
            Column("kind", "Kind"),
            Column("features", "Features", "number", 0),
            Column("increase_mae_g_dl", "Rise of the MAE (g/dL)", "interval", 3, signed=True),
            Column("increase_mse", "Rise of the mean squared error ((g/dL)²)", "interval", 3,
                   signed=True),
        ),
        tuple(rows),
    )  # fmt: skip


def contributions(metrics: Mapping[str, Any]) -> Table | None:
    """Contributions of features, modalities and places to what the boosted trees say."""
    found = metrics["explanation"]
    if not found:
        return None
    kinds = {
        "modality": found["contributions_by_modality"],
        "place": found["contributions_by_place"],
        "feature": found["contributions"],
    }
    rows = [
        Row(
            {
                "kind": kind,
                "name": one[kind],
                "label": one[kind] if kind == "feature" else one[kind].replace("_", " "),
                "mean_abs_g_dl": _spread(one["mean_abs_g_dl"], one["spread_g_dl"]),
                **({"sign_correlation": one["sign_correlation"]} if kind == "feature" else {}),
                "folds": one["folds"],
            }
        )
        for kind, entries in kinds.items()
        for one in entries
    ]
    if not rows:
        return None
    return Table(
        "contributions",
        "How far features move the estimates of the boosted trees among the members, held-out"
        " units: mean size over the folds with quantiles as above. Direction: correlation of a"
        " feature with its contribution. A feature that moves estimates at random contributes as"
        " well, so this is not about error.",
        (
            Column("name", "", on_page=False),
            Column("label", "Contributes", in_file=False),
            Column("kind", "Kind"),
            Column("mean_abs_g_dl", "Mean size (g/dL)", "interval", 3),
            Column("sign_correlation", "Direction", "number", signed=True),
            Column("folds", "Folds", "number", 0),
        ),
        tuple(rows),
    )
