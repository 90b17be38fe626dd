"""A clip at an address: fetched into a file without a name, measured, gone."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, cast

from pallor.cohort.address import called, shown
from pallor.cohort.clip_outcome import ClipOutcome, ClipTask, OutcomeHead
from pallor.cohort.remote_file import fetch, status
from pallor.errors import ClipError
from pallor.video.clip_info import ClipLimits

_OPEN_FILES = Path("/proc/self/fd")


def measure_fetched(
    task: ClipTask, measure: Callable[[ClipTask], ClipOutcome], max_bytes: int | None = None
) -> ClipOutcome:
    """Fetch the clip of a task and measure the copy.

    Parameters
    ----------
    task
        Its ``path`` is an address.
    measure
        Measures a task whose ``path`` is a path.
    max_bytes
        Limit on the size; by default that of :class:`pallor.video.clip_info.ClipLimits`.

    Returns
    -------
    ClipOutcome
        Of ``task``, with size and mark of the file at the address.

    Raises
    ------
    ClipMissingError, ClipTooLargeError, FetchError
        As `pallor.cohort.remote_file.fetch`.
    PallorError
        As ``measure``, naming the clip instead of its copy.
    """
    limit = ClipLimits().max_bytes if max_bytes is None else max_bytes
    with _scratch_file() as (file, path):
        found = fetch(task.path, file, limit)
        with called(path, shown(task.clip)):
            outcome = measure(replace(task, path=str(path)))
    return replace(
        outcome,
        task=task,
        file_size=-1 if found.size is None else found.size,
        file_mtime_ns=-1,
        file_mark=found.mark,
    )


def is_unchanged(address: str, outcome: OutcomeHead) -> bool:
    """Whether a file still is what was measured, as far as its server tells.

    Notes
    -----
    Where the server gives no mark, equal size is all there is to go by, and where it gives
    no size either, the file counts as changed. So does one that cannot be asked for: it is
    then fetched, and its failure listed.
    """
    try:
        now = status(address)
    except ClipError:
        return False
    if now.size is None:
        return now.mark != "" and now.mark == outcome.file_mark
    return now.mark == outcome.file_mark and now.size == outcome.file_size


@contextmanager
def _scratch_file() -> Iterator[tuple[BinaryIO, Path]]:
    """Open a temporary file that others open by its path, and that no kill leaves behind."""
    if _OPEN_FILES.is_dir():  # Linux: the file has no name, so the system removes it
        with tempfile.TemporaryFile() as unnamed:
            yield cast("BinaryIO", unnamed), _OPEN_FILES / str(unnamed.fileno())
        return
    # Elsewhere it has one, in the folder that the parent of this process removes.
    with tempfile.TemporaryDirectory(prefix="pallor-") as folder:
        path = Path(folder) / "clip"
        with path.open("w+b") as named:
            yield named, path
