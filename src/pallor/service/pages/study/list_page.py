"""The page of the whole study: how far it is, and who takes part."""

from __future__ import annotations

from typing import Final, Literal, get_args

from pallor.service.pages.study.forms import Form
from pallor.service.pages.study.views import line_view
from pallor.service.pages.study.visit import Page, Shown, Visit
from pallor.service.study import participants
from pallor.service.study.summary import summary

Missing = Literal["hemoglobin", "clip", "consent"]
LINES: Final = 50
"""Participants on a page."""
_LONGEST_SEARCH: Final = 64
_LAST_PAGE: Final = 100_000


def _show(visit: Visit, form: Form) -> Shown:  # noqa: ARG001
    asked = visit.request.query_params
    search = asked.get("search", "").strip()[:_LONGEST_SEARCH]
    missing = _missing(asked.get("missing"))
    number = _page_number(asked.get("page"))
    lines, found = participants.listing(
        visit.study,
        visit.who,
        search=search,
        missing=missing,
        limit=LINES,
        offset=LINES * (number - 1),
    )
    pages = max(1, -(-found // LINES))
    if number > pages:
        # Somebody withdrew, or the address was typed.
        more = {"search": search, "missing": missing or "", "page": str(pages)}
        return Shown(moved="/study", parameters=more)
    counts = summary(visit.study)
    return Shown(
        "study_list.html.j2",
        {
            "counts": counts,
            "lines": [line_view(line, visit.t) for line in lines],
            "found": found,
            "search": search,
            "missing": missing or "",
            "page": number,
            "pages": pages,
        },
        simulated=counts.simulated_clips > 0,
    )


def _missing(asked: str | None) -> Missing | None:
    return next((word for word in get_args(Missing) if word == asked), None)


def _page_number(asked: str | None) -> int:
    number = int(asked) if asked and asked.isascii() and asked.isdigit() and len(asked) < 7 else 1
    return min(max(number, 1), _LAST_PAGE)


PAGE: Final = Page(_show)
