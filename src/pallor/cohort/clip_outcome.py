"""One clip's measurement: the task, the outcome, and the outcome as bytes.

The bytes are a ZIP of plain JSON, text and little-endian numbers. They go from worker to parent as
they are, and the parent stores them as they are. It is no NumPy archive, since NumPy has Python's
parser read the head of each array, and Python 3.11 fails in it now and then when threads do that
at the same time.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Mapping, MutableMapping
from dataclasses import asdict, dataclass, field
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from pallor.cohort.table_layout import ClipLayout
from pallor.errors import UsageError
from pallor.features.settings import FeatureSettings

_META = "meta.json"
_NAMES = "names.txt"
_VALUES = "values.f4"
_FRAMES = "frames/"
_TIMES = "frame_time_s.f8"


@dataclass(frozen=True, slots=True)
class ClipTask:
    """What a worker needs to know to measure one clip.

    Attributes
    ----------
    key
        Name of the stored outcome; of the clip's path in the table and its participant.
    participant_id, clip
        As in the cohort table.
    path
        Where the file is: a path, or an address.
    modalities
        Names of modalities, in the order of the registry.
    only_defined
        Whether a modality that is not defined for this kind of clip is left out instead of
        being a failure.
    samples
        Uniformly spaced looks at the full-resolution picture.
    settings
        How features are to be computed.
    """

    key: str
    participant_id: str
    clip: str
    path: str
    modalities: tuple[str, ...]
    only_defined: bool = False
    samples: int = 16
    settings: FeatureSettings = field(default_factory=FeatureSettings)

    def to_json(self) -> str:
        """Return the task as one line of JSON."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(line: str) -> ClipTask:
        """Return the task that `to_json` wrote."""
        return _task(json.loads(line))


@dataclass(frozen=True)
class ClipFailure:
    """Why a clip could not be measured.

    Attributes
    ----------
    participant_id, clip
        As in the cohort table.
    code
        Code of the error (see `pallor.errors`), or ``internal`` (an unexpected exception),
        ``crashed`` (the worker process died), ``time_limit`` (it was stopped).
    text
        What is wrong and what to do, one line.
    """

    participant_id: str
    clip: str
    code: str
    text: str


@dataclass(frozen=True)
class ClipOutcome:
    """What became of one task.

    Attributes
    ----------
    task
        The task.
    measured
        The `pallor.cohort.feature_table.MEASURED_COLUMNS`; None in place of NaN.
    features
        Feature name to value.
    failure
        Why there is no measurement; None where there is one.
    file_size, file_mtime_ns
        Of the file when it was measured; an address has no time.
    file_mark
        Of an address: what its server says that changes with the content, empty if nothing.
    frames
        Modality to the embeddings of its frames, ``(frames, d)`` float32; empty unless kept.
    frame_time_s
        Presentation times of these frames in seconds, ``(frames,)``.
    """

    task: ClipTask
    measured: Mapping[str, Any] = field(default_factory=dict)
    features: Mapping[str, float] = field(default_factory=dict)
    failure: ClipFailure | None = None
    file_size: int = -1
    file_mtime_ns: int = -1
    file_mark: str = ""
    frames: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    frame_time_s: NDArray[np.float64] | None = None

    @staticmethod
    def failed(task: ClipTask, code: str, text: str) -> ClipOutcome:
        """Return the outcome of a clip that could not be measured."""
        line = " ".join(text.split())
        return ClipOutcome(task, failure=ClipFailure(task.participant_id, task.clip, code, line))

    def values(self) -> NDArray[np.float32]:
        """Return the values of the features, ``(features,)``."""
        return np.fromiter(self.features.values(), np.float32, len(self.features))

    def layout(self) -> ClipLayout:
        """Return which columns the clip asks of a table."""
        frames = tuple((name, int(values.shape[1])) for name, values in self.frames.items())
        times = 0 if self.frame_time_s is None else len(self.frame_time_s)
        return ClipLayout(tuple(self.features), frames, times)


@dataclass(frozen=True)
class OutcomeHead:
    """A stored outcome without its numbers: what tells whether it still holds.

    Attributes
    ----------
    task, file_size, file_mtime_ns, file_mark
        As of `ClipOutcome`.
    failed
        Whether there is no measurement.
    file_sha256
        Of the file when it was measured; None where it is not known.
    layout
        Which columns the clip asks of a table.
    """

    task: ClipTask
    failed: bool
    file_size: int
    file_mtime_ns: int
    file_mark: str
    file_sha256: str | None
    layout: ClipLayout


