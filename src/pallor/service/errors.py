"""What can go wrong in the service, one class each."""

from __future__ import annotations

from pallor.errors import PallorError


class ServiceError(PallorError):
    """Base of the errors of the service."""

    code = "service"


class StoreError(ServiceError):
    """The database cannot be opened, migrated or used."""

    code = "store"


class FileTokenError(ServiceError):
    """A name that no stored file has, or could have."""

    code = "file_token"


class ModelUnknownError(ServiceError):
    """The estimate asks for a model that is not loaded, or none is."""

    code = "no_model"


class JobMemoryError(ServiceError):
    """The clip needs more memory than a job may use."""

    code = "memory_limit"


class JobTimeError(ServiceError):
    """The clip takes longer than a job may run."""

    code = "time_limit"


class JobCrashedError(ServiceError):
    """The process that worked on the clip ended, more than once."""

    code = "crashed"


class JobFileMissingError(ServiceError):
    """The upload is no longer there."""

    code = "upload_missing"


class JobInternalError(ServiceError):
    """Something that is our fault; the log of the worker says what."""

    code = "internal"


class ExportError(ServiceError):
    """What a study holds cannot be written out."""

    code = "export"
