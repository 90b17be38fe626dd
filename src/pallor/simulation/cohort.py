"""A simulated cohort: clips, the table of labels, and the truth behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from pallor.cohort.atomic import write_text
from pallor.errors import UsageError
from pallor.simulation.draw import draw, frames_of
from pallor.simulation.encoding import STAMP, comment_of, write_clip
from pallor.simulation.settings import Settings
from pallor.simulation.truth import TRUTH_FILE, clip_name, cohort_row, truth_row, write_truth

COHORT_FILE = "cohort.csv"
"""Name of the table of labels in the folder of a cohort."""

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class _Job:
    """One clip to render."""

    path: Path
    settings: Settings
    index: int
    session: int


def _render(job: _Job) -> None:
    settings, drawn = job.settings, draw(job.settings, job.index, job.session)
    write_clip(
        job.path,
        frames_of(drawn, settings.size),
        time_s=drawn.pulse.time_s,
        fps=settings.fps,
        size=settings.size,
        comment=settings.comment(job.index, job.session),
        codec=settings.codec,
        quality=settings.quality,
    )


def _one_thread() -> None:
    import cv2

    cv2.setNumThreads(1)


def _finished(jobs: Sequence[_Job], workers: int) -> Iterator[_Job]:
    """Render; yield each clip as it is there."""
    if workers == 1 or len(jobs) < 2:
        for job in jobs:
            _render(job)
            yield job
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor, as_completed

    with ProcessPoolExecutor(
        min(workers, len(jobs)),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_one_thread,
    ) as pool:
        futures = {pool.submit(_render, job): job for job in jobs}
        try:
            for future in as_completed(futures):
                future.result()
                yield futures[future]
        except BaseException:  # an interrupt, too, ends the work that waits; it goes on upward
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _is_there(job: _Job) -> bool:
    """Whether a clip was rendered before; refuse a folder that holds another simulation's."""
    if not job.path.exists():
        return False
    if comment_of(job.path) != f"{STAMP} {job.settings.comment(job.index, job.session)}":
        raise UsageError(
            f"{job.path} was not made with these settings: choose another folder, or delete it"
        )
    return True


def _csv(rows: Sequence[Mapping[str, object]]) -> str:
    import csv
    import io

    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def simulate_cohort(
    out: str | Path,
    settings: Settings,
    *,
    participants: int | None = None,
    sessions: int = 1,
    first: int = 0,
    workers: int = 1,
    progress: Progress | None = None,
) -> Path:
    """Render a cohort of faces with known hemoglobin.

    Writes ``cohort.csv``, ``truth.parquet`` (the parameters behind each clip) and
    ``clips/*.mp4``. The same arguments give the same bytes. A clip is the same whatever the
    number of participants and sessions, and clips that are there are not rendered again:
    call again with more of either and the cohort grows, or goes on where it was interrupted.

    Parameters
    ----------
    out
        Folder to write to.
    settings
        What determines the clips.
    participants
        How many people; the preset's own number by default.
    sessions
        How many clips of each person, on different occasions: hemoglobin, blood volume, heart
        rate, light and white balance change, the face and the camera stay.
    first
        Number of the first participant, so that people outside a cohort can be drawn.
    workers
        Processes.
    progress
        Called with ``(done, total, name of the clip)`` as clips are finished.

    Returns
    -------
    Path
        ``out / "cohort.csv"``.

    Raises
    ------
    UsageError
        If a number makes no sense, or ``out`` holds clips of another simulation.
    OSError
        If ``out`` is not writable.
    """
    number = settings.spread.participants if participants is None else participants
    if number < 1 or sessions < 1 or first < 0 or workers < 1:
        raise UsageError(
            "give at least 1 participant, 1 session, 1 worker, and a first number of 0 or more"
        )
    out = Path(out)
    wanted = list(product(range(first, first + number), range(sessions)))
    jobs = [_Job(out / clip_name(i, session), settings, i, session) for i, session in wanted]
    waiting = [job for job in jobs if not _is_there(job)]
    there = len(jobs) - len(waiting)
    for done, job in enumerate(_finished(waiting, workers), start=there + 1):
        if progress is not None:
            progress(done, len(jobs), job.path.name)
    truth = [truth_row(settings, index, session) for index, session in wanted]
    write_truth(out / TRUTH_FILE, truth)
    # Last: a cohort table means that every clip it names is there.
    write_text(out / COHORT_FILE, _csv([cohort_row(row) for row in truth]))
    return out / COHORT_FILE
