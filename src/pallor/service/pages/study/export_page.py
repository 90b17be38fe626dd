"""What an export would hold, and what it would lack."""

from __future__ import annotations

from collections import Counter
from typing import Final

from pallor.service.pages.study.forms import Form
from pallor.service.pages.study.visit import Page, Shown, Visit
from pallor.service.study import cohort_rows
from pallor.service.study.summary import summary

SHOWN_CODES: Final = 200
"""Of those who would be missing; who studies more reads the list of participants."""


def _show(visit: Visit, form: Form) -> Shown:  # noqa: ARG001
    table = cohort_rows.export_rows(visit.study)
    visit.study.audit.add(visit.who, "participant.list", "who an export lacks")
    rows = table.rows
    usable = Counter(row.usable for row in rows)
    counts = {
        "people": len({row.participant for row in rows}),
        "clips": len(rows),
        "usable": usable[True],
        "unusable": usable[False],
        "unchecked": usable[None],
        "without_blood": sum(row.hemoglobin_g_dl is None for row in rows),
        "values": len(table.values),
        "simulated": sum(row.simulated for row in rows),
    }
    missing = [
        (visit.t(key), codes[:SHOWN_CODES], len(codes))
        for key, codes in (
            ("study.export_no_clip", table.without_clip),
            ("study.export_no_consent", table.without_consent),
        )
        if codes
    ]
    return Shown(
        "study_export.html.j2",
        {"counts": counts, "missing": missing, "all": summary(visit.study).participants},
        simulated=counts["simulated"] > 0,
    )


PAGE: Final = Page(_show)
