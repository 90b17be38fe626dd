"""A study as the rows of a cohort table, one a clip, without a calendar date."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pallor.service.study.counting import is_simulated, is_usable, keeps_video

if TYPE_CHECKING:
    from pallor.service.store.tables import HemoglobinRow, ParticipantRow, SessionRow
    from pallor.service.study.study import Study

R = TypeVar("R")

BEST_METHOD: Final = "venous_cbc"


@dataclass(frozen=True)
class CohortRow:
    """One clip with what is known of it.

    Attributes
    ----------
    participant, session
        Code and name of the visit.
    camera, site
        Where known.
    hemoglobin_g_dl, reference_method, hemoglobin_days_apart
        The value that counts for the visit (see `reference_of`), and the days between it and
        the visit, where both dates are known.
    sex, age_years, pregnancy, altitude_m, smoking
        Of the person; pregnancy at the visit where that is known.
    simulated
        Whether it is no recording of a person.
    usable
        Whether a pulse can be read; None before the check is done.
    token
        Of the file.
    file_name
        In an export, such as ``clips/P001/1/001.webm``.
    """

    participant: str
    session: str
    camera: str | None
    site: str | None
    hemoglobin_g_dl: float | None
    reference_method: str | None
    hemoglobin_days_apart: int | None
    sex: str | None
    age_years: float | None
    pregnancy: str | None
    altitude_m: float | None
    smoking: str | None
    simulated: bool
    usable: bool | None
    token: str
    file_name: str


@dataclass(frozen=True)
class ReferenceValue:
    """One blood value of the study.

    Attributes
    ----------
    participant, session
        Code and name of the visit.
    hemoglobin_g_dl
        In g/dL.
    value, unit
        As entered.
    reference_method
        See `pallor.service.study.records.HemoglobinValue`.
    days_apart
        From the visit, where both dates are known.
    chosen
        Whether it is the one that counts for the clips of the visit.
    """

    participant: str
    session: str
    hemoglobin_g_dl: float
    value: float
    unit: str
    reference_method: str
    days_apart: int | None
    chosen: bool


@dataclass(frozen=True)
class StudyTable:
    """What an export holds, and who is missing in it.

    Attributes
    ----------
    rows
        In the order of codes, visits and clips.
    values
        All blood values, those that count and the others.
    without_clip, without_consent
        Codes of those who have no clip, and of those who have not agreed that videos are kept.
    """

    rows: tuple[CohortRow, ...]
    values: tuple[ReferenceValue, ...]
    without_clip: tuple[str, ...]
    without_consent: tuple[str, ...]


def export_rows(study: Study) -> StudyTable:
    """Return the study as a table."""
    from sqlalchemy import func, select

    from pallor.service.store import tables as t

    with study.store.reading() as session:
        people = session.scalars(
            select(t.ParticipantRow).order_by(func.lower(t.ParticipantRow.code))
        ).all()
        keeping = set(session.scalars(select(t.ParticipantRow.id).where(keeps_video())))
        visits = _grouped(
            session.scalars(
                select(t.SessionRow).order_by(
                    t.SessionRow.date.is_(None), t.SessionRow.date, t.SessionRow.id
                )
            ),
            "participant_id",
        )
        values = _grouped(
            session.scalars(select(t.HemoglobinRow).order_by(t.HemoglobinRow.id)), "session_id"
        )
        clips = _grouped(
            session.execute(
                select(
                    t.ClipRow.session_id,
                    t.ClipRow.camera,
                    t.ClipRow.file_token,
                    t.ClipRow.suffix,
                    is_simulated().label("simulated"),
                    is_usable().label("usable"),
                )
                .outerjoin(t.JobRow, t.JobRow.id == t.ClipRow.job_id)
                .order_by(t.ClipRow.id)
            ),
            "session_id",
        )
    rows: list[CohortRow] = []
    references: list[ReferenceValue] = []
    without_clip: list[str] = []
    for person in people:
        before = len(rows)
        for visit in visits.get(person.id, ()):
            entered = values.get(visit.id, ())
            chosen = reference_of(visit.date, entered)
            rows += _rows(person, visit, chosen, clips.get(visit.id, ()))
            references += [_value(person.code, visit, one, one is chosen) for one in entered]
        if len(rows) == before:
            without_clip.append(person.code)
    return StudyTable(
        tuple(rows),
        tuple(references),
        tuple(without_clip),
        tuple(person.code for person in people if person.id not in keeping),
    )


def reference_of(day: str | None, values: Sequence[HemoglobinRow]) -> HemoglobinRow | None:
    """Return the blood value that counts for a visit.

    Parameters
    ----------
    day
        Of the visit, ISO 8601.
    values
        All that were entered.

    Returns
    -------
    The one measured nearest to the visit (those of unknown date last); of several as near, one of
    venous blood by an analyzer; of several such, the one entered last. None where there is none.
    """

    def rank(value: HemoglobinRow) -> tuple[bool, int, bool, int]:
        apart = days_apart(day, value.measured_on)
        return (apart is None, apart or 0, value.method != BEST_METHOD, -value.id)

    return min(values, key=rank, default=None)


def days_apart(one: str | None, other: str | None) -> int | None:
    """Return the days between two dates, 0 or more; None unless both are known."""
    if one is None or other is None:
        return None
    return abs((date.fromisoformat(one) - date.fromisoformat(other)).days)


def _rows(
    person: ParticipantRow, visit: SessionRow, chosen: HemoglobinRow | None, clips: Iterable[Any]
) -> list[CohortRow]:
    rows = []
    for number, clip in enumerate(clips, start=1):
        rows.append(
            CohortRow(
                participant=person.code,
                session=visit.name,
                camera=clip.camera,
                site=visit.site,
                hemoglobin_g_dl=None if chosen is None else chosen.hemoglobin_g_dl,
                reference_method=None if chosen is None else chosen.method,
                hemoglobin_days_apart=(
                    None if chosen is None else days_apart(visit.date, chosen.measured_on)
                ),
                sex=person.sex,
                age_years=person.age_years,
                pregnancy=visit.pregnancy or person.pregnancy,
                altitude_m=person.altitude_m,
                smoking=person.smoking,
                simulated=bool(clip.simulated),
                usable=None if clip.usable is None else bool(clip.usable),
                token=clip.file_token,
                file_name=f"clips/{person.code}/{visit.name}/{number:03d}{clip.suffix}",
            )
        )
    return rows


def _value(code: str, visit: SessionRow, row: HemoglobinRow, chosen: bool) -> ReferenceValue:
    return ReferenceValue(
        code,
        visit.name,
        row.hemoglobin_g_dl,
        row.value,
        row.unit,
        row.method,
        days_apart(visit.date, row.measured_on),
        chosen,
    )


def _grouped(rows: Iterable[R], column: str) -> Mapping[int, list[R]]:
    grouped: dict[int, list[R]] = defaultdict(list)
    for row in rows:
        grouped[getattr(row, column)].append(row)
    return grouped
