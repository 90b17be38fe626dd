"""How far a study is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pallor.service.study.counting import per_session, waiting_of
from pallor.service.study.records import StudySummary

if TYPE_CHECKING:
    from pallor.service.study.study import Study


def summary(study: Study) -> StudySummary:
    """Count what the study has."""
    from sqlalchemy import case, func, select

    from pallor.service.store.tables import ParticipantRow

    one = per_session()
    counts = select(
        func.count().label("sessions"),
        func.sum(one.c.clips).label("clips"),
        func.sum(one.c.usable).label("usable"),
        func.sum(one.c.simulated).label("simulated"),
        func.sum(waiting_of(one)).label("waiting"),
        func.count(case((one.c.clips > 0, one.c.participant_id)).distinct()).label("with_clip"),
    )
    with study.store.reading() as session:
        people = int(session.scalar(select(func.count()).select_from(ParticipantRow)) or 0)
        found = session.execute(counts).one()
    return StudySummary(
        participants=people,
        sessions=int(found.sessions or 0),
        clips=int(found.clips or 0),
        usable_clips=int(found.usable or 0),
        sessions_without_hemoglobin=int(found.waiting or 0),
        # Whoever came in between the two questions has no clip yet.
        participants_without_clip=max(0, people - int(found.with_clip or 0)),
        simulated_clips=int(found.simulated or 0),
    )
