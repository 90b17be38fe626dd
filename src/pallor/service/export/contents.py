"""What an export holds, whatever it is written to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ExportFile:
    """One file that is copied as it is.

    Attributes
    ----------
    name
        In the export, with ``/``.
    path
        Where it lies.
    """

    name: str
    path: Path


@dataclass(frozen=True)
class ExportContents:
    """What an export holds.

    Attributes
    ----------
    files
        In the order in which they are written. One that is gone by then is left out.
    texts
        Tells, once the files are written, the texts that go behind them: by name, from the
        names of the files that were written.
    """

    files: tuple[ExportFile, ...]
    texts: Callable[[Collection[str]], Mapping[str, bytes]]
