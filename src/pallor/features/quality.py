"""Is this clip usable for a pulse, and if not, why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pallor.errors import (
    ClipError,
    NoPulseError,
    StillImageError,
    TooShortForPulseError,
    TooSlowForPulseError,
)
from pallor.features.heart_rate import MIN_DURATION_S, MIN_FPS, pulse_from_traces
from pallor.video.recording import InputKind, Recording

if TYPE_CHECKING:
    from pallor.video.clip import ClipLimits


@dataclass(frozen=True)
class Quality:
    """What a recording is good for.

    Attributes
    ----------
    usable
        Whether a heart rate could be measured with confidence.
    reasons
        Why not; empty when usable.
    warnings
        What is worth saying although the clip is usable.
    heart_rate_bpm, snr_db
        Heart rate in beats a minute, and the signal-to-noise ratio of the pulse after de
        Haan and Jeanne (2013) in dB; None where undefined. The heart rate is None whenever
        the clip is not usable.
    """

    usable: bool
    reasons: tuple[ClipError, ...]
    warnings: tuple[ClipError, ...]
    heart_rate_bpm: float | None
    snr_db: float | None


def assess(recording: Recording) -> Quality:
    """Judge whether a recording holds a pulse."""
    name, traces = recording.clip, recording.traces
    if recording.input_kind is not InputKind.FACE_VIDEO:
        reason: ClipError = StillImageError(
            f"{name}: a still image has no pulse; record a video of at least "
            f"{MIN_DURATION_S:.0f} s."
        )
        return _refused(recording, reason)
    if recording.fps < MIN_FPS:
        reason = TooSlowForPulseError(
            f"{name}: {recording.fps:.1f} frames a second; a pulse needs at least "
            f"{MIN_FPS:.0f}, better 30. Record with more light or a better camera."
        )
        return _refused(recording, reason)
    visible_s = longest_visible_s(recording)
    if visible_s < MIN_DURATION_S:
        reason = TooShortForPulseError(
            f"{name}: {visible_s:.1f} s with a face in one piece; a pulse needs at least "
            f"{MIN_DURATION_S:.0f} s, better 30. Record longer, the face in the picture."
        )
        return _refused(recording, reason)
    signal = pulse_from_traces(traces)
    snr_db = _finite(signal.heart_rate.snr_db)
    if not signal.present:
        reason = NoPulseError(
            f"{name}: no pulse stands out of the noise. Sit still in bright, even light, and "
            "record with little compression (at least 8 Mbit/s); a photograph has no pulse."
        )
        return _refused(recording, reason, snr_db)
    return Quality(True, (), recording.warnings, _finite(signal.heart_rate.bpm), snr_db)


def longest_visible_s(recording: Recording) -> float:
    """Return the length of the longest unbroken part with a face, in seconds."""
    from pallor.video.recorder import visible_parts

    traces = recording.traces
    if len(traces.time_s) < 2:
        return 0.0
    frame_s = float(np.median(np.diff(traces.time_s)))
    parts = visible_parts(np.isfinite(traces.face_size), traces.time_s)
    return max((end - start + frame_s for start, end in parts), default=0.0)


def _refused(recording: Recording, reason: ClipError, snr_db: float | None = None) -> Quality:
    return Quality(False, (reason,), recording.warnings, None, snr_db)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


@dataclass(frozen=True)
class Check:
    """The answer of :func:`check`; :meth:`as_dict` is its JSON form.

    Attributes
    ----------
    clip
        Path as given.
    usable, reasons, warnings, heart_rate_bpm, snr_db
        As in :class:`Quality`; a clip that cannot be read at all is not usable either.
    input_kind
        ``face_video``, ``face_still`` or ``region_still``; None if it could not be read.
    simulated
        Whether the file says that it was rendered by a simulation.
    frames, duration_s, fps, face_coverage
        As in :class:`~pallor.video.recording.Recording`; None if it could not be read.
    """

    clip: str
    usable: bool
    reasons: tuple[ClipError, ...]
    warnings: tuple[ClipError, ...] = ()
    input_kind: str | None = None
    simulated: bool = False
    frames: int | None = None
    duration_s: float | None = None
    fps: float | None = None
    face_coverage: float | None = None
    heart_rate_bpm: float | None = None
    snr_db: float | None = None
    region_coverage: Mapping[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, object]:
        """Return the check as one JSON object."""
        return {
            "clip": self.clip,
            "usable": self.usable,
            "reasons": [reason.as_dict() for reason in self.reasons],
            "warnings": [warning.as_dict() for warning in self.warnings],
            "input_kind": self.input_kind,
            "simulated": self.simulated,
            "frames": self.frames,
            "duration_s": _rounded(self.duration_s, 3),
            "fps": _rounded(self.fps, 3),
            "face_coverage": _rounded(self.face_coverage, 4),
            "heart_rate_bpm": _rounded(self.heart_rate_bpm, 2),
            "snr_db": _rounded(self.snr_db, 2),
            "region_coverage": {k: _rounded(v, 4) for k, v in self.region_coverage.items()},
        }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def check(
    clip: str | Path,
    *,
    limits: ClipLimits | None = None,
    face_model: str | Path | None = None,
) -> Check:
    """Look whether a clip is usable, and measure its heart rate.

    A clip that cannot be used is not an exception here: the answer says why.

    Parameters
    ----------
    clip
        Path of a video or still.
    limits
        Largest size and length accepted.
    face_model
        Path of the landmark model file; searched for when not given.

    Raises
    ------
    FaceModelError
        If the landmark model file is absent or altered.

    Examples
    --------
    >>> check("face.mp4").heart_rate_bpm  # doctest: +SKIP
    72.4
    """
    from pallor.video.recorder import record

    try:
        recording = record(clip, limits=limits, face_model=face_model, samples=0)
    except ClipError as error:
        return Check(clip=str(clip), usable=False, reasons=(error,))
    quality = assess(recording)
    return Check(
        clip=str(clip),
        usable=quality.usable,
        reasons=quality.reasons,
        warnings=quality.warnings,
        input_kind=str(recording.input_kind),
        simulated=recording.simulated,
        frames=recording.frames,
        duration_s=recording.duration_s,
        fps=recording.fps,
        face_coverage=recording.face_coverage,
        heart_rate_bpm=quality.heart_rate_bpm,
        snr_db=quality.snr_db,
        region_coverage=_region_coverage(recording),
    )


def _region_coverage(recording: Recording) -> dict[str, float]:
    """Return, for each region, the share of the frames in which it was measured."""
    seen = np.isfinite(recording.traces.rgb[..., 0]).mean(axis=0)
    return {name: float(share) for name, share in zip(recording.traces.regions, seen, strict=True)}
