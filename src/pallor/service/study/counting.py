"""How many clips and blood values visits and participants have, counted by the database."""

from __future__ import annotations

from typing import Any


def is_usable() -> Any:
    """Return an expression on ``ClipRow`` outer joined to ``JobRow``: `StudyClip.usable`."""
    from sqlalchemy import case, func, null, or_

    from pallor.service.store.job import DONE, FAILED
    from pallor.service.store.tables import JobRow

    found = func.coalesce(JobRow.result["usable"].as_boolean(), False)
    return case(
        (or_(JobRow.id.is_(None), JobRow.state == FAILED), False),
        (JobRow.state == DONE, found),
        else_=null(),
    )


def is_simulated() -> Any:
    """Return an expression on ``ClipRow`` outer joined to ``JobRow``: `StudyClip.simulated`."""
    from sqlalchemy import func, or_

    from pallor.service.store.tables import ClipRow, JobRow

    found = func.coalesce(JobRow.result["simulated"].as_boolean(), False)
    return or_(ClipRow.simulated, found)


def per_session() -> Any:
    """Return a query: ``participant_id``, ``clips``, ``usable``, ``simulated``, ``hb`` of visits.

    A subquery with a row for every visit; the numbers are 0 where there is nothing.
    """
    from sqlalchemy import case, func, select

    from pallor.service.store import tables as t

    clips = (
        select(
            t.ClipRow.session_id,
            func.count().label("clips"),
            func.sum(case((is_usable(), 1), else_=0)).label("usable"),
            func.sum(case((is_simulated(), 1), else_=0)).label("simulated"),
        )
        .outerjoin(t.JobRow, t.JobRow.id == t.ClipRow.job_id)
        .group_by(t.ClipRow.session_id)
        .subquery()
    )
    values = (
        select(t.HemoglobinRow.session_id, func.count().label("hb"))
        .group_by(t.HemoglobinRow.session_id)
        .subquery()
    )
    return (
        select(
            t.SessionRow.participant_id,
            func.coalesce(clips.c.clips, 0).label("clips"),
            func.coalesce(clips.c.usable, 0).label("usable"),
            func.coalesce(clips.c.simulated, 0).label("simulated"),
            func.coalesce(values.c.hb, 0).label("hb"),
        )
        .outerjoin(clips, clips.c.session_id == t.SessionRow.id)
        .outerjoin(values, values.c.session_id == t.SessionRow.id)
        .subquery()
    )


def per_participant() -> Any:
    """Return a query: ``participant_id``, ``sessions``, ``clips``, ``usable``, ``hb``, ``waiting``.

    A subquery with a row for every participant who has a visit; ``waiting`` are visits with a
    clip and no blood value.
    """
    from sqlalchemy import func, select

    one = per_session()
    return (
        select(
            one.c.participant_id,
            func.count().label("sessions"),
            func.sum(one.c.clips).label("clips"),
            func.sum(one.c.usable).label("usable"),
            func.sum(one.c.hb).label("hb"),
            func.sum(waiting_of(one)).label("waiting"),
        )
        .group_by(one.c.participant_id)
        .subquery()
    )


def waiting_of(one: Any) -> Any:
    """Return 1 for a visit of `per_session` whose blood value is still to come, else 0."""
    from sqlalchemy import and_, case

    return case((and_(one.c.clips > 0, one.c.hb == 0), 1), else_=0)


def keeps_video() -> Any:
    """Return an expression on ``ParticipantRow``: what the consent that holds says of videos."""
    from sqlalchemy import func, select

    from pallor.service.store.tables import ConsentRow, ParticipantRow

    # One look into an index for each participant: SQLite makes no better of a join.
    latest = (
        select(ConsentRow.keeps_video)
        .where(ConsentRow.participant_id == ParticipantRow.id)
        .order_by(ConsentRow.id.desc())
        .limit(1)
        .correlate(ParticipantRow)
        .scalar_subquery()
    )
    return func.coalesce(latest, False)
