"""What of an error may be said to whoever sent the clip."""

from __future__ import annotations

from pathlib import Path

from pallor.errors import ClipError, PallorError, UsageError
from pallor.service.errors import JobInternalError, JobMemoryError, ServiceError
from pallor.service.jobs.memory_errors import is_memory_error
from pallor.service.jobs.work import without_path


def said_of(error: Exception, path: Path, *, no_memory: bool = False) -> PallorError:
    """Return an error whose text may be seen by anybody.

    Parameters
    ----------
    error
        Whatever ended a job.
    path
        Of the clip.
    no_memory
        Whether the limit of memory was met, whatever the error says.

    Returns
    -------
    PallorError
        With the code of the error where it has one. Only what is about the clip, or about what
        was asked, keeps its text: others name files of the server.
    """
    if no_memory or is_memory_error(error):
        return JobMemoryError(
            "the clip needs more memory than a job may use: record a shorter one, or at a lower "
            "resolution"
        )
    if isinstance(error, ClipError | UsageError | ServiceError):
        return without_path(error, path)
    text = (
        "the clip could not be processed: this is a fault of the service; tell its operator the "
        "id of the job"
    )
    return type(error)(text) if isinstance(error, PallorError) else JobInternalError(text)
