"""A job, as everybody but the database sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

QUEUED: Final = "queued"
RUNNING: Final = "running"
DONE: Final = "done"
FAILED: Final = "failed"

ESTIMATE: Final = "estimate"
"""A clip to an estimate."""
CLIP_CHECK: Final = "clip_check"
"""A clip of a study to what can be said of it; the result stays as long as the clip."""


@dataclass(frozen=True)
class Job:
    """What is to be done with one clip, and how far it is.

    Attributes
    ----------
    id
        Unguessable: whoever knows it may see the result.
    kind
        `ESTIMATE` or `CLIP_CHECK`.
    state
        ``queued``, ``running``, ``done`` or ``failed``.
    created_s, started_s, finished_s
        Seconds since 1970; None where it has not come to that.
    stage, share
        What is being done, and how much of the whole is, 0..1.
    heartbeat_s
        When its worker was last heard of, in seconds since 1970.
    attempts
        How often a worker took it.
    worker_id
        Who works on it now; None where nobody does.
    file_token
        Of the file: in the `FileStore` of uploads, of a `CLIP_CHECK` in that of clips.
    options
        What came with the clip.
    result
        Of a job that is done. It may say that the clip is not usable.
    code, text
        Why it failed.
    owner
        Id of the key that it was created with; None without one.
    """

    id: str
    kind: str
    state: str
    created_s: float
    started_s: float | None
    finished_s: float | None
    heartbeat_s: float | None
    stage: str
    share: float
    attempts: int
    worker_id: str | None
    file_token: str | None
    options: Mapping[str, Any]
    result: Mapping[str, Any] | None
    code: str | None
    text: str | None
    owner: str | None

    @property
    def finished(self) -> bool:
        """Whether the job is done or failed."""
        return self.state in (DONE, FAILED)
