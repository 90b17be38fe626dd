"""Jobs in the database: a queue that several processes share."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pallor.service.errors import JobCrashedError
from pallor.service.store.job import CLIP_CHECK, DONE, FAILED, QUEUED, RUNNING, Job

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from pallor.service.store.engine import Store
    from pallor.service.store.tables import JobRow

MAX_ATTEMPTS = 2
"""A clip whose process died this often is not tried again."""


class JobStore:
    """The queue.

    What a worker reports counts only while the job is its own: a worker that was taken for
    dead, and was not, cannot overwrite what another one found.

    Parameters
    ----------
    store
        An open database.
    clock
        Seconds since 1970.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    def create(
        self,
        kind: str,
        file_token: str | None,
        options: Mapping[str, Any],
        key_id: str | None = None,
        *,
        session: Session | None = None,
    ) -> Job:
        """Put a job at the end of the queue.

        Parameters
        ----------
        kind
            `ESTIMATE` or `CLIP_CHECK`.
        file_token
            Of the upload.
        options
            Plain values that JSON can hold.
        key_id
            The owner.
        session
            Of a transaction that the job is part of; one of its own by default.
        """
        from pallor.service.store.tables import JobRow

        row = JobRow(
            id=secrets.token_urlsafe(24),
            kind=kind,
            state=QUEUED,
            created_s=self._clock(),
            stage=QUEUED,
            share=0.0,
            attempts=0,
            file_token=file_token,
            options=dict(options),
            owner=key_id,
        )
        if session is not None:
            return _added(session, row)
        with self._store.transaction() as own:
            return _added(own, row)

    def get(self, job_id: str) -> Job | None:
        """Return a job, None if there is none of this id."""
        from pallor.service.store.tables import JobRow

        with self._store.reading() as session:
            row = session.get(JobRow, job_id)
            return None if row is None else _job(row)

    def claim(self, worker_id: str, served: Sequence[str | None] = ()) -> Job | None:
        """Take a job that waits; no other worker gets it.

        Owners take turns, so that who sends many clips does not keep the others waiting: first
        comes the owner of whom the fewest jobs run, then the one whom this worker has served
        longest ago, then the oldest job. Checks of clips have one owner, the study.

        Parameters
        ----------
        worker_id
            Unique to the process that asks.
        served
            Owners whom it has served, the latest last; any other owner comes before them.

        Returns
        -------
        Job | None
            Now running; None where none waits.
        """
        from sqlalchemy import func, select
        from sqlalchemy.orm import aliased

        from pallor.service.store.tables import JobRow

        other = aliased(JobRow)
        running = (
            select(func.count(other.id))
            .where(other.state == RUNNING, other.owner.is_not_distinct_from(JobRow.owner))
            .scalar_subquery()
        )
        next_one = (
            select(JobRow)
            .where(JobRow.state == QUEUED)
            .order_by(running, *_turn(served), JobRow.created_s, JobRow.id)
            .limit(1)
            # SQLite ignores this; there the whole transaction holds the lock of writers.
            .with_for_update(of=JobRow, skip_locked=True)
        )
        # Idle workers ask often: they must not keep those that write from writing.
        waits = select(JobRow.id).where(JobRow.state == QUEUED).limit(1)
        with self._store.reading() as session:
            if session.scalar(waits) is None:
                return None
        with self._store.transaction() as session:
            row = session.scalars(next_one).first()
            if row is None:
                return None
            row.state, row.stage, row.share = RUNNING, "starting", 0.0
            row.attempts += 1
            row.worker_id = worker_id
            row.started_s = row.heartbeat_s = self._clock()
            session.flush()
            return _job(row)

    def heartbeat(self, job_id: str, worker_id: str) -> bool:
        """Say that the worker lives.

        Returns
        -------
        bool
            False where the job is no longer the worker's, or was deleted: it must stop.
        """
        return self._change(job_id, worker_id, heartbeat_s=self._clock())

    def progress(
        self, job_id: str, stage: str, share: float, *, worker_id: str | None = None
    ) -> bool:
        """Say how far a running job is.

        Parameters
        ----------
        job_id
            Of the job.
        stage
            One word.
        share
            Of the whole, 0..1.
        worker_id
            Who says so; nothing changes where the job is not this worker's.

        Returns
        -------
        bool
            Whether it was written.
        """
        share = min(1.0, max(0.0, share))
        return self._change(job_id, worker_id, stage=stage, share=share, heartbeat_s=self._clock())

    def finish(
        self, job_id: str, result: Mapping[str, Any], *, worker_id: str | None = None
    ) -> bool:
        """Store the result of a running job.

        Parameters
        ----------
        job_id
            Of the job.
        result
            Plain values that JSON can hold, without NaN.
        worker_id
            Who says so; nothing changes where the job is not this worker's.

        Returns
        -------
        bool
            Whether it was written.
        """
        return self._change(
            job_id,
            worker_id,
            state=DONE,
            stage=DONE,
            share=1.0,
            result=dict(result),
            finished_s=self._clock(),
            worker_id=None,
        )

    def fail(self, job_id: str, code: str, text: str, *, worker_id: str | None = None) -> bool:
        """Say why there will be no result of a running job.

        Parameters
        ----------
        job_id
            Of the job.
        code
            One word.
        text
            One line, without a path.
        worker_id
            Who says so; nothing changes where the job is not this worker's.

        Returns
        -------
        bool
            Whether it was written.
        """
        return self._change(
            job_id,
            worker_id,
            state=FAILED,
            stage=FAILED,
            code=code,
            text=text,
            finished_s=self._clock(),
            worker_id=None,
        )

    def delete(self, job_id: str) -> Job | None:
        """Forget a job with its result, whatever its state.

        Returns
        -------
        Job | None
            As it was, so that the caller can delete the upload; None if there was none.
        """
        from pallor.service.store.tables import JobRow

        with self._store.transaction() as session:
            row = session.get(JobRow, job_id, with_for_update=True)
            if row is None:
                return None
            session.delete(row)
            return _job(row)

    def requeue_running(self) -> tuple[Job, ...]:
        """Put every running job back, or fail it: no worker of an earlier start is left.

        Returns
        -------
        tuple[Job, ...]
            As they are now: ``queued``, or ``failed`` with the code ``crashed`` where
            `MAX_ATTEMPTS` workers were lost over it.
        """
        from sqlalchemy import true

        return self._give_back(true(), counted=True)

    def release(self, worker_id: str, *, counted: bool = True) -> tuple[Job, ...]:
        """Put the jobs of a worker that ended back at once, or fail them.

        Parameters
        ----------
        worker_id
            Of the process that is known to have ended.
        counted
            Whether the attempt counts: not where the worker was told to stop.

        Returns
        -------
        tuple[Job, ...]
            As in `requeue_running`.
        """
        from pallor.service.store.tables import JobRow

        return self._give_back(JobRow.worker_id == worker_id, counted=counted)

    def running(self) -> tuple[Job, ...]:
        """Return the jobs that workers have."""
        from pallor.service.store.tables import JobRow

        return self._select(JobRow.state == RUNNING)

    def expire(self, keep_results_s: float) -> int:
        """Forget finished jobs with their results; checks of clips stay with their clips.

        Parameters
        ----------
        keep_results_s
            How long ago they finished.

        Returns
        -------
        int
            How many.
        """
        from sqlalchemy import delete

        from pallor.service.store.tables import JobRow

        old = delete(JobRow).where(
            JobRow.finished_s < self._clock() - keep_results_s,
            JobRow.state.in_((DONE, FAILED)),
            JobRow.kind != CLIP_CHECK,
        )
        with self._store.transaction() as session:
            return _rows(session.execute(old))

    def file_tokens(self) -> frozenset[str]:
        """Return the tokens of the uploads that are still needed."""
        from sqlalchemy import select

        from pallor.service.store.tables import JobRow

        needed = select(JobRow.file_token).where(
            JobRow.state.in_((QUEUED, RUNNING)), JobRow.file_token.is_not(None)
        )
        with self._store.reading() as session:
            return frozenset(str(token) for token in session.scalars(needed))

    def waiting(self, owner: str | None) -> int:
        """Return the number of jobs of one owner that wait."""
        from sqlalchemy import func, select

        from pallor.service.store.tables import JobRow

        number = select(func.count()).where(JobRow.state == QUEUED, JobRow.owner == owner)
        with self._store.reading() as session:
            return int(session.scalar(number) or 0)

    def counts(self) -> dict[str, int]:
        """Return the number of jobs in each state, for metrics and limits."""
        from sqlalchemy import func, select

        from pallor.service.store.tables import JobRow

        with self._store.reading() as session:
            found = session.execute(select(JobRow.state, func.count()).group_by(JobRow.state))
            return dict.fromkeys((QUEUED, RUNNING, DONE, FAILED), 0) | {
                str(state): int(number) for state, number in found
            }

    def position(self, job_id: str) -> int | None:
        """Return how many jobs wait before this one; None unless it waits itself.

        Owners take turns: before it come as many of each other owner as of its own, and those
        that come meanwhile may be more.
        """
        from sqlalchemy import func, select

        from pallor.service.store.tables import JobRow

        number = func.row_number()
        turn = number.over(partition_by=JobRow.owner, order_by=(JobRow.created_s, JobRow.id))
        waiting = (
            select(JobRow.id, JobRow.created_s, turn.label("turn"))
            .where(JobRow.state == QUEUED)
            .subquery()
        )
        order = (waiting.c.turn, waiting.c.created_s, waiting.c.id)
        places = select(waiting.c.id, number.over(order_by=order).label("place")).subquery()
        with self._store.reading() as session:
            # Of most jobs that are asked about it is known without counting.
            if session.scalar(select(JobRow.state).where(JobRow.id == job_id)) != QUEUED:
                return None
            place = select(places.c.place).where(places.c.id == job_id)
            return int(session.scalars(place).one()) - 1

    def _change(self, job_id: str, only_of: str | None, **values: Any) -> bool:
        from sqlalchemy import update

        from pallor.service.store.tables import JobRow

        change = update(JobRow).where(JobRow.id == job_id, JobRow.state == RUNNING)
        if only_of is not None:
            change = change.where(JobRow.worker_id == only_of)
        with self._store.transaction() as session:
            return _rows(session.execute(change.values(**values))) == 1

    def _select(self, *conditions: Any) -> tuple[Job, ...]:
        from sqlalchemy import select

        from pallor.service.store.tables import JobRow

        with self._store.reading() as session:
            return tuple(_job(row) for row in session.scalars(select(JobRow).where(*conditions)))

    def _give_back(self, whose: Any, *, counted: bool) -> tuple[Job, ...]:
        from sqlalchemy import select

        from pallor.service.store.tables import JobRow

        lost = (
            select(JobRow)
            .where(JobRow.state == RUNNING, whose)
            # Two supervisors that look at once: each takes what the other has not.
            .with_for_update(skip_locked=True)
        )
        with self._store.transaction() as session:
            rows = session.scalars(lost).all()
            for row in rows:
                self._give_back_one(row, counted)
            session.flush()
            return tuple(_job(row) for row in rows)

    def _give_back_one(self, row: JobRow, counted: bool) -> None:
        row.worker_id = None
        if not counted:
            row.attempts -= 1
        if row.attempts < MAX_ATTEMPTS:
            row.state = row.stage = QUEUED
            row.share = 0.0
            row.started_s = row.heartbeat_s = None
            return
        row.state = row.stage = FAILED
        row.code = JobCrashedError.code
        row.text = (
            "the clip could not be processed: the process that worked on it ended "
            f"{row.attempts} times; record another clip"
        )
        row.finished_s = self._clock()


def _turn(served: Sequence[str | None]) -> list[Any]:
    """Return what puts owners in order that were served; those that were not come first."""
    from sqlalchemy import case

    from pallor.service.store.tables import JobRow

    places = [(JobRow.owner == owner, place) for place, owner in enumerate(served, 1)]
    return [case(*places, else_=0)] if places else []


def _added(session: Session, row: JobRow) -> Job:
    session.add(row)
    session.flush()
    return _job(row)


def _rows(result: Any) -> int:
    return int(result.rowcount)


def _job(row: JobRow) -> Job:
    return Job(**{name: getattr(row, name) for name in Job.__dataclass_fields__})
