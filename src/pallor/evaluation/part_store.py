"""What finished parts of an evaluation said, kept on disk so that an interrupted run goes on.

Parts belong to one evaluation: to its features, outcomes, splits, seeds and the versions of
what fits them. Those of another are not read, and all are removed when the evaluation ends.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
import shutil
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pallor.evaluation.shared_members import Said, Source

_IDENTITY: Final = re.compile(r"[0-9a-f]{32}")


def identity_of(arrays: Iterable[NDArray[np.generic]], words: Iterable[str]) -> str:
    """Hash everything that decides what members say.

    Parameters
    ----------
    arrays
        Features, outcomes, splits, in a fixed order.
    words
        Seeds, names and versions, in a fixed order.
    """
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    for word in words:
        digest.update(f"{len(word)}:{word}".encode())
    return digest.hexdigest()


class PartStore:
    """Finished parts in a folder.

    Parameters
    ----------
    folder
        Made when the first part is kept.
    identity
        `identity_of` the evaluation.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self._folder = folder / identity

    def get(self, key: str, source: Source) -> Said | None:
        """Return what was kept of a modality under a key; None where nothing whole is there."""
        from pallor.evaluation.member_effects import effects_from_arrays
        from pallor.evaluation.shared_members import Said

        try:
            with np.load(self._folder / f"{key}.npz", allow_pickle=False) as kept:
                arrays = {name: kept[name] for name in kept.files}
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
            # Absent, or damaged by whatever ended the run: it is computed again.
            return None
        sides: dict[str, dict[str, NDArray[Any]]] = {"tried": {}, "tested": {}, "effects": {}}
        for name, values in arrays.items():
            side, _, rest = name.partition("/")
            sides[side][rest] = values
        effects = None
        if sides["effects"]:
            effects = effects_from_arrays(source.name, source.columns, sides["effects"])
        return Said(sides["tried"], sides["tested"], effects)

    def put(self, key: str, said: Said) -> None:
        """Keep a part, completely or not at all.

        Raises
        ------
        OSError
            If the folder cannot be written to.
        """
        from pallor.cohort.atomic import write_bytes

        self._folder.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        effects = {} if said.effects is None else said.effects.as_arrays()
        sides: dict[str, NDArray[Any]] = {
            **{f"tried/{name}": values for name, values in said.tried.items()},
            **{f"tested/{name}": values for name, values in said.tested.items()},
            **{f"effects/{name}": values for name, values in effects.items()},
        }
        np.savez(buffer, **sides)  # type: ignore[arg-type]
        write_bytes(self._folder / f"{key}.npz", buffer.getvalue())

    @staticmethod
    def clear(folder: Path) -> None:
        """Remove all parts of a run that has ended, those of earlier settings included.

        Nothing else in the folder is touched; left empty, it is removed as well.
        """
        if not folder.is_dir():
            return
        for entry in folder.iterdir():
            if _IDENTITY.fullmatch(entry.name) and entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
        with contextlib.suppress(OSError):  # something of the user's is in it
            folder.rmdir()


OpenStore = Callable[[str], PartStore]
"""Opens the store of an evaluation of a given identity."""
