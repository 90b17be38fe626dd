"""Modalities by name: loaded when asked for, computed together, documented."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, Final

from pallor.errors import ClipError, StillImageError, UsageError
from pallor.features.backbones.table import BACKBONES
from pallor.features.modality import FeatureDoc, FrameFeatures, Modality
from pallor.features.settings import CUSTOM, FeatureSettings
from pallor.video.recording import InputKind, Recording


def _color(_settings: FeatureSettings) -> Modality:
    from pallor.features.color import MODALITY

    return MODALITY


def _pulse(_settings: FeatureSettings) -> Modality:
    from pallor.features.pulse import MODALITY

    return MODALITY


def _embedding(name: str, settings: FeatureSettings) -> Modality:
    from pallor.features.embedding import embedding_modality

    return embedding_modality(name, settings)


MODALITIES: Final[dict[str, Callable[[FeatureSettings], Modality]]] = {
    "color": _color,
    "pulse": _pulse,
    **{name: partial(_embedding, name) for name in (*BACKBONES, CUSTOM)},
}
"""Name to a function that imports the modality; the order is that of columns and reports."""

USUAL: Final = ("color", "pulse")
"""What is computed where nothing is named: whatever needs no weights of a network."""

_PLACEHOLDER = re.compile(r"\{[^{}]+\}")


def check_modalities(names: Iterable[str]) -> list[str]:
    """Return the names once each, in the order of the registry.

    Raises
    ------
    UsageError
        For no name at all, or a name that the registry does not know.
    """
    asked = list(dict.fromkeys(names))
    known = ", ".join(MODALITIES)
    if not asked:
        raise UsageError(f"no modality given; choose from {known}")
    unknown = [name for name in asked if name not in MODALITIES]
    if unknown:
        raise UsageError(f"unknown modality {', '.join(map(repr, unknown))}; choose from {known}")
    return [name for name in MODALITIES if name in asked]


@dataclass(frozen=True)
class Computed:
    """What was computed of a recording.

    Attributes
    ----------
    features
        ``{feature name: value}`` in registry order. Values are exact in float32; NaN where
        undefined or beyond its range. The names depend on the kind of input alone.
    frames
        Modality to its frame embeddings; empty unless they are to be kept.
    """

    features: dict[str, float]
    frames: dict[str, FrameFeatures] = field(default_factory=dict)


def load_modalities(names: Iterable[str], settings: FeatureSettings) -> dict[str, Modality]:
    """Return modalities by name, in the order of the registry.

    Raises
    ------
    UsageError
        For an unknown name.
    """
    return {name: MODALITIES[name](settings) for name in check_modalities(names)}


def check_ready(names: Iterable[str], settings: FeatureSettings) -> dict[str, dict[str, Any]]:
    """Check before the work that what the modalities need is there.

    Returns
    -------
    dict
        Modality to what its features depend on, for those that depend on more than pallor.

    Raises
    ------
    PallorError
        What is missing or wrong, and what to do.
    """
    loaded = load_modalities(names, settings)
    strangers = [name for name in (*settings.weights, *settings.files) if name not in loaded]
    if strangers:
        raise UsageError(
            f"weights or a file are given for {strangers[0]}, which is not among the modalities "
            f"{', '.join(loaded)}: add it there"
        )
    return {name: dict(m.ready()) for name, m in loaded.items() if m.ready is not None}


def compute_features(
    recording: Recording, modalities: Iterable[str], settings: FeatureSettings | None = None
) -> dict[str, float]:
    """Compute the features of some modalities; `compute` tells the rest."""
    return compute(recording, modalities, settings).features


def compute(
    recording: Recording, modalities: Iterable[str], settings: FeatureSettings | None = None
) -> Computed:
    """Compute the features of some modalities.

    Parameters
    ----------
    recording
        One pass over a clip.
    modalities
        Names out of `MODALITIES`, in any order; a repeated name counts once.
    settings
        Where there is a choice; the defaults where not given.

    Returns
    -------
    Computed

    Raises
    ------
    UsageError
        For an unknown modality, or one that needs face crops which were not recorded.
    StillImageError
        For a still where a modality needs a video.
    ClipError
        For another kind of input for which a modality is not defined.
    WeightsError
        If the weights of a network are absent, altered or unusable.
    """
    settings = settings or FeatureSettings()
    loaded = load_modalities(modalities, settings)
    for modality in loaded.values():
        _check_fits(recording, modality)
    features: dict[str, float] = {}
    frames: dict[str, FrameFeatures] = {}
    for name, modality in loaded.items():
        if settings.keep_frames and modality.with_frames is not None:
            frames[name] = modality.with_frames(recording)
            features |= frames[name].features
        else:
            features |= modality.compute(recording)
    return Computed(dict(zip(features, _as_float32(list(features.values())), strict=True)), frames)


def documentation(modalities: Iterable[str] | None = None) -> list[FeatureDoc]:
    """Documentation of the features of some modalities, or of all.

    Raises
    ------
    UsageError
        For an unknown modality.
    """
    names = MODALITIES if modalities is None else check_modalities(modalities)
    return [doc for name in names for doc in MODALITIES[name](FeatureSettings()).docs]


def match_doc(name: str) -> FeatureDoc:
    """Find the documentation of a feature.

    Parameters
    ----------
    name
        Full feature name, such as ``color.lips_minus_sclera.log_rg.mean``.

    Returns
    -------
    FeatureDoc
        Of the one pattern that matches. A placeholder stands for one dotted part, or for one
        side of ``_minus_`` within it.

    Raises
    ------
    KeyError
        If no pattern matches, or more than one, which is a mistake in the documentation.
    """
    modality = name.partition(".")[0]
    docs = MODALITIES[modality](FeatureSettings()).docs if modality in MODALITIES else ()
    found = [doc for doc in docs if _expression(doc.pattern).fullmatch(name)]
    if len(found) != 1:
        patterns = ", ".join(doc.pattern for doc in found) or "none"
        raise KeyError(f"feature {name!r} should match one documented pattern; matches {patterns}")
    return found[0]


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    literals = map(re.escape, _PLACEHOLDER.split(pattern))
    return re.compile(r"(?:(?!_minus_)[^.])+".join(literals))


def _check_fits(recording: Recording, modality: Modality) -> None:
    kind = recording.input_kind
    if kind not in modality.input_kinds:
        if kind is InputKind.FACE_VIDEO:
            raise ClipError(f"{recording.clip}: {modality.name!r} is not defined for a face video")
        raise StillImageError(
            f"{recording.clip}: is a still image and {modality.name!r} needs a video; "
            f"leave {modality.name!r} out of the modalities or record a video"
        )
    if modality.needs_crops and any(sample.crop is None for sample in recording.samples):
        raise UsageError(
            f"{recording.clip}: {modality.name!r} needs face crops, which this recording was made "
            "without; record the clip again with crops"
        )


def _as_float32(values: Sequence[float]) -> list[float]:
    import numpy as np

    with np.errstate(over="ignore"):
        rounded = np.asarray(values, dtype=np.float64).astype(np.float32)
    rounded[~np.isfinite(rounded)] = np.nan
    return [float(v) for v in rounded]
