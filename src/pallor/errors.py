"""Everything that can go wrong with what a user hands in, one class each.

A message is one line: it names the file, row or option, says what is wrong and what to
do. ``code`` is the machine-readable name that appears in ``reasons`` and ``warnings`` of
the JSON output and in ``failures.csv``; codes are part of the public interface.
"""

from __future__ import annotations

from typing import ClassVar


class PallorError(Exception):
    """Base of every error that pallor raises on purpose."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))

    @property
    def text(self) -> str:
        """The message, one line."""
        return str(self)

    def as_dict(self) -> dict[str, str]:
        """Return ``{"code": ..., "text": ...}``, the form used in JSON output."""
        return {"code": self.code, "text": self.text}


class ClipError(PallorError):
    """A clip cannot be used, or (when collected instead of raised) only in part."""

    code = "clip"


class ClipMissingError(ClipError):
    """There is no file at the path."""

    code = "missing"


class ClipEmptyError(ClipError):
    """The file has zero bytes."""

    code = "empty"


class NotAVideoError(ClipError):
    """The bytes are neither a video container nor an image."""

    code = "not_a_video"


class NoVideoStreamError(ClipError):
    """A media container without a video stream, such as an audio file."""

    code = "no_video_stream"


class TruncatedClipError(ClipError):
    """The clip ends early or is damaged; what decodes is used."""

    code = "truncated"


class NoFramesError(ClipError):
    """There is a video stream, but not one frame of it decodes."""

    code = "no_frames"


class ClipTooLongError(ClipError):
    """The clip lasts longer than the stated limit."""

    code = "too_long"


class ClipTooLargeError(ClipError):
    """More pixels or bytes than the stated limit."""

    code = "too_large"


class NoFaceError(ClipError):
    """No face was found in any frame."""

    code = "no_face"


class FaceLostError(ClipError):
    """A face is visible for too small a part of the clip, or not throughout."""

    code = "face_lost"


class SeveralFacesError(ClipError):
    """More than one face; the largest is measured."""

    code = "several_faces"


class TooShortForPulseError(ClipError):
    """Too few seconds with a face for a heart rate."""

    code = "too_short"


class TooSlowForPulseError(ClipError):
    """Too few frames a second for a heart rate."""

    code = "too_slow"


class NoPulseError(ClipError):
    """Long and fast enough, but no pulse stands out of the noise (a photograph, say)."""

    code = "no_pulse"


class StillImageError(ClipError):
    """A still image was given where a pulse is asked for."""

    code = "still_image"


class FetchError(ClipError):
    """A clip at an address could not be fetched: network, access, or a package that lacks."""

    code = "fetch_failed"


class OutsideModelError(ClipError):
    """The clip or the person lies outside what the model was trained on."""

    code = "outside_model"


class NoIntervalError(ClipError):
    """The model has too few residuals for an interval of the coverage; the estimate stands."""

    code = "no_interval"


class PictureError(PallorError):
    """A frame sent for hints is no small JPEG or PNG image."""

    code = "picture"


class WeightsError(PallorError):
    """A file of network weights is absent, or is not the file that it should be."""

    code = "weights"


class FaceModelError(WeightsError):
    """The landmark model file is absent, or is not the file that it should be."""

    code = "face_model"


class CohortError(PallorError):
    """A cohort table cannot be used; the message lists every problem with its row."""

    code = "cohort"


class FeatureTableError(PallorError):
    """A feature table is absent, incomplete, or does not fit what is asked of it."""

    code = "feature_table"


class ModelFileError(PallorError):
    """A model file is absent, altered, or holds something that may not be loaded."""

    code = "model_file"


class UsageError(PallorError):
    """An option or argument that does not make sense; exit status 2."""

    code = "usage"
