"""A program that does something with a clip, and is killed at one line of it after the other.

``python study_kills.py add|delete|session|withdraw STEP DATA [URL]`` kills it at every STEP-th
line and prints how often it was killed and what it found.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from pallor.service.refusals import UnknownError
from pallor.service.settings import ServiceSettings
from pallor.service.store.engine import connect, open_store
from pallor.service.study import clips, participants, sessions
from pallor.service.study.study import Study
from study_cases import visited, with_clip

FILES = {"clips.py", "clip_files.py", "participants.py", "sessions.py"}
KILLED = 9
LATER_S = 700.0


def _add(study: Study) -> None:
    with_clip(study, "a")


def _delete(study: Study) -> None:
    clips.delete(study, "a", "1", latest_clip(study), "x")


WORK: dict[str, Callable[[Study], object]] = {
    "add": _add,
    "delete": _delete,
    "session": lambda study: sessions.delete(study, "a", "1", "x"),
    "withdraw": lambda study: participants.withdraw(study, "a", "x"),
}


def die_at(number: int) -> None:
    """End this process, as if by the power, at the n-th line of the study's own code."""
    seen = 0

    def line(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal seen
        seen += event in {"line", "return"}
        if seen > number:
            os._exit(KILLED)
        return line

    def call(frame: FrameType, event: str, argument: object) -> Any:
        return line if Path(frame.f_code.co_filename).name in FILES else None

    sys.settrace(call)


def killed(settings: ServiceSettings, work: str, number: int) -> bool:
    """Do the work in another process; tell whether it was killed before the end."""
    child = os.fork()
    if child == 0:
        try:
            study = Study.open(settings, connect(settings.url))
            die_at(number)
            WORK[work](study)
        finally:
            sys.settrace(None)
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == KILLED


def faults(study: Study) -> list[str]:
    """Look at what a killed process left, sweep, and look again."""
    found = []
    rows, jobs, _ = known(study)
    if not rows <= files(study):
        found.append("a row without its file")
    if rows != jobs:
        found.append("a clip without its check, or a check without its clip")
    if clips.sweep(study) and rows - files(study):
        found.append("the sweep took a file that has its row")
    clips.sweep(replace(study, clock=lambda: study.clock() + LATER_S))
    study.uploads.sweep((), older_than_s=-1.0)
    rows, jobs, journal = known(study)
    if files(study) != rows or list(study.uploads.folder.iterdir()):
        found.append("an orphan file")
    if journal or rows != jobs:
        found.append("something is left in the journal or the queue")
    return found


def files(study: Study) -> set[str]:
    return {path.name for path in study.clips.folder.iterdir()}


def known(study: Study) -> tuple[set[str], set[str], set[str]]:
    """Tokens of clips, of checks, and in the journal."""
    from sqlalchemy import select

    from pallor.service.store import tables as t

    with study.store.reading() as session:
        clip, job, entry = (
            set(session.scalars(select(column)))
            for column in (t.ClipRow.file_token, t.JobRow.file_token, t.ClipFileRow.token)
        )
    return clip, {token for token in job if token is not None}, entry


def latest_clip(study: Study) -> int:
    from sqlalchemy import func, select

    from pallor.service.store.tables import ClipRow

    with study.store.reading() as session:
        return int(session.scalar(select(func.max(ClipRow.id))) or 0)


def restore(study: Study) -> None:
    """One participant with one visit and two clips, as before the next kill."""
    try:
        found = participants.get(study, "a", "x")
    except UnknownError:
        found = visited(study, "a")
    if not found.sessions:
        found = sessions.create(study, "a", {"name": "1"}, "x")
    for clip in found.sessions[0].clips[2:]:
        clips.delete(study, "a", "1", clip.id, "x")
    for _ in range(2 - len(found.sessions[0].clips)):
        with_clip(study, "a")


def main(work: str, step: str, data: str, url: str | None = None) -> None:
    settings = ServiceSettings(Path(data), database_url=url)
    open_store(settings).close()
    report: dict[str, list[int]] = {}
    number = kills = 0
    while True:
        store = connect(settings.url)
        restore(Study.open(settings, store))
        store.close()
        # No connection is open: the child must not share one.
        if not killed(settings, work, number):
            break
        store = connect(settings.url)
        for fault in faults(Study.open(settings, store)):
            report.setdefault(fault, []).append(number)
        store.close()
        number += int(step)
        kills += 1
    sys.stdout.write(json.dumps({"kills": kills, "faults": report}))


if __name__ == "__main__":
    main(*sys.argv[1:])
