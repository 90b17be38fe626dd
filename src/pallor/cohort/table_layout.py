"""Which columns a feature table has, known before its first part is written.

Every part has the same columns, also those of which it holds no value. They are collected while
clips pass by, so that no clip is read a second time for their sake.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ClipLayout:
    """What one measured clip holds.

    Attributes
    ----------
    features
        Names of its features.
    frames
        Modality and dimensions of an embedding ``d``, where frames are kept.
    times
        Frames kept.
    """

    features: tuple[str, ...]
    frames: tuple[tuple[str, int], ...] = ()
    times: int = 0


@dataclass(frozen=True)
class TableLayout:
    """What a table holds beside the cohort's columns and the measured ones.

    Attributes
    ----------
    features
        Names of the features, modalities in the order of the registry.
    frames
        Modality to the dimensions of an embedding; empty where no frames are kept.
    times
        The most frames of any clip.
    """

    features: tuple[str, ...] = ()
    frames: Mapping[str, int] = field(default_factory=dict)
    times: int = 0

    @property
    def cells(self) -> int:
        """How many numbers a row holds."""
        return len(self.features) + self.times * (1 + sum(self.frames.values()))

    @property
    def modalities(self) -> list[str]:
        """Modalities that the table holds features of."""
        return list(dict.fromkeys(modality_of(name) for name in self.features))


class LayoutUnion:
    """Collects what clips hold, in any order; the table's layout does not depend on it."""

    def __init__(self) -> None:
        self._features: set[tuple[str, ...]] = set()
        self._frames: dict[str, int] = {}
        self._times = 0

    def add(self, clip: ClipLayout) -> None:
        """Add a clip; thousands of clips share a handful of lists of names."""
        self._features.add(clip.features)
        self._frames.update(clip.frames)
        self._times = max(self._times, clip.times)

    def table(self) -> TableLayout:
        """Return what a table of all these clips holds."""
        # The longest list first: it has the order of its modality nearly always to itself.
        lists = sorted(self._features, key=lambda names: (-len(names), names))
        names = dict.fromkeys(name for one in lists for name in one)
        if not self._frames or not self._times:
            return TableLayout(_in_registry_order(names))
        frames = {name: self._frames[name] for name in _in_registry_order(sorted(self._frames))}
        return TableLayout(_in_registry_order(names), frames, self._times)


def modality_of(feature: str) -> str:
    """Return the modality of a feature's name."""
    return feature.partition(".")[0]


def _in_registry_order(names: Iterable[str]) -> tuple[str, ...]:
    from pallor.features.registry import MODALITIES

    order = {name: index for index, name in enumerate(MODALITIES)}
    return tuple(sorted(names, key=lambda name: order.get(modality_of(name), len(order))))
