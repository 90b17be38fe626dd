"""The one pass over a clip: everything that every modality needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from pallor.errors import ClipError
from pallor.video.traces import Traces


class InputKind(StrEnum):
    """What kind of clip a recording comes from; a model is trained on one kind."""

    FACE_VIDEO = "face_video"
    FACE_STILL = "face_still"
    REGION_STILL = "region_still"
    """A still whose alpha channel marks the region; its one region is called ``tissue``."""


@dataclass(frozen=True)
class Sample:
    """One of the uniformly spaced looks at the full-resolution picture.

    Attributes
    ----------
    time_s
        Presentation time in seconds.
    crop
        Aligned face, ``(224, 224, 3)`` uint8 RGB; None where crops were not asked for.
    pixels
        For each visible region its valid pixels, ``(n, 3)`` uint8 gamma-encoded RGB (a
        uniform subsample where the region is large).
    clipped
        For each region the share of its pixels left out as specular or clipped, 0..1.
    """

    time_s: float
    crop: NDArray[np.uint8] | None
    pixels: Mapping[str, NDArray[np.uint8]]
    clipped: Mapping[str, float]


@dataclass(frozen=True)
class Recording:
    """What one pass over a clip leaves behind. No full frame is kept.

    Attributes
    ----------
    clip
        Path as given.
    input_kind
        Face video, face still or region still.
    simulated
        True where the file says that it was rendered by a simulation.
    frames
        Frames decoded.
    duration_s
        Time from first to last frame plus one frame interval; 0 for a still.
    fps
        ``frames / duration_s``; 0 for a still.
    face_coverage
        Share of the frames in which a face was tracked, 0..1; 1 for a region still.
    traces
        Region means over time.
    samples
        Uniformly spaced looks at the full-resolution picture, in order of time.
    file_sha256, content_sha256
        Of the file's bytes, and of what it decodes to: equal contents in different
        containers or encodings of the same pixels have equal ``content_sha256``.
    warnings
        What is worth saying although the clip can be used.
    """

    clip: str
    input_kind: InputKind
    simulated: bool
    frames: int
    duration_s: float
    fps: float
    face_coverage: float
    traces: Traces
    samples: tuple[Sample, ...]
    file_sha256: str
    content_sha256: str
    warnings: tuple[ClipError, ...] = field(default=())
