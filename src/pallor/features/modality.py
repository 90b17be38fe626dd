"""What a modality is, and how its features are documented."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pallor.video.recording import InputKind, Recording


@dataclass(frozen=True)
class FeatureDoc:
    """Documentation of a family of features.

    Attributes
    ----------
    pattern
        Name with placeholders, such as ``color.{region}.log_rg.{statistic}``.
    description
        What it measures, one sentence.
    formula
        How it is computed, in plain text.
    unit
        ``1`` for a ratio, ``bpm``, ``s``, ``degree``, ...
    source
        Paper and equation, or the reason where it is ours.
    """

    pattern: str
    description: str
    formula: str
    unit: str
    source: str


@dataclass(frozen=True)
class Modality:
    """A named family of features computed from a recording.

    Attributes
    ----------
    name
        The first part of each of its features' names.
    compute
        Recording to ``{feature name: value}``. The names depend on the recording's kind of
        input alone, never on its content; what is undefined is NaN.
    docs
        Documentation; every feature matches exactly one pattern.
    input_kinds
        Kinds of input for which the modality is defined.
    needs_crops
        Whether ``Sample.crop`` must be there.
    """

    name: str
    compute: Callable[[Recording], dict[str, float]]
    docs: tuple[FeatureDoc, ...]
    input_kinds: frozenset[InputKind]
    needs_crops: bool = False
