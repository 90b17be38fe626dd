"""Published data sets by name: a folder as its makers publish it becomes a cohort."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from pallor.cohort.cp_anemic import read_cp_anemic
from pallor.cohort.mcd_rppg import read_mcd_rppg
from pallor.cohort.table import Cohort
from pallor.errors import UsageError

Reader = Callable[[Path], Cohort]
"""Root folder to cohort; clip paths are relative to the root, what was odd is in the notes."""

READERS: Mapping[str, Reader] = MappingProxyType(
    {
        "cp-anemic": read_cp_anemic,
        "mcd-rppg": read_mcd_rppg,
    }
)
"""Name on the command line to reader."""


def read(name: str, root: str | Path) -> Cohort:
    """Read a published data set.

    Parameters
    ----------
    name
        One of `READERS`.
    root
        Folder of the data set.

    Raises
    ------
    UsageError
        For an unknown name.
    CohortError
        If the folder is not laid out as that data set.
    """
    try:
        reader = READERS[name]
    except KeyError:
        raise UsageError(f"unknown reader {name!r}; choose from {', '.join(READERS)}") from None
    return reader(Path(root))
