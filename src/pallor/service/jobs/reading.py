"""How jobs read a clip: within which limits, and with what loaded beforehand."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from pallor.errors import FaceLostError, NoFaceError, WeightsError

if TYPE_CHECKING:
    from pallor.service.settings import UploadLimits
    from pallor.video.clip_info import ClipLimits

FACELESS = (NoFaceError, FaceLostError)
"""A clip that can be read and shows no usable face: that is a result, not a failure."""


def clip_limits(limits: UploadLimits) -> ClipLimits:
    """Return the limits of an upload as the reader of clips takes them."""
    from pallor.video.clip_info import ClipLimits

    usual = ClipLimits()
    return ClipLimits(
        max_bytes=limits.max_bytes,
        max_duration_s=limits.max_duration_s,
        max_pixels=limits.max_pixels,
        max_still_pixels=min(usual.max_still_pixels, limits.max_pixels),
        # 240 frames a second, the fastest of a phone.
        max_frames=min(usual.max_frames, int(240 * limits.max_duration_s) + 1),
    )


def warm_up_reader(face_model: Path | None) -> None:
    """Load what reading the first clip would load.

    Libraries and networks belong to the worker: they count against the memory of no job, and
    no clip waits for them.
    """
    import av.subtitles
    import av.video  # noqa: F401
    import cv2  # noqa: F401
    import numpy as np

    from pallor.features import heart_rate, quality  # noqa: F401
    from pallor.video import recorder  # noqa: F401
    from pallor.video.face import FaceLandmarker

    # Where it is absent, the jobs that need it fail with the reason.
    with contextlib.suppress(WeightsError):
        FaceLandmarker(face_model).detect(np.zeros((128, 128, 3), dtype=np.uint8))
