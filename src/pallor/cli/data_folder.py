"""What the commands beside the service ask of its data folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pallor.errors import UsageError

if TYPE_CHECKING:
    from pallor.service.settings import ServiceSettings

_SQLITE = "sqlite:///"


def need_database(settings: ServiceSettings, what: str) -> None:
    """Say that nothing is there, where a mistyped name would make a new database.

    Parameters
    ----------
    settings
        Their ``data`` and ``url`` are used.
    what
        Looked for.

    Raises
    ------
    UsageError
        If there is no such folder, or no file of a database.
    """
    is_file = settings.url.startswith(_SQLITE)
    there = not is_file or Path(settings.url.removeprefix(_SQLITE)).is_file()
    if not settings.data.is_dir() or not there:
        raise UsageError(f"{settings.data}: no {what} is here: name the data folder of the service")
