"""The kinds of jobs: who does them, where their clip lies, and whether it stays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from pallor.service.files import FileStore
from pallor.service.store.job import CLIP_CHECK, ESTIMATE

if TYPE_CHECKING:
    from pallor.service.settings import ServiceSettings
    from pallor.service.store.job import Job


@dataclass(frozen=True)
class JobKind:
    """One kind of job.

    Attributes
    ----------
    work
        ``module:function`` that makes the function which does such a job.
    folder
        Of the settings: where the clip lies.
    keeps_clip
        Whether the clip stays when the job has ended. If not, it is deleted then.
    """

    work: str
    folder: Callable[[ServiceSettings], Path]
    keeps_clip: bool = False


KINDS: Mapping[str, JobKind] = MappingProxyType(
    {
        ESTIMATE: JobKind(
            "pallor.service.jobs.estimate_job:prepare", lambda settings: settings.uploads
        ),
        CLIP_CHECK: JobKind(
            "pallor.service.jobs.clip_check:prepare",
            lambda settings: settings.clips,
            keeps_clip=True,
        ),
    }
)
"""By the name that stands in the database."""


class JobFiles:
    """The clips that jobs are about.

    Parameters
    ----------
    settings
        Their folders are made where they are not there.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self._stores = {name: FileStore(kind.folder(settings)) for name, kind in KINDS.items()}

    def path(self, job: Job) -> Path | None:
        """Return where the clip of a job is, or was; None for a job without one."""
        store = self._stores.get(job.kind)
        return None if store is None or job.file_token is None else store.path(job.file_token)

    def forget(self, job: Job) -> None:
        """Delete the clip of a job that has ended, unless its kind keeps clips.

        What became of a job never decides over a clip of a study: only who deletes the clip does.
        """
        kind = KINDS.get(job.kind)
        if kind is not None and not kind.keeps_clip:
            self._stores[job.kind].delete(job.file_token)
