"""The face over time: landmarks on a few keyframes a second, interpolated between.

A landmark call costs more than decoding the frames between two of them, and a face that is
being recorded moves slowly. So landmarks are looked for twice a second while the face keeps
still, and ten times a second or more while it moves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pallor.video.face import FaceBox, Landmarks, Picture
from pallor.video.face_detector import overlap

KEYFRAME_INTERVAL_S = 0.5
"""Longest time between keyframes. Voluntary head motion lies below 1 Hz for the most part."""

MIN_KEYFRAME_INTERVAL_S = 0.1
"""Time between keyframes that is always short enough, however the face moves."""

MAX_MOVE = 0.1
"""Mean way of the landmarks, in units of the interocular distance, that is interpolated."""

MIN_STRAYING = 0.004
"""Distance from the straight line, in units of the interocular distance, that is let go: a
quarter of a pixel at 60 pixels between the eyes, less than landmarks scatter by."""

MAX_STRAYING = 0.05
"""Distance from it that is followed without another look: most of what a small picture of the
face can tell, and little enough for a turn of the head not to matter."""

RECHECK_INTERVAL_S = 3.0
"""How often the whole picture is searched although a face is tracked."""

MAX_TRACK_GAP_S = 1.0
"""Landmarks older than this are no hint any more: the face is looked for anew."""

MIN_NEW_PRESENCE = 0.9
"""Probability from which a *new* face is believed, twice in a row. Faces in view give more
than 0.99; things that the detector mistakes for a face gave up to 0.58 on real footage."""

MAX_SIZE_CHANGE = 1.6
"""A tracked face that grows or shrinks by more between keyframes has slipped."""

LARGER_FACE = 1.5
"""Linear size, relative to the tracked face, from which another one is noted as larger."""


class Finder(Protocol):
    """What the tracker needs; `FaceLandmarker` is one."""

    def detect(self, picture: Picture) -> list[FaceBox]:
        """Find faces."""
        ...

    def candidates(self, picture: Picture) -> list[FaceBox]:
        """Find what may be a face, at a glance."""
        ...

    def landmarks(self, picture: Picture, hint: FaceBox | Landmarks) -> Landmarks | None:
        """Find the landmarks of one face."""
        ...


@dataclass(frozen=True)
class Keyframe:
    """A moment at which the face was looked for.

    Attributes
    ----------
    time_s
        Presentation time in seconds.
    landmarks
        The face, None where there was none.
    """

    time_s: float
    landmarks: Landmarks | None


def interpolate(before: Keyframe, after: Keyframe, time_s: float) -> Landmarks | None:
    """Return the landmarks at a time between two keyframes, moved linearly.

    A frame between a keyframe with a face and one without counts as without: where exactly
    the face came or went is not known.

    Parameters
    ----------
    before, after
        Keyframes in order of time; they may be the same one.
    time_s
        A time from ``before.time_s`` to ``after.time_s``, ends included.

    Raises
    ------
    ValueError
        If the time lies outside.
    """
    if not before.time_s <= time_s <= after.time_s:
        raise ValueError(f"{time_s} s lies outside of {before.time_s} to {after.time_s} s")
    if time_s == after.time_s:
        return after.landmarks
    if time_s == before.time_s:
        return before.landmarks
    first, second = before.landmarks, after.landmarks
    if first is None or second is None:
        return None
    weight = np.float32((time_s - before.time_s) / (after.time_s - before.time_s))
    points = first.points + weight * (second.points - first.points)
    return Landmarks(points, min(first.score, second.score))


def way(before: Landmarks, after: Landmarks) -> float:
    """Return how far the landmarks moved on average, in units of the interocular distance."""
    step = np.hypot(*(after.points - before.points).T).mean()
    return float(step) / max(before.interocular, after.interocular, 1e-6)


def next_interval_s(before: Keyframe, after: Keyframe, longest_s: float) -> float:
    """Return the time to the keyframe after ``after``: the shorter, the faster the face moves.

    At constant speed the face goes half of `MAX_MOVE` in it.

    Parameters
    ----------
    before, after
        The last two keyframes.
    longest_s
        What is returned for a face that keeps still, or is not there.
    """
    if before.landmarks is None or after.landmarks is None or after.time_s <= before.time_s:
        return longest_s
    speed = way(before.landmarks, after.landmarks) / (after.time_s - before.time_s)
    wanted = 0.5 * MAX_MOVE / max(speed, 1e-9)
    return min(max(wanted, MIN_KEYFRAME_INTERVAL_S), longest_s)


def is_long(before: Keyframe, after: Keyframe) -> bool:
    """Tell whether there is room for a keyframe between two."""
    return after.time_s - before.time_s > MIN_KEYFRAME_INTERVAL_S


def is_far(before: Keyframe, after: Keyframe) -> bool:
    """Tell whether a look between two keyframes is needed.

    It is where the face moved by more than `MAX_MOVE`, came or went, unless they are no further
    apart than `MIN_KEYFRAME_INTERVAL_S`.
    """
    if not is_long(before, after):
        return False
    if before.landmarks is None or after.landmarks is None:
        return before.landmarks is not after.landmarks
    return way(before.landmarks, after.landmarks) > MAX_MOVE


def strays_far(off: NDArray[np.float64], after: Keyframe) -> bool:
    """Tell whether a face leaves the straight way by more than can be followed at a glance.

    Parameters
    ----------
    off
        ``(n, 2)`` pixels off the way.
    after
        The keyframe at its end.
    """
    if after.landmarks is None:
        return False
    return bool(np.hypot(off[:, 0], off[:, 1]).max() > MAX_STRAYING * after.landmarks.interocular)


class FaceTracker:
    """Follows one face through the keyframes of a clip.

    The largest face is taken and kept. Another one that comes later, even a larger one, is
    counted but not jumped to, since the colors of two persons must not mix in one trace.
    If the face is lost it is looked for again; where more than one face has been seen, only
    near the place where it was lost, for anywhere else it may be somebody else.

    Parameters
    ----------
    finder
        Usually a `FaceLandmarker`.

    Attributes
    ----------
    max_faces
        Largest number of faces seen at one time.
    larger_face_seen
        Whether a clearly larger face than the tracked one appeared.
    """

    def __init__(self, finder: Finder) -> None:
        self._finder = finder
        self._last: Landmarks | None = None
        self._last_time_s = -np.inf
        self._checked_s = -np.inf
        self.max_faces = 0
        self.larger_face_seen = False

    def locate(self, picture: Picture, time_s: float) -> Landmarks | None:
        """Return the landmarks of the tracked face in this picture, None without a face.

        Parameters
        ----------
        picture
            The frame, or its ``(h, w, 3)`` uint8.
        time_s
            Presentation time in seconds, not earlier than in the call before.
        """
        found = self._follow(picture, time_s)
        if found is None:
            found = self._acquire(picture, time_s)
        elif time_s - self._checked_s >= RECHECK_INTERVAL_S:
            self._recheck(picture, time_s, found)
        if found is not None:
            self._last, self._last_time_s = found, time_s
        return found

    def look_between(self, picture: Picture, before: Keyframe, after: Keyframe) -> Landmarks | None:
        """Return the landmarks of the tracked face in a picture between two keyframes.

        Parameters
        ----------
        picture
            The frame, or its ``(h, w, 3)`` uint8.
        before, after
            Keyframes of this tracker; at least one has a face.
        """
        known = before.landmarks or after.landmarks
        if known is None:
            return None
        return self._near(picture, known)

    def _near(self, picture: Picture, known: Landmarks) -> Landmarks | None:
        found = self._finder.landmarks(picture, known)
        if found is not None and way(known, found) > MAX_MOVE:
            # The network saw the face off the middle of its square, where it is less exact.
            found = self._finder.landmarks(picture, found)
        return found if found is not None and _plausible(found, known) else None

    def _follow(self, picture: Picture, time_s: float) -> Landmarks | None:
        if self._last is None or time_s - self._last_time_s > MAX_TRACK_GAP_S:
            return None
        return self._near(picture, self._last)

    def _acquire(self, picture: Picture, time_s: float) -> Landmarks | None:
        self._checked_s = time_s
        faces = [
            face for box in self._finder.detect(picture) if (face := self._confirm(picture, box))
        ]
        self.max_faces = max(self.max_faces, len(faces))
        if self._last is not None and self.max_faces > 1:
            last = self._last
            faces = [face for face in faces if overlap(face.box, last.box) > 0]
        return max(faces, key=_size, default=None)

    def _confirm(self, picture: Picture, box: FaceBox) -> Landmarks | None:
        # The second look starts from the landmarks of the first, as all later ones will: a
        # false face rarely survives it, and the first keyframe gets the same kind of crop as
        # the others, so that the points do not step when tracking begins.
        first = self._finder.landmarks(picture, box)
        if first is None or first.score < MIN_NEW_PRESENCE:
            return None
        second = self._finder.landmarks(picture, first)
        believed = second is not None and second.score >= MIN_NEW_PRESENCE
        return second if believed else None

    def _recheck(self, picture: Picture, time_s: float, tracked: Landmarks) -> None:
        self._checked_s = time_s
        others = [
            face
            for box in self._finder.candidates(picture)
            if not _same(box, tracked) and (face := self._confirm(picture, box))
        ]
        self.max_faces = max(self.max_faces, 1 + len(others))
        if any(_size(face) > LARGER_FACE * _size(tracked) for face in others):
            self.larger_face_seen = True


def _size(face: Landmarks) -> float:
    x0, y0, x1, y1 = face.box
    return float(np.sqrt((x1 - x0) * (y1 - y0)))


def _plausible(found: Landmarks, last: Landmarks) -> bool:
    change = _size(found) / max(_size(last), 1e-6)
    return 1 / MAX_SIZE_CHANGE < change < MAX_SIZE_CHANGE


def _same(box: FaceBox, face: Landmarks) -> bool:
    # By place of the nose tip, since the two boxes are of different extent.
    x, y = box.keypoints[2]
    x0, y0, x1, y1 = face.box
    return bool(x0 <= x <= x1 and y0 <= y <= y1)
