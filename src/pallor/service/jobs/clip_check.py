"""A clip of a study: can a pulse be read in it, and if not, what should be changed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pallor.errors import ClipError
from pallor.service.jobs.reading import FACELESS, clip_limits, warm_up_reader
from pallor.service.jobs.work import Progress, Work, plain_result

if TYPE_CHECKING:
    from pallor.service.settings import ServiceSettings, UploadLimits

_READ = 0.9
"""Share of the whole that is done when the clip was read."""


def prepare(settings: ServiceSettings) -> Work:
    """Load what reading a clip needs, before the first job."""
    warm_up_reader(settings.face_model)

    def work(path: Path, _options: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
        return check_clip(path, settings.limits, settings.face_model, progress)

    return work


def check_clip(
    path: Path, limits: UploadLimits, face_model: Path | None, progress: Progress
) -> dict[str, Any]:
    """Check one clip.

    Parameters
    ----------
    path
        Of the clip; it is nowhere in the result.
    limits
        Of the clip.
    face_model
        Path of the landmark model file; searched for when not given.
    progress
        Called with a stage and the share of the whole that is done.

    Returns
    -------
    dict
        ``usable``, ``reasons`` and ``warnings`` (lists of ``code`` and ``text``), ``simulated``,
        and, None where no face was found, ``duration_s``, ``fps``, ``frames``,
        ``face_coverage``, ``heart_rate_bpm``, ``snr_db``.

    Raises
    ------
    ClipError
        If the file is no clip that can be read, or larger than the limits. A clip that can be
        read and shows no usable face is a result.
    FaceModelError
        If the landmark model file is absent or altered.
    """
    from pallor.features.quality import assess
    from pallor.video.recorder import record

    bounds = clip_limits(limits)
    progress("reading", 0.0)
    try:
        recording = record(
            path,
            limits=bounds,
            face_model=face_model,
            samples=0,
            progress=lambda share: progress("reading", _READ * share),
        )
    except FACELESS as error:
        return plain_result(_without_face(path, error, limits), path)
    progress("measuring", _READ)
    quality = assess(recording)
    found = {
        "usable": quality.usable,
        "reasons": [reason.as_dict() for reason in quality.reasons],
        "warnings": [warning.as_dict() for warning in quality.warnings],
        "simulated": recording.simulated,
        "duration_s": recording.duration_s,
        "fps": recording.fps,
        "frames": recording.frames,
        "face_coverage": recording.face_coverage,
        "heart_rate_bpm": quality.heart_rate_bpm,
        "snr_db": quality.snr_db,
    }
    progress("measuring", 1.0)
    return plain_result(found, path)


def _without_face(path: Path, error: ClipError, limits: UploadLimits) -> dict[str, Any]:
    from pallor.video.clip import open_clip

    # Nothing was recorded, but the container still says whether it was rendered.
    with open_clip(path, clip_limits(limits)) as clip:
        simulated = clip.info.simulated
    unknown = ("duration_s", "fps", "frames", "face_coverage", "heart_rate_bpm", "snr_db")
    return {
        "usable": False,
        "reasons": [error.as_dict()],
        "warnings": [],
        "simulated": simulated,
        **dict.fromkeys(unknown),
    }
