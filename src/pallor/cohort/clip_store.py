"""Finished clips of a feature folder, one small file each: what an interrupted run keeps."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from pallor.cohort.address import is_address
from pallor.cohort.atomic import remove_left_over, write_bytes
from pallor.cohort.clip_outcome import (
    ClipOutcome,
    ClipTask,
    DamagedOutcomeError,
    OutcomeHead,
    decode,
    decode_head,
    encode,
)
from pallor.cohort.table_layout import ClipLayout

SUFFIX = ".zip"


def clip_key(participant_id: str, clip: str) -> str:
    """Return the name under which a clip's outcome is stored, 32 hexadecimal digits."""
    return hashlib.sha256(f"{participant_id}\0{clip}".encode("utf-8", "surrogatepass")).hexdigest()[
        :32
    ]


class ClipStore:
    """Outcomes of one folder.

    They lie in 256 folders by the first two digits of their keys: file systems and their tools
    are slow with a million files in one.

    Parameters
    ----------
    folder
        Made when the first outcome is stored.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: dict[str, tuple[str, ...]] = {}

    def tidy(self) -> None:
        """Remove what a run that was killed while it stored an outcome left behind.

        Only for who has the folder alone.
        """
        if self._folder.is_dir():
            for folder in self._folder.iterdir():
                if folder.is_dir():
                    remove_left_over(folder)

    def put(self, outcome: ClipOutcome) -> None:
        """Store the outcome of a clip that was measured."""
        path = self._path(outcome.task.key)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, encode(outcome))

    def check(self, task: ClipTask) -> ClipLayout | None:
        """Return what a stored outcome holds, if there is one that still describes the file.

        A file of the same size and time is the same; of another time, if it has the same
        hash. At an address a file is the same if its size and what its server gives as mark
        are. A stored outcome that is damaged counts as absent. Its numbers are not read.
        """
        try:
            with self._path(task.key).open("rb") as file:
                head = decode_head(file, self._names)
        except (OSError, DamagedOutcomeError):
            return None
        if head.failed or not _is_same(head.task, task):
            return None
        if is_address(task.path):
            from pallor.cohort.fetched_clip import is_unchanged

            return head.layout if is_unchanged(task.path, head) else None
        return head.layout if _is_unchanged(Path(task.path), head) else None

    def load(self, task: ClipTask) -> ClipOutcome | None:
        """Return the stored outcome of a task, whatever became of the file since."""
        try:
            outcome = decode(self._path(task.key).read_bytes())
        except (OSError, DamagedOutcomeError):
            return None
        return outcome if outcome.failure is None and _is_same(outcome.task, task) else None

    def forget(self, task: ClipTask) -> None:
        """Forget the outcome of a task, so that the next run measures it again."""
        self._path(task.key).unlink(missing_ok=True)

    def clear(self) -> None:
        """Forget all outcomes."""
        for path in self._folder.rglob(f"*{SUFFIX}"):
            path.unlink()

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}{SUFFIX}"


def _is_same(stored: ClipTask, task: ClipTask) -> bool:
    # The path may differ: tables and clips are moved together.
    return replace(stored, path=task.path) == task


def _is_unchanged(path: Path, head: OutcomeHead) -> bool:
    try:
        status = path.stat()
        if status.st_size != head.file_size:
            return False
        if status.st_mtime_ns == head.file_mtime_ns:
            return True
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return False
    return digest == head.file_sha256
