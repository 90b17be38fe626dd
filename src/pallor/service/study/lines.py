"""The list of participants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pallor.service.refusals import FieldProblem, InvalidFieldsError
from pallor.service.study.access import MAX_ID
from pallor.service.study.counting import keeps_video, per_participant
from pallor.service.study.field_readers import MAX_CODE
from pallor.service.study.records import ParticipantLine

if TYPE_CHECKING:
    from pallor.service.study.study import Study

Missing = Literal["hemoglobin", "clip", "consent"]


def find_lines(
    study: Study, *, search: str, missing: Missing | None, limit: int, offset: int
) -> tuple[tuple[ParticipantLine, ...], int]:
    """Return some lines of the list, and how many it has; see `participants.listing`."""
    from sqlalchemy import func, select

    from pallor.service.store.tables import ParticipantRow

    sought = search.strip().lower()
    # No code holds anything else, and not every database takes any text.
    if not sought.isascii() or not sought.isprintable() or len(sought) > MAX_CODE:
        return (), 0
    counts = per_participant()
    count = {
        name: func.coalesce(counts.c[name], 0).label(name)
        for name in ("sessions", "clips", "usable", "hb", "waiting")
    }
    keeps = keeps_video()
    lines = select(
        ParticipantRow.code,
        ParticipantRow.sex,
        ParticipantRow.age_years,
        *count.values(),
        keeps.label("keeps_video"),
    ).outerjoin(counts, counts.c.participant_id == ParticipantRow.id)
    conditions: dict[Missing, Any] = {
        "hemoglobin": count["waiting"] > 0,
        "clip": count["clips"] == 0,
        "consent": ~keeps,
    }
    if missing is not None and missing not in conditions:
        known = ", ".join(map(str, conditions))
        text = f"missing is one of: {known}"
        raise InvalidFieldsError(
            {"missing": FieldProblem("unknown_choice", text, {"choices": known})}
        )
    if missing is not None:
        lines = lines.where(conditions[missing])
    if sought:
        lines = lines.where(func.lower(ParticipantRow.code).contains(sought, autoescape=True))
    total = select(func.count()).select_from(lines.subquery())
    ordered = lines.order_by(func.lower(ParticipantRow.code), ParticipantRow.id)
    with study.store.reading() as session:
        rows = session.execute(ordered.limit(_number(limit)).offset(_number(offset))).all()
        found = int(session.scalar(total) or 0)
    return tuple(_line(row) for row in rows), found


def _number(number: int) -> int:
    return min(max(number, 0), MAX_ID)


def _line(row: Any) -> ParticipantLine:
    return ParticipantLine(
        code=row.code,
        sex=row.sex,
        age_years=row.age_years,
        sessions=int(row.sessions),
        clips=int(row.clips),
        usable_clips=int(row.usable),
        hemoglobin_values=int(row.hb),
        sessions_without_hemoglobin=int(row.waiting),
        keeps_video=bool(row.keeps_video),
    )
