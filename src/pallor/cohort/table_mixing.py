"""Several feature tables as one: refused where features would not mean the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pallor.cohort.feature_folder import IDENTITY
from pallor.cohort.stored_table import StoredTable
from pallor.errors import FeatureTableError

_SAME: Final = (*IDENTITY, "input_kinds")


def mixed_settings(tables: Sequence[StoredTable]) -> dict[str, Any]:
    """Return the settings of several tables together.

    Parameters
    ----------
    tables
        At least one.

    Returns
    -------
    dict
        As in ``extraction.json``: what must be the same is; counts of clips are added up and
        failures listed one after another. ``versions`` are those of the first table, the
        others' stand under ``versions_before``; where libraries differ, ``notes`` says so.

    Raises
    ------
    FeatureTableError
        If tables differ in a setting that decides what features mean, or in the kinds of
        input; the message names both folders and the settings.
    """
    first = tables[0]
    if len(tables) == 1:
        return first.settings
    for other in tables[1:]:
        _check(first, other)
    every = [table.settings for table in tables]
    before = [
        versions
        for settings in every
        for versions in (settings.get("versions"), *(settings.get("versions_before") or ()))
        if versions and versions != every[0].get("versions")
    ]
    return {
        **every[0],
        "versions_before": [v for i, v in enumerate(before) if v not in before[:i]],
        "modalities": list(dict.fromkeys(name for table in tables for name in table.modalities)),
        "simulated": any(settings.get("simulated") for settings in every),
        "counts": _added([settings.get("counts") or {} for settings in every]),
        "failures": [failure for settings in every for failure in settings.get("failures") or ()],
        "notes": [note for other in tables[1:] for note in _notes(first, other)],
    }


def shown(value: object) -> str:
    """Return a setting as it stands in a message."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {part}" for name, part in value.items()) or "none"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _check(first: StoredTable, other: StoredTable) -> None:
    differing = [
        f"{name} {shown(first.settings.get(name))} and {shown(other.settings.get(name))}"
        for name in _SAME
        if first.settings.get(name) != other.settings.get(name)
    ]
    if differing:
        raise FeatureTableError(
            f"{first.folder} and {other.folder} were extracted with different settings "
            f"({'; '.join(differing)}) and cannot be mixed: extract both with the same, or use one"
        )
    if first.folder.resolve() == other.folder.resolve():
        raise FeatureTableError(f"{first.folder} is named twice: name every folder once")


def _added(counts: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    # Of participants there is no sum: one may be in several folders.
    names = dict.fromkeys(name for one in counts for name in one if name != "participants")
    return {name: sum(int(one.get(name, 0)) for one in counts) for name in names}


def _notes(first: StoredTable, other: StoredTable) -> list[str]:
    ours, theirs = (table.settings.get("versions") or {} for table in (first, other))
    differing = [
        f"{name} {ours.get(name, 'absent')} and {theirs.get(name, 'absent')}"
        for name in sorted({*ours, *theirs})
        if ours.get(name) != theirs.get(name)
    ]
    if not differing:
        return []
    return [
        f"{first.folder} and {other.folder} were extracted with different libraries "
        f"({'; '.join(differing)}): their features may differ a little for that alone"
    ]
