"""The end of an extraction: stored outcomes to the table, the failures and the record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from pallor.cohort.address import shown
from pallor.cohort.clip_outcome import ClipFailure, ClipTask
from pallor.cohort.clip_store import ClipStore
from pallor.cohort.extraction_failures import write_failures
from pallor.cohort.extraction_record import write_record
from pallor.cohort.feature_folder import FAILURES
from pallor.cohort.table import Cohort
from pallor.cohort.table_assembly import Measured, assemble_parts
from pallor.cohort.table_layout import TableLayout
from pallor.cohort.table_parts import remove_parts, write_parts


def finish(
    cohort: Cohort,
    folder: Path,
    tasks: Sequence[ClipTask],
    store: ClipStore,
    failures: Mapping[str, ClipFailure],
    layout: TableLayout,
    settings: Mapping[str, Any],
) -> tuple[int, tuple[ClipFailure, ...]]:
    """Write the table, the failures and, last, the settings that call it complete.

    Parameters
    ----------
    cohort
        The cohort.
    folder
        FEATURES.
    tasks
        One a row of the cohort, in its order.
    store
        Holds the outcome of every task that did not fail. One part's outcomes are in memory at
        a time.
    failures
        Key of the task to why there is no outcome.
    layout
        Which columns the outcomes ask of the table.
    settings
        What ``extraction.json`` holds so far.

    Returns
    -------
    done : int
        Rows of the table.
    failures : tuple of ClipFailure
        In the order of the cohort.

    Raises
    ------
    OSError
        If the folder cannot be written; the table then stays incomplete.
    """
    failed = dict(failures)
    done = np.zeros(len(tasks), dtype=np.bool_)
    kinds: set[str] = set()

    def stored() -> Iterator[Measured]:
        for row, task in enumerate(tasks):
            if task.key in failed:
                continue
            outcome = store.load(task)
            if outcome is None:  # still a row that must not vanish
                store.forget(task)
                failed[task.key] = ClipFailure(
                    task.participant_id,
                    task.clip,
                    "internal",
                    f"{shown(task.clip)}: the stored outcome is damaged: run again",
                )
                continue
            done[row] = True
            kinds.add(str(outcome.measured.get("input_kind")))
            yield row, outcome

    parts = write_parts(folder, assemble_parts(cohort.frame, stored(), layout), settings)
    if not parts:
        remove_parts(folder)
    listed = tuple(failed[task.key] for task in tasks if task.key in failed)
    write_failures(listed, cohort.frame.iloc[np.flatnonzero(~done)], folder / FAILURES)
    rows = cohort.frame.iloc[np.flatnonzero(done)]
    write_record(
        folder,
        {
            **settings,
            "complete": True,
            "modalities": layout.modalities if parts else [],
            "input_kinds": sorted(kinds),
            "simulated": any(part.simulated for part in parts),
            "counts": {
                "read": len(tasks),
                "done": len(rows),
                "failed": len(listed),
                "participants": int(rows["participant_id"].nunique()),
            },
            "failures": [asdict(failure) for failure in listed],
            "parts": [asdict(part) for part in parts],
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    )
    return len(rows), listed
