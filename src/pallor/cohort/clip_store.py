"""Finished clips of a feature folder, one small file each: what an interrupted run keeps."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from pallor.cohort.address import is_address
from pallor.cohort.atomic import write_bytes
from pallor.cohort.clip_outcome import (
    ClipOutcome,
    ClipTask,
    DamagedOutcomeError,
    decode,
    encode,
)

SUFFIX = ".npz"


def clip_key(participant_id: str, clip: str) -> str:
    """Return the name under which a clip's outcome is stored, 32 hexadecimal digits."""
    return hashlib.sha256(f"{participant_id}\0{clip}".encode("utf-8", "surrogatepass")).hexdigest()[
        :32
    ]


class ClipStore:
    """Outcomes of one folder.

    Parameters
    ----------
    folder
        Made when the first outcome is stored.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, outcome: ClipOutcome) -> None:
        """Store the outcome of a clip that was measured."""
        self._folder.mkdir(parents=True, exist_ok=True)
        write_bytes(self._path(outcome.task.key), encode(outcome))

    def get(self, task: ClipTask) -> ClipOutcome | None:
        """Return the outcome of a task if it is stored and still describes the file.

        A file of the same size and time is the same; of another time, if it has the same
        hash. At an address a file is the same if its size and what its server gives as mark
        are. A stored outcome that is damaged counts as absent.
        """
        outcome = self.load(task)
        if outcome is None:
            return None
        if is_address(task.path):
            from pallor.cohort.fetched_clip import is_unchanged

            return outcome if is_unchanged(task.path, outcome) else None
        return outcome if _is_unchanged(Path(task.path), outcome) else None

    def load(self, task: ClipTask) -> ClipOutcome | None:
        """Return the stored outcome of a task, whatever became of the file since."""
        try:
            outcome = decode(self._path(task.key).read_bytes())
        except (OSError, DamagedOutcomeError):
            return None
        # The path may differ: tables and clips are moved together.
        if replace(outcome.task, path=task.path) != task or outcome.failure is not None:
            return None
        return outcome

    def clear(self) -> None:
        """Forget all outcomes."""
        for path in self._folder.glob(f"*{SUFFIX}"):
            path.unlink()

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}{SUFFIX}"


def _is_unchanged(path: Path, outcome: ClipOutcome) -> bool:
    try:
        status = path.stat()
        if status.st_size != outcome.file_size:
            return False
        if status.st_mtime_ns == outcome.file_mtime_ns:
            return True
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return False
    return digest == outcome.measured.get("file_sha256")
