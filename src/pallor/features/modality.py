"""What a modality is, and how its features are documented."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pallor.video.recording import InputKind, Recording

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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
class FrameFeatures:
    """Features of a clip with what they were pooled from.

    Attributes
    ----------
    features
        ``{feature name: value}``.
    frames
        Embedding of each sampled frame, ``(frames, d)`` float32.
    time_s
        Presentation times in seconds, ``(frames,)``.
    """

    features: dict[str, float]
    frames: NDArray[np.float32]
    time_s: NDArray[np.float64]


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
    with_frames
        Likewise, with the embedding of each frame; None where there are no embeddings.
    ready
        Checks before the work that what the modality needs is there, raising what is wrong,
        and returns what its features depend on (weights and their hash); None where it needs
        nothing. A modality with it is computed only where it is asked for by name.
    """

    name: str
    compute: Callable[[Recording], dict[str, float]]
    docs: tuple[FeatureDoc, ...]
    input_kinds: frozenset[InputKind]
    needs_crops: bool = False
    with_frames: Callable[[Recording], FrameFeatures] | None = None
    ready: Callable[[], Mapping[str, Any]] | None = None
