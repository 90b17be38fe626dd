"""Clips that occur more than once, found by what the files hold."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pallor.cohort.folds import CONTENT_COLUMNS
from pallor.cohort.table import Cohort
from pallor.video.clip_info import ClipLimits
from pallor.video.content import file_sha256

if TYPE_CHECKING:
    import pandas as pd

LABELS = ("hemoglobin_g_dl", "sex", "age_years", "site")
"""Columns in which copies of one clip should agree."""

_STILLS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True)
class DuplicateGroup:
    """Rows whose clips are the same.

    Attributes
    ----------
    rows
        Positions in the table, ascending.
    participants, clips
        Of each of these rows.
    conflicts
        Column of `LABELS` to its different values; empty where the labels agree.
    """

    rows: tuple[int, ...]
    participants: tuple[str, ...]
    clips: tuple[str, ...]
    conflicts: Mapping[str, tuple[Any, ...]]

    @property
    def across_participants(self) -> bool:
        """Whether different participants share the clip."""
        return len(set(self.participants)) > 1


@dataclass(frozen=True)
class Duplicates:
    """All clips of a table that occur more than once.

    Attributes
    ----------
    groups
        Groups of two or more rows, in the order of their first row.
    total
        Rows of the table.
    unread
        Clips that could not be compared because they are absent or do not open.
    """

    groups: tuple[DuplicateGroup, ...]
    total: int
    unread: tuple[str, ...] = ()

    @property
    def rows(self) -> tuple[int, ...]:
        """Positions of all rows that share their clip with another, ascending."""
        return tuple(sorted(row for group in self.groups for row in group.rows))

    @property
    def across_participants(self) -> tuple[DuplicateGroup, ...]:
        """Groups that different participants share."""
        return tuple(group for group in self.groups if group.across_participants)

    @property
    def conflicting(self) -> tuple[DuplicateGroup, ...]:
        """Groups whose labels contradict one another."""
        return tuple(group for group in self.groups if group.conflicts)

    def notes(self) -> list[str]:
        """Return what to tell a user, one sentence each; nothing where all clips differ."""
        notes = []
        if self.groups:
            notes.append(
                f"{len(self.rows)} of {self.total} clips are copies of one another, in "
                f"{len(self.groups)} groups; {len(self.across_participants)} groups span "
                f"several participants, {len(self.conflicting)} have conflicting labels: "
                "copies go to one fold, and scores are given with and without them"
            )
        for group in self.conflicting[:5]:
            told = "; ".join(
                f"{name} {', '.join(map(str, values))}" for name, values in group.conflicts.items()
            )
            notes.append(f"the same clip: {', '.join(group.clips)}: {told}")
        if len(self.conflicting) > 5:
            notes.append(f"and {len(self.conflicting) - 5} more groups with conflicting labels")
        if self.unread:
            notes.append(f"{len(self.unread)} clips could not be compared: absent or unreadable")
        return notes

    def as_dict(self) -> dict[str, Any]:
        """Return counts and the conflicting groups in the form used in JSON output."""
        return {
            "groups": len(self.groups),
            "rows": len(self.rows),
            "across_participants": len(self.across_participants),
            "conflicting": [
                {
                    "participants": list(group.participants),
                    "clips": list(group.clips),
                    "conflicts": {name: list(values) for name, values in group.conflicts.items()},
                }
                for group in self.conflicting
            ],
        }


def find_duplicates(cohort: Cohort) -> Duplicates:
    """Compare the clips of a cohort by content.

    Parameters
    ----------
    cohort
        A validated cohort; clips that are absent are left out and counted.

    Returns
    -------
    Duplicates
        Byte-identical files, and stills that decode to the same pixels. The color under
        fully transparent pixels does not count, since it is no part of the picture.

    Notes
    -----
    Only files of equal size are hashed, and only stills of equal dimensions decoded.
    Videos that differ in bytes but not in pixels are found after extraction, see
    `duplicates_of_table`.
    """
    paths = cohort.clip_paths()
    sizes: dict[int, int] = {}
    for row, path in enumerate(paths):
        try:
            if path.is_file():
                sizes[row] = path.stat().st_size
        except OSError:
            continue
    unread = set(range(len(paths))) - set(sizes)
    identities: list[tuple[int, Hashable]] = []
    for rows in _shared(sizes.items()):
        for row in rows:
            try:
                digest = file_sha256(paths[row])
            except OSError:
                unread.add(row)
                continue
            identities.append((row, ("bytes", digest)))
    shapes: dict[int, tuple[int, int]] = {}
    for row in sizes:
        if paths[row].suffix.lower() in _STILLS:
            shape = _still_shape(paths[row])
            if shape is None:
                unread.add(row)
            else:
                shapes[row] = shape
    for rows in _shared(shapes.items()):
        for row in rows:
            digest_or_none = _pixel_digest(paths[row])
            if digest_or_none is None:
                unread.add(row)
            else:
                identities.append((row, ("pixels", digest_or_none)))
    clips = [str(clip) for clip in cohort.frame["clip"]]
    return _collect(cohort.frame, identities, tuple(clips[row] for row in sorted(unread)))


def duplicates_of_table(table: pd.DataFrame) -> Duplicates:
    """Compare the clips of a feature table by the hashes that extraction stored.

    Parameters
    ----------
    table
        One row a clip, with ``participant_id``, ``clip`` and at least one of
        ``file_sha256`` and ``content_sha256``; missing hashes match nothing.
    """
    identities: list[tuple[int, Hashable]] = [
        (row, (column, value))
        for column in CONTENT_COLUMNS
        if column in table.columns
        for row, value in enumerate(table[column].tolist())
        if isinstance(value, str) and value
    ]
    return _collect(table, identities, ())


def _shared(items: Iterable[tuple[int, Hashable]]) -> list[list[int]]:
    by_value: dict[Hashable, list[int]] = defaultdict(list)
    for row, value in items:
        by_value[value].append(row)
    return [rows for rows in by_value.values() if len(rows) > 1]


def _collect(
    table: pd.DataFrame, identities: list[tuple[int, Hashable]], unread: tuple[str, ...]
) -> Duplicates:
    """Join rows that have any identity in common."""
    group_of: dict[int, list[int]] = {}
    for rows in _shared(identities):
        merged = sorted({member for row in rows for member in group_of.get(row, [row])})
        for member in merged:
            group_of[member] = merged
    groups = {tuple(rows) for rows in group_of.values()}
    return Duplicates(tuple(_group(table, rows) for rows in sorted(groups)), len(table), unread)


def _group(table: pd.DataFrame, rows: tuple[int, ...]) -> DuplicateGroup:
    part = table.iloc[list(rows)]
    conflicts = {}
    for column in LABELS:
        if column in table.columns:
            values = sorted(set(part[column].dropna().tolist()))
            if len(values) > 1:
                conflicts[column] = tuple(values)
    people = tuple(str(value) for value in part["participant_id"])
    return DuplicateGroup(rows, people, tuple(str(value) for value in part["clip"]), conflicts)


def _still_shape(path: Path) -> tuple[int, int] | None:
    """Return width and height from the header, None where it is no picture or too large."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            width, height = image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    small_enough = width * height <= ClipLimits().max_still_pixels
    return (width, height) if small_enough else None


def _pixel_digest(path: Path) -> str | None:
    import numpy as np
    from PIL import Image

    try:
        with Image.open(path) as image:
            if image.mode in {"I", "F"} or image.mode.startswith("I;"):
                # More than 8 bits a channel: a conversion would call different pixels equal.
                return hashlib.sha256(image.mode.encode() + image.tobytes()).hexdigest()
            pixels = np.array(image.convert("RGBA"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    pixels[pixels[..., 3] == 0] = 0
    return hashlib.sha256(pixels.tobytes()).hexdigest()
