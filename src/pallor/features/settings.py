"""How features are to be computed, where there is a choice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pallor.errors import UsageError

PRECISIONS = ("float32", "bfloat16")
"""Precisions of the networks: float32 under ONNX Runtime, bfloat16 under OpenVINO."""

CUSTOM = "custom"
"""The modality whose network is a file of the user's own."""


@dataclass(frozen=True)
class FeatureSettings:
    """Choices that a modality may ask for; equal settings give equal features.

    Attributes
    ----------
    precision
        One of `PRECISIONS`; it concerns the networks alone.
    weights
        Backbone to version of its weights; the default version where none is named.
    files
        Backbone, or ``custom``, to the path of a file to take instead.
    threads
        Threads that a network may use; features do not depend on it.
    keep_frames
        Whether the embedding of each frame is kept beside the features.
    """

    precision: str = "float32"
    weights: Mapping[str, str] = field(default_factory=dict)
    # Where a file lies does not matter, and which it is, is known by its hash.
    files: Mapping[str, str] = field(default_factory=dict, compare=False)
    threads: int = field(default=1, compare=False)
    keep_frames: bool = False

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise UsageError(
                f"precision {self.precision!r} is unknown; choose from {', '.join(PRECISIONS)}"
            )
        if self.threads < 1:
            raise UsageError(f"threads is {self.threads}: at least 1 is needed")


def usable_cores() -> int:
    """Count the processors that this process may run on."""
    import os

    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def named_values(texts: Iterable[str], option: str) -> dict[str, str]:
    """Read ``NAME=VALUE`` texts of a repeated option.

    Raises
    ------
    UsageError
        If a text has another form, or a name comes twice.
    """
    values: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name or not value:
            raise UsageError(f"{option} {text}: write it as NAME=VALUE")
        if name in values:
            raise UsageError(f"{option} names {name} twice")
        values[name] = value
    return values


def backbone_files(texts: Iterable[str]) -> dict[str, str]:
    """Read the values of ``--backbone-file``: ``NAME=FILE``, or ``FILE`` for ``custom``.

    Raises
    ------
    UsageError
        If a name comes twice, or a file name is empty.
    """
    from pallor.features.backbones.table import BACKBONES

    names = {*BACKBONES, CUSTOM}
    # A path may itself hold "=": only a known name before it is one.
    full = [text if text.partition("=")[0] in names else f"{CUSTOM}={text}" for text in texts]
    return named_values(full, "--backbone-file")
