"""The card of a model in words."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pallor.service.pages.language import Texts


def card_view(card: Mapping[str, Any], t: Texts) -> dict[str, Any]:
    """Say what a model knows about itself.

    Parameters
    ----------
    card
        Metadata of a model file (see ``pallor.models.training.train``) with ``name``, or the
        shorter ``model_card`` of a result; what is absent is left out.
    t
        Texts.

    Returns
    -------
    ``id``, ``name``, ``simulated``, ``summary``, ``rows`` of name and value, ``scores`` (rows
    of name, MAE, r and R²) and ``units``, the number of measurements they rest on.
    """
    scores, units = _scores(card.get("metrics") or {}, t)
    # The sentence repeats what the tables say, where there are tables.
    summary = "" if scores else card.get("summary") or ""
    return {
        "id": str(card.get("id") or card.get("name") or ""),
        "name": str(card.get("name") or card.get("id") or ""),
        "simulated": bool(card.get("simulated")),
        "summary": summary if isinstance(summary, str) else "",
        "rows": _rows(card, t),
        "scores": scores,
        "units": units,
    }


def _rows(card: Mapping[str, Any], t: Texts) -> list[tuple[str, str]]:
    cohort = card.get("cohort") or {}
    ages, hemoglobin = cohort.get("age_years"), cohort.get("hemoglobin_g_dl")
    methods = _named("study.method", cohort.get("reference_methods"), t)
    sexes = [
        f"{t.first(f'person.{sex}', otherwise=str(sex))} {count}"
        for sex, count in (cohort.get("sex") or {}).items()
    ]
    rows: list[tuple[str, str | None]] = [
        (t("card.id"), card.get("id")),
        (t("card.regressor"), _words(card.get("regressor"))),
        (t("card.modalities"), ", ".join(_named("modality", card.get("modalities"), t))),
        (t("card.people"), _count(cohort.get("participants"))),
        (t("card.clips"), _count(cohort.get("clips"))),
        (t("person.sex"), ", ".join(sexes)),
        (t("card.ages"), ages and _range(ages, t, 0)),
        (t("card.hemoglobin"), hemoglobin and _range(hemoglobin, t, 1)),
        (
            t("card.reference"),
            ", ".join(methods),
        ),
        (t("card.created"), _day(str(card.get("created") or "")[:10], t)),
        (t("card.notes"), "; ".join(map(str, card.get("notes") or ()))),
    ]
    return [(name, str(value)) for name, value in rows if value]


def _count(value: object) -> str:
    return "" if value is None else str(value)


def _named(kind: str, names: Iterable[str] | None, t: Texts) -> list[str]:
    """Return the names of modalities or methods in words, where there are such words."""
    return [
        t.first(f"{kind}.{name}", f"{kind}_{name}", otherwise=_words(name)) for name in names or ()
    ]


def _day(text: str, t: Texts) -> str:
    return t.date(text) if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text) else text


def _words(value: object) -> str:
    return str(value or "").replace("_", " ")


def _range(ends: Mapping[str, float], t: Texts, digits: int) -> str:
    return t("card.range", low=t.number(ends["min"], digits), high=t.number(ends["max"], digits))


def _scores(metrics: Mapping[str, Any], t: Texts) -> tuple[list[tuple[str, str, str, str]], str]:
    if "mae" not in metrics:
        return [], ""
    named: list[tuple[str, Mapping[str, Any]]] = [(t("card.this_model"), metrics)]
    named += [
        (t.first(f"baseline.{name}", otherwise=name), figures)
        for name, figures in (metrics.get("baselines") or {}).items()
    ]
    rows = [
        (name, *(_score(figures.get(key), t) for key in ("mae", "r", "r2")))
        for name, figures in named
    ]
    return [(name, mae, r, r2) for name, mae, r, r2 in rows], _count(metrics.get("units"))


def _score(value: object, t: Texts) -> str:
    known = isinstance(value, int | float) and math.isfinite(value)
    return t.number(float(value), 2) if known and isinstance(value, int | float) else "–"