class DamagedOutcomeError(ValueError):
    """Bytes that are no stored outcome."""


def encode(outcome: ClipOutcome) -> bytes:
    """Return an outcome as bytes; values keep every bit of their float32."""
    names = "\n".join(outcome.features).encode("utf-8")
    layout = outcome.layout()
    meta = {
        "task": asdict(outcome.task),
        "measured": dict(outcome.measured),
        "failure": None if outcome.failure is None else asdict(outcome.failure),
        "file_size": outcome.file_size,
        "file_mtime_ns": outcome.file_mtime_ns,
        "file_mark": outcome.file_mark,
        # By this the names, which are most of the text, need not be read of every clip.
        "names_sha256": hashlib.sha256(names).hexdigest(),
        "frames": layout.frames,
        "times": layout.times,
    }
    members = {
        _META: json.dumps(meta).encode("utf-8"),
        _NAMES: names,
        _VALUES: outcome.values().astype("<f4").tobytes(),
    }
    for name, values in outcome.frames.items():
        members[f"{_FRAMES}{name}"] = values.astype("<f4").tobytes()
    if outcome.frame_time_s is not None:
        members[_TIMES] = outcome.frame_time_s.astype("<f8").tobytes()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def decode(data: bytes) -> ClipOutcome:
    """Return the outcome that `encode` wrote.

    Raises
    ------
    DamagedOutcomeError
        If the bytes are anything else.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            meta = json.loads(archive.read(_META))
            names = archive.read(_NAMES).decode("utf-8")
            values = np.frombuffer(archive.read(_VALUES), "<f4")
            frames = {
                str(name): _numbers(archive, f"{_FRAMES}{name}", "<f4", np.float32).reshape(-1, d)
                for name, d in meta["frames"]
            }
            kept = _TIMES in archive.namelist()
            times = _numbers(archive, _TIMES, "<f8", np.float64) if kept else None
        return ClipOutcome(
            _task(meta["task"]),
            meta["measured"],
            dict(zip(_listed(names), values.tolist(), strict=True)),
            None if meta["failure"] is None else ClipFailure(**meta["failure"]),
            int(meta["file_size"]),
            int(meta["file_mtime_ns"]),
            str(meta["file_mark"]),
            frames,
            times,
        )
    except _DAMAGE as error:
        raise DamagedOutcomeError(str(error)) from error


def decode_head(file: IO[bytes], known_names: MutableMapping[str, tuple[str, ...]]) -> OutcomeHead:
    """Return what tells whether a stored outcome still holds, without reading its numbers.

    Parameters
    ----------
    file
        Opened for reading, with what `encode` wrote.
    known_names
        SHA-256 of lists of names to the lists seen so far; a new one is read and added.

    Raises
    ------
    DamagedOutcomeError
        If it holds anything else. Damaged numbers are noticed by `decode` alone.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            meta = json.loads(archive.read(_META))
            digest = str(meta["names_sha256"])
            if digest not in known_names:
                known_names[digest] = _listed(archive.read(_NAMES).decode("utf-8"))
        frames = tuple((str(name), int(depth)) for name, depth in meta["frames"])
        digest_of_file = meta["measured"].get("file_sha256")
        return OutcomeHead(
            _task(meta["task"]),
            meta["failure"] is not None,
            int(meta["file_size"]),
            int(meta["file_mtime_ns"]),
            str(meta["file_mark"]),
            digest_of_file if isinstance(digest_of_file, str) else None,
            ClipLayout(known_names[digest], frames, int(meta["times"])),
        )
    except _DAMAGE as error:
        raise DamagedOutcomeError(str(error)) from error


_DAMAGE = (
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    OSError,
    EOFError,
    NotImplementedError,
    UsageError,
    zipfile.BadZipFile,
    zlib.error,
)


def _numbers(archive: zipfile.ZipFile, name: str, stored: str, kind: type) -> NDArray[Any]:
    return np.frombuffer(archive.read(name), stored).astype(kind)


def _listed(names: str) -> tuple[str, ...]:
    return tuple(names.split("\n")) if names else ()


def _task(values: dict[str, Any]) -> ClipTask:
    return ClipTask(
        **{
            **values,
            "modalities": tuple(values["modalities"]),
            "settings": FeatureSettings(**values["settings"]),
        }
    )
