"""Modalities by name: loaded when asked for, computed together, documented."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Final

from pallor.errors import ClipError, StillImageError, UsageError
from pallor.features.modality import FeatureDoc, Modality
from pallor.video.recording import InputKind, Recording


def _color() -> Modality:
    from pallor.features.color import MODALITY

    return MODALITY


def _pulse() -> Modality:
    from pallor.features.pulse import MODALITY

    return MODALITY


MODALITIES: Final[dict[str, Callable[[], Modality]]] = {
    "color": _color,
    "pulse": _pulse,
}
"""Name to a function that imports the modality; the order is that of columns and reports."""

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


def compute_features(recording: Recording, modalities: Iterable[str]) -> dict[str, float]:
    """Compute the features of some modalities.

    Parameters
    ----------
    recording
        One pass over a clip.
    modalities
        Names out of `MODALITIES`, in any order; a repeated name counts once.

    Returns
    -------
    dict
        ``{feature name: value}`` in registry order. Values are exact in float32; NaN where
        undefined or beyond its range. The names depend on the kind of input alone.

    Raises
    ------
    UsageError
        For an unknown modality, or one that needs face crops which were not recorded.
    StillImageError
        For a still where a modality needs a video.
    ClipError
        For another kind of input for which a modality is not defined.
    """
    loaded = [MODALITIES[name]() for name in check_modalities(modalities)]
    for modality in loaded:
        _check_fits(recording, modality)
    features: dict[str, float] = {}
    for modality in loaded:
        features |= modality.compute(recording)
    return dict(zip(features, _as_float32(list(features.values())), strict=True))


def documentation(modalities: Iterable[str] | None = None) -> list[FeatureDoc]:
    """Documentation of the features of some modalities, or of all.

    Raises
    ------
    UsageError
        For an unknown modality.
    """
    names = MODALITIES if modalities is None else check_modalities(modalities)
    return [doc for name in names for doc in MODALITIES[name]().docs]


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
    docs = MODALITIES[modality]().docs if modality in MODALITIES else ()
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
