"""The one pass over a clip: decode, track the face, measure regions, take samples.

Landmarks are found on a few keyframes a second and interpolated for the frames between, so
frames wait in a short queue until the keyframe after them is known. The queue is bounded,
hence memory does not grow with the length of the clip.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pallor.errors import ClipError, FaceLostError, NoFaceError, NoFramesError, SeveralFacesError
from pallor.video.alignment import align_face
from pallor.video.clip import Clip, ClipLimits, open_clip
from pallor.video.content import ContentHash, file_sha256
from pallor.video.face import FaceLandmarker, Landmarks
from pallor.video.frame import Frame
from pallor.video.measure import (
    MIN_TRACE_PIXELS,
    NAMES,
    Box,
    background_boxes,
    face_box,
    region_means,
    region_pixels,
)
from pallor.video.recording import InputKind, Recording, Sample
from pallor.video.region_still import record_region_still
from pallor.video.regions import label_map
from pallor.video.sampling import UniformSampler
from pallor.video.traces import Traces, TracesBuilder
from pallor.video.tracking import KEYFRAME_INTERVAL_S, FaceTracker, Keyframe, interpolate

MIN_FACE_COVERAGE = 0.1
"""A face in a smaller share of the frames than this is refused as ``face_lost``."""

WARN_FACE_COVERAGE = 0.95
"""Below this share the recording says in which part of the clip the face was measured."""

QUEUE_BYTES = 128 * 2**20
"""Decoded frames that may wait for the next keyframe; large frames get keyframes sooner."""


def record(
    path: str | Path,
    *,
    limits: ClipLimits | None = None,
    face_model: str | Path | None = None,
    samples: int = 16,
    crops: bool = False,
) -> Recording:
    """Go through a clip once and return what every modality needs.

    Parameters
    ----------
    path
        A video (MP4, MOV, AVI, MKV, WebM) or a still (PNG, JPEG). A still with an alpha
        channel carries its own region there, and no face is looked for.
    limits
        Largest size and length accepted; :class:`~pallor.video.clip.ClipLimits` by default.
    face_model
        Path of the landmark model file; searched for when not given.
    samples
        Number of uniformly spaced looks at the full-resolution picture; 0 for none.
    crops
        Whether the samples carry aligned face crops, 224x224.

    Returns
    -------
    Recording

    Raises
    ------
    ClipError
        One of its subclasses says why the clip cannot be used.
    FaceModelError
        If the landmark model file is absent or altered.
    """
    with open_clip(path, limits or ClipLimits()) as clip:
        if clip.info.is_still and clip.info.has_alpha:
            return record_region_still(clip, crops)
        landmarker = FaceLandmarker(Path(face_model) if face_model is not None else None)
        return _Pass(clip, FaceTracker(landmarker), samples, crops).run()


class _Pass:
    """State of one pass over a clip with a face."""

    def __init__(self, clip: Clip, tracker: FaceTracker, samples: int, crops: bool) -> None:
        self._clip = clip
        self._tracker = tracker
        self._crops = crops
        self._queue: list[Frame] = []
        self._keyframe: Keyframe | None = None
        self._background: tuple[Box, ...] = ()
        self._traces = TracesBuilder(NAMES)
        self._sampler: UniformSampler[Sample] | None = (
            UniformSampler(samples, clip.info.duration_s) if samples > 0 else None
        )
        self._content = ContentHash()

    def run(self) -> Recording:
        """Decode and measure every frame."""
        for frame in self._clip:
            self._content.update(frame)
            self._queue.append(frame)
            if self._keyframe_is_due(frame):
                self._flush()
        if self._queue:
            self._flush()
        return self._finish()

    def _keyframe_is_due(self, frame: Frame) -> bool:
        if self._keyframe is None:
            return True
        if frame.time_s - self._keyframe.time_s >= KEYFRAME_INTERVAL_S:
            return True
        return len(self._queue) * frame.width * frame.height * 1.5 >= QUEUE_BYTES

    def _flush(self) -> None:
        """Find the face in the newest frame, then measure all that waited for it."""
        newest = self._queue[-1]
        landmarks = self._tracker.locate(newest.rgb(), newest.time_s)
        keyframe = Keyframe(newest.time_s, landmarks)
        if landmarks is not None:
            self._background = background_boxes(landmarks.points, newest.width, newest.height)
        for frame in self._queue:
            before = self._keyframe or keyframe
            found = interpolate(before, keyframe, frame.time_s)
            self._measure(frame, found)
        self._queue.clear()
        self._keyframe = keyframe

    def _measure(self, frame: Frame, landmarks: Landmarks | None) -> None:
        if landmarks is None:
            self._traces.add_without_face(frame.time_s, frame.keyframe)
            return
        box = face_box(landmarks.points, frame.width, frame.height)
        sums = np.zeros((len(NAMES), 3))
        used = np.zeros(len(NAMES), dtype=np.int64)
        total = np.zeros(len(NAMES), dtype=np.int64)
        for part, labels, rgb in self._parts(frame, landmarks, box):
            part_sums, part_used, part_total = region_means(rgb, labels)
            keep = _belongs(part)
            sums[keep] += part_sums[keep]
            used[keep] += part_used[keep]
            total[keep] += part_total[keep]
        self._traces.add(
            frame.time_s,
            sums,
            used,
            total,
            center=landmarks.points.mean(axis=0),
            size=landmarks.interocular,
            min_pixels=MIN_TRACE_PIXELS,
            keyframe=frame.keyframe,
        )
        if self._sampler is not None and self._sampler.wants(frame.time_s):
            self._sampler.add(frame.time_s, self._sample(frame, landmarks, box))

    def _parts(
        self, frame: Frame, landmarks: Landmarks, box: Box
    ) -> Iterator[tuple[str, NDArray[np.uint8], NDArray[np.float32]]]:
        """Yield the face and the background boxes at chroma resolution, with their labels."""
        face = frame.reduced(box.as_tuple())
        labels = label_map(landmarks.points, face.rgb.shape[:2], face.x0, face.y0, face.scale)
        yield "face", labels, face.rgb
        for background in self._background:
            part = frame.reduced(background.as_tuple())
            yield "background", _all_background(part.rgb.shape[:2]), part.rgb

    def _sample(self, frame: Frame, landmarks: Landmarks, box: Box) -> Sample:
        rgb = frame.rgb()
        face = rgb[box.y0 : box.y1, box.x0 : box.x1]
        labels = label_map(landmarks.points, face.shape[:2], box.x0, box.y0, 1.0)
        labels[labels == NAMES.index("background") + 1] = 0
        pixels, clipped = region_pixels(face, labels)
        if self._background:
            patches = [rgb[b.y0 : b.y1, b.x0 : b.x1].reshape(1, -1, 3) for b in self._background]
            patch = np.concatenate(patches, axis=1)
            more, too_bright = region_pixels(patch, _all_background((1, patch.shape[1])))
            pixels |= more
            clipped |= too_bright
        crop = align_face(rgb, landmarks) if self._crops else None
        return Sample(frame.time_s, crop, pixels, clipped)

    def _finish(self) -> Recording:
        clip = self._clip
        name = clip.info.path
        traces = self._traces.build()
        frames = len(traces.time_s)
        if frames == 0:
            raise NoFramesError(f"{name}: not one frame could be decoded; record it again.")
        warnings = list(clip.warnings)
        present = np.isfinite(traces.face_size)
        coverage = float(present.mean())
        self._refuse_without_face(name, present, traces)
        if coverage < WARN_FACE_COVERAGE:
            warnings.append(_face_lost(name, present, traces.time_s, coverage))
        if self._tracker.max_faces > 1:
            warnings.append(
                SeveralFacesError(
                    f"{name}: {self._tracker.max_faces} faces; the largest was measured. "
                    "Let one person sit before the camera."
                )
            )
        duration_s = _duration_s(traces.time_s)
        return Recording(
            clip=name,
            input_kind=InputKind.FACE_STILL if clip.info.is_still else InputKind.FACE_VIDEO,
            simulated=clip.info.simulated,
            frames=frames,
            duration_s=0.0 if clip.info.is_still else duration_s,
            fps=0.0 if clip.info.is_still or duration_s == 0 else frames / duration_s,
            face_coverage=coverage,
            traces=traces,
            samples=self._samples(),
            file_sha256=file_sha256(name),
            content_sha256=self._content.hexdigest(),
            warnings=tuple(warnings),
        )

    def _samples(self) -> tuple[Sample, ...]:
        if self._sampler is None:
            return ()
        return tuple(sample for _, sample in self._sampler.select())

    @staticmethod
    def _refuse_without_face(name: str, present: NDArray[np.bool_], traces: Traces) -> None:
        if not present.any():
            raise NoFaceError(
                f"{name}: no face was found in any of {len(present)} frames. Let the face fill "
                "a third of the picture, upright, in even light."
            )
        coverage = float(present.mean())
        if coverage < MIN_FACE_COVERAGE:
            raise _face_lost(name, present, traces.time_s, coverage)


def _belongs(part: str) -> NDArray[np.bool_]:
    """Return which regions are measured in this part of the picture."""
    background = np.array([name == "background" for name in NAMES])
    return background if part == "background" else ~background


def _all_background(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    return np.full(shape, NAMES.index("background") + 1, dtype=np.uint8)


def _duration_s(time_s: NDArray[np.float64]) -> float:
    """Return first to last frame plus one typical frame interval."""
    if len(time_s) < 2:
        return 0.0
    return float(time_s[-1] - time_s[0] + np.median(np.diff(time_s)))


def visible_parts(
    present: NDArray[np.bool_], time_s: NDArray[np.float64]
) -> list[tuple[float, float]]:
    """Return the ``(start_s, end_s)`` of each unbroken part with a face."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], present, [False]]).astype(int)))
    return [
        (float(time_s[start]), float(time_s[stop - 1]))
        for start, stop in zip(edges[::2], edges[1::2], strict=True)
    ]


def _face_lost(
    name: str, present: NDArray[np.bool_], time_s: NDArray[np.float64], coverage: float
) -> ClipError:
    parts = visible_parts(present, time_s)
    shown = ", ".join(f"{start:.1f}-{end:.1f} s" for start, end in parts[:4])
    more = f" and {len(parts) - 4} more" if len(parts) > 4 else ""
    return FaceLostError(
        f"{name}: a face is visible in {coverage:.0%} of the frames ({shown}{more}), and only "
        "there is anything measured. Keep the face in the picture throughout."
    )
