"""A job in words and drawings, for the result page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from pallor.anemia import Person, Unknown, assumptions, classify
from pallor.errors import NoIntervalError
from pallor.service.coverage import LEAST_TO_JUDGE, judges
from pallor.service.pages.cards import card_view
from pallor.service.pages.charts import ChartWords, interval_chart, pulse_chart
from pallor.service.pages.language import Texts
from pallor.service.pages.person_words import person_rows_of
from pallor.service.pages.who_bands import SEVERITIES, bands_of, person_of
from pallor.service.shown_value import shown_g_dl

if TYPE_CHECKING:
    from markupsafe import Markup

NO_INTERVAL: Final = NoIntervalError.code


def result_view(job: Mapping[str, Any], t: Texts) -> dict[str, Any]:
    """Say what a job has come to.

    Parameters
    ----------
    job
        As ``PageSources.job`` gives it.
    t
        Texts.

    Returns
    -------
    ``id``, ``title`` and ``kind``: ``waiting``, ``failed``, ``unusable`` (no number, but what to
    change) or ``usable``; and what the template shows of each.
    """
    head = {"id": str(job["id"])}
    state, result = job["state"], job.get("result")
    if state == "failed":
        return {**head, "kind": "failed", "title": t("result.failed"), "problem": _failure(job, t)}
    if state != "done" or result is None:
        stage = "queued" if state == "queued" else job.get("stage")
        return {
            **head,
            "kind": "waiting",
            "title": t("result.wait"),
            "stage": t.first(f"stage.{stage}", otherwise=t("stage.running")),
            "share": float(job.get("share") or 0.0),
        }
    known = {**head, **_measured(result, t), "person": _person(job, t)}
    if not result["usable"] or result["hemoglobin_g_dl"] is None:
        reasons = advice(result.get("reasons") or (), t) or [t("advice.unknown")]
        return {**known, "kind": "unusable", "title": t("result.unusable"), "reasons": reasons}
    return {
        **known,
        "kind": "usable",
        "title": t("result.title"),
        **_estimate(result, person_of(job.get("options") or {}), t),
    }


def _person(job: Mapping[str, Any], t: Texts) -> list[tuple[str, str]]:
    """Say whose result it is as far as that was told, and when the clip came."""
    created_s = job.get("created_s")
    # As a clock on the wall beside the service shows it.
    came = None if created_s is None else datetime.fromtimestamp(created_s)
    when = "" if came is None else f"{t.date(came.date().isoformat())}, {came:%H:%M}"
    rows = [*person_rows_of(job.get("options") or {}, t), (t("result.when"), when)]
    return [row for row in rows if row[1]]


def advice(reasons: Sequence[Mapping[str, str]], t: Texts) -> list[str]:
    """Say what to change, one sentence a reason; a reason without one speaks for itself."""
    said = []
    for reason in reasons:
        own = str(reason.get("text") or reason["code"])
        # Where the reason lies in numbers, its own words follow.
        said.append(t.first(f"advice.{reason['code']}", otherwise=own).replace("{text}", own))
    return list(dict.fromkeys(said))


def _failure(job: Mapping[str, Any], t: Texts) -> str:
    code = job.get("code")
    otherwise = str(job.get("text") or t("failed.internal"))
    return t.first(f"failed.{code}", f"advice.{code}", otherwise=otherwise)


def _measured(result: Mapping[str, Any], t: Texts) -> dict[str, Any]:
    wave = result.get("pulse_wave") or {"time_s": [], "pulse": []}
    rate = result.get("heart_rate_bpm")
    rows = [
        (t("quality.duration"), _with_unit(result.get("duration_s"), "s", t)),
        (t("quality.face"), _share(result.get("face_coverage"), t)),
        (t("quality.snr"), _with_unit(result.get("snr_db"), "dB", t)),
    ]
    words = ChartWords(t("chart.pulse"), t("chart.time"))
    card = result.get("model_card")
    # That there is no interval is said where it would stand.
    warnings = [w for w in result.get("warnings") or () if w["code"] != NO_INTERVAL]
    return {
        "heart_rate": None if rate is None else t.number(rate, 0),
        "pulse_svg": _safe(pulse_chart(wave["time_s"], wave["pulse"], words, t.number)),
        "quality": [row for row in rows if row[1]],
        "warnings": advice(warnings, t),
        "card": None if card is None else card_view(card, t),
    }


def _with_unit(value: float | None, unit: str, t: Texts) -> str:
    return "" if value is None else f"{t.number(value)} {unit}"


def _share(value: float | None, t: Texts) -> str:
    return "" if value is None else t.percent(value)


def _estimate(result: Mapping[str, Any], person: Person, t: Texts) -> dict[str, Any]:
    value = float(result["hemoglobin_g_dl"])
    low, high = result.get("interval_low_g_dl"), result.get("interval_high_g_dl")
    bands = bands_of(person)
    known = not isinstance(bands, Unknown)
    limits = () if isinstance(bands, Unknown) else bands.bounds_g_dl
    estimate, interval = _g_dl(value, limits, t), _interval(result, limits, t)
    svg = interval_chart(
        value,
        low,
        high,
        limits,
        [t(f"severity.{name}") for name in SEVERITIES] if known else (),
        ChartWords(
            t("chart.interval", estimate=estimate, interval=interval), t("chart.hemoglobin")
        ),
        t.number,
    )
    if isinstance(bands, Unknown):
        who = [t.first(f"unknown.{bands.code}", otherwise=bands.text)]
    else:
        who = [_who(result, person, bands.group, t)]
        if bands.adjustment_g_dl:
            who.append(t("result.adjusted", added=t.number(bands.adjustment_g_dl)))
    return {
        "estimate": estimate,
        "interval": interval,
        "interval_svg": _safe(svg),
        "who": who,
        "assumed": [t(f"assumed.{code}") for code in assumptions(person)] if known else [],
    }


def _g_dl(value: float, limits_g_dl: Sequence[float], t: Texts) -> str:
    shown = shown_g_dl(value, limits_g_dl)
    return t.number(float(shown), -int(shown.as_tuple().exponent))


def _interval(result: Mapping[str, Any], limits_g_dl: Sequence[float], t: Texts) -> str:
    low, high = result.get("interval_low_g_dl"), result.get("interval_high_g_dl")
    coverage = result.get("coverage")
    if low is None or high is None or coverage is None:
        return t("advice.no_interval")
    return t(
        "result.interval",
        coverage=t.percent(coverage),
        low=_g_dl(low, limits_g_dl, t),
        high=_g_dl(high, limits_g_dl, t),
    )


def _who(result: Mapping[str, Any], person: Person, group: str, t: Texts) -> str:
    """Say where the estimate lies and how far its interval reaches, in the WHO's words."""
    at, *ends = (
        t(f"severity.{classify(result[name], person)}")
        for name in ("hemoglobin_g_dl", "interval_low_g_dl", "interval_high_g_dl")
        if result.get(name) is not None
    )
    values = {"group": t(f"group.{group}"), "severity": at}
    if len(ends) < 2:
        return t("result.who_open", **values)
    if not judges(result.get("coverage")):
        return t("result.who_low_coverage", **values, least=t.percent(LEAST_TO_JUDGE))
    if ends[0] == ends[1]:
        return t("result.who_same", **values)
    return t("result.who_reaches", **values, low=ends[0], high=ends[1])


def _safe(svg: str) -> Markup:
    from markupsafe import Markup

    # Safe: made by pallor.service.pages.charts, which escapes every text.
    return Markup(svg)  # noqa: S704
