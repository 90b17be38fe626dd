"""The one pass over a clip: decode, track the face, measure regions, take samples.

Landmarks are found on a few keyframes a second and interpolated for the frames between, so
frames wait in a short queue until the keyframe after them is known, and are then measured in
one step. The queue is bounded, hence memory does not grow with the length of the clip.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pallor.errors import (
    ClipError,
    ClipTooLargeError,
    FaceLostError,
    NoFaceError,
    NoFramesError,
    SeveralFacesError,
)
from pallor.video.ahead import GROUPS_AHEAD, ReadAhead
from pallor.video.alignment import align_face
from pallor.video.clip import Clip, ClipLimits, open_clip
from pallor.video.clip_info import shown_name
from pallor.video.content import ContentHash, file_sha256
from pallor.video.face import FaceLandmarker, Landmarks
from pallor.video.face_path import FacePath
from pallor.video.frame import Frame
from pallor.video.glance import off_the_line, straying
from pallor.video.measure import (
    MIN_TRACE_PIXELS,
    NAMES,
    Box,
    background_boxes,
    face_box,
    measure_face,
    region_pixels,
)
from pallor.video.recording import InputKind, Recording, Sample
from pallor.video.region_still import record_region_still
from pallor.video.regions import label_map
from pallor.video.sampling import UniformSampler
from pallor.video.traces import Traces, TracesBuilder
from pallor.video.tracking import (
    KEYFRAME_INTERVAL_S,
    MAX_MOVE,
    MIN_STRAYING,
    FaceTracker,
    Keyframe,
    interpolate,
    is_far,
    is_long,
    next_interval_s,
    strays_far,
    way,
)

MIN_FACE_COVERAGE = 0.1
"""A face in a smaller share of the frames than this is refused as ``face_lost``."""

WARN_FACE_COVERAGE = 0.95
"""Below this share the recording says in which part of the clip the face was measured."""

QUEUE_BYTES = 128 * 2**20
"""Decoded frames that may wait for the next keyframe; large frames get keyframes sooner."""


MAX_EXPECTED = 2**16
"""Frames for which room is made beforehand, whatever a header says."""

USUAL_S = 30.0
"""Length of a usual clip, for the progress of those that do not state theirs."""

AHEAD_BYTES = 16 * 2**20
"""Decoded frames that may wait between the decoder and the rest, at least one a group."""


def record(
    path: str | Path,
    *,
    limits: ClipLimits | None = None,
    face_model: str | Path | None = None,
    samples: int = 16,
    crops: bool = False,
    threads: int = 0,
    landmark_interval_s: float = KEYFRAME_INTERVAL_S,
    progress: Callable[[float], None] | None = None,
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
    threads
        Most threads of the decoder; see :func:`~pallor.video.clip.open_clip`. Many clips at a
        time are best given one each.
    landmark_interval_s
        Longest time between two searches for the landmarks; 0 searches in every frame, which
        costs more than all the rest together.
    progress
        Called now and then with the share of the clip that is done, 0..1. Of a clip that does
        not state its duration, as browsers record it, the share is a guess that only rises.

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
    try:
        with open_clip(path, limits, threads) as clip:
            if clip.info.is_still and clip.info.has_alpha:
                return record_region_still(clip, crops)
            landmarker = FaceLandmarker(Path(face_model) if face_model is not None else None)
            tracker = FaceTracker(landmarker)
            return _Pass(clip, tracker, samples, crops, landmark_interval_s, progress).run()
    except MemoryError as error:
        raise ClipTooLargeError(
            f"{shown_name(path)}: the clip takes more memory than there is; scale it down."
        ) from error


class _Pass:
    """State of one pass over a clip with a face."""

    def __init__(
        self,
        clip: Clip,
        tracker: FaceTracker,
        samples: int,
        crops: bool,
        landmark_interval_s: float,
        progress: Callable[[float], None] | None,
    ) -> None:
        self._clip = clip
        self._tracker = tracker
        self._crops = crops
        self._queue: list[Frame] = []
        self._last: Frame | None = None
        self._keyframe: Keyframe | None = None
        self._longest_s = self._interval_s = landmark_interval_s
        self._background: tuple[Box, ...] = ()
        self._background_for: Landmarks | None = None
        self._traces = TracesBuilder(NAMES, min(clip.info.frames_hint or 0, MAX_EXPECTED))
        self._sampler: UniformSampler[Sample] | None = (
            UniformSampler(samples, clip.info.duration_s) if samples > 0 else None
        )
        self._content = ContentHash()
        self._progress = progress

    def run(self) -> Recording:
        """Decode and measure every frame."""
        with ReadAhead(self._clip, group=self._group()) as frames:
            for frame in frames:
                self._content.update(frame)
                self._queue.append(frame)
                if self._keyframe_is_due(frame):
                    self._flush()
        if self._queue:
            self._flush()
        return self._finish()

    def _group(self) -> int:
        """Return how many frames the decoder may hand over at once."""
        frame_bytes = 1.5 * self._clip.info.width * self._clip.info.height
        return int(min(max(AHEAD_BYTES / (GROUPS_AHEAD * frame_bytes), 1), 8))

    def _keyframe_is_due(self, frame: Frame) -> bool:
        if self._keyframe is None:
            return True
        # Half a frame at 60 a second: time stamps are rounded.
        if frame.time_s - self._keyframe.time_s >= self._interval_s - 0.008:
            return True
        return len(self._queue) * frame.width * frame.height * 1.5 >= QUEUE_BYTES

    def _flush(self) -> None:
        """Find the face in the newest frame, then measure all that waited for it."""
        newest = self._queue[-1]
        landmarks = self._tracker.locate(newest, newest.time_s)
        after = Keyframe(newest.time_s, landmarks)
        before = self._keyframe or after
        if landmarks is not None and self._head_has_moved(landmarks):
            self._background = background_boxes(landmarks.points, newest.width, newest.height)
            self._background_for = landmarks
        queue, self._queue = self._queue, []
        self._measure_between(queue, before, after)
        self._interval_s = next_interval_s(before, after, self._longest_s)
        self._keyframe = after
        if self._progress is not None:
            self._progress(_share(newest.time_s, self._clip.info.duration_s))

    def _head_has_moved(self, landmarks: Landmarks) -> bool:
        """Tell whether the background has to be looked for anew, which makes its trace step."""
        return self._background_for is None or way(self._background_for, landmarks) > MAX_MOVE

    def _off_the_line(
        self, frames: list[Frame], before: Keyframe, after: Keyframe
    ) -> NDArray[np.float64]:
        """Return how far the face leaves the straight way between two keyframes, ``(n, 2)``."""
        nowhere = np.zeros((len(frames), 2))
        first, second = before.landmarks, after.landmarks
        if first is None or second is None or self._last is None or not is_long(before, after):
            return nowhere
        looked = [self._last, *frames]
        ends = np.stack([first.points, second.points])
        box = face_box(ends, frames[0].width, frames[0].height)
        if straying(looked, box) <= MIN_STRAYING * second.interocular:
            return nowhere
        return off_the_line(looked, box)[1:]

    def _measure_between(self, frames: list[Frame], before: Keyframe, after: Keyframe) -> None:
        """Measure the frames after one keyframe, up to and with the next."""
        far = is_far(before, after)
        off = np.zeros((len(frames), 2)) if far else self._off_the_line(frames, before, after)
        if len(frames) > 1 and (far or strays_far(off, after)):
            middle = (len(frames) - 1) // 2
            frame = frames[middle]
            found = self._tracker.look_between(frame, before, after)
            between = Keyframe(frame.time_s, found)
            self._measure_between(frames[: middle + 1], before, between)
            self._measure_between(frames[middle + 1 :], between, after)
            return
        time_s = np.array([frame.time_s for frame in frames])
        coded_alone = np.array([frame.keyframe for frame in frames])
        lost = before.landmarks is None or after.landmarks is None
        # Between found and lost only the keyframe itself is known to show the face.
        seen = len(frames) if not lost else 0 if after.landmarks is None else 1
        unseen = len(frames) - seen
        if unseen:
            self._traces.add_without_face(time_s[:unseen], coded_alone[:unseen])
        if seen:
            path = FacePath.between(after if lost else before, after, time_s[unseen:])
            path = path.moved(off[unseen:])
            self._measure(frames[unseen:], time_s[unseen:], coded_alone[unseen:], path)
            self._take_samples(frames[unseen:], off[unseen:], after if lost else before, after)
        self._last = frames[-1]

    def _measure(
        self,
        frames: list[Frame],
        time_s: NDArray[np.float64],
        coded_alone: NDArray[np.bool_],
        path: FacePath,
    ) -> None:
        """Measure the regions of frames with a face."""
        measured = measure_face(frames, path.anchors, self._background)
        self._traces.add(
            time_s,
            measured.sums,
            measured.used,
            measured.total,
            centers=path.centers,
            sizes=path.sizes,
            min_pixels=MIN_TRACE_PIXELS,
            keyframes=coded_alone,
        )

    def _take_samples(
        self, frames: list[Frame], off: NDArray[np.float64], before: Keyframe, after: Keyframe
    ) -> None:
        """Look at those of the frames whose turn it is at full resolution."""
        if self._sampler is None:
            return
        for frame, by in zip(frames, off.astype(np.float32), strict=True):
            if self._sampler.wants(frame.time_s):
                landmarks = interpolate(before, after, frame.time_s)
                if landmarks is not None:
                    moved = Landmarks(landmarks.points + by, landmarks.score)
                    self._sampler.add(frame.time_s, self._sample(frame, moved))

    def _sample(self, frame: Frame, landmarks: Landmarks) -> Sample:
        box = face_box(landmarks.points, frame.width, frame.height)
        face = frame.rgb(box.as_tuple())
        labels = label_map(landmarks.points, face.shape[:2], box.x0, box.y0, 1.0)
        labels[labels == NAMES.index("background") + 1] = 0
        pixels, clipped = region_pixels(face, labels)
        if self._background:
            patches = [frame.rgb(b.as_tuple()).reshape(1, -1, 3) for b in self._background]
            patch = np.concatenate(patches, axis=1)
            more, too_bright = region_pixels(patch, _all_background((1, patch.shape[1])))
            pixels |= more
            clipped |= too_bright
        crop = align_face(frame.rgb(), landmarks) if self._crops else None
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


def _share(time_s: float, duration_s: float | None) -> float:
    """Return how much of a clip is done; half after `USUAL_S` where its length is not known."""
    if duration_s is None or duration_s <= 0:
        return max(0.0, time_s) / (max(0.0, time_s) + USUAL_S)
    return min(1.0, max(0.0, time_s / duration_s))


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
