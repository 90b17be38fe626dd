"""Faces and their 478 landmarks, with the two networks of the landmark model file.

The mesh network is that of Kartynnik et al. (arXiv:1907.06724) with the irises of Ablavatski
et al. (arXiv:2006.11341). ``docs/landmarks.md`` tells how well the points agree with those
of MediaPipe.

Coordinates are continuous: (0, 0) is the outer corner of the first pixel, the center of the
pixel in row i and column j is (j + 0.5, i + 0.5). So they scale with the picture.
"""

from __future__ import annotations

import io
import math
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pallor.video.face_detector import FaceBox, detect_tiled, detect_whole
from pallor.video.face_model import find_face_model, read_face_model
from pallor.video.frame import Frame
from pallor.video.litert import Network
from pallor.video.warping import square_bounds, warp_square

__all__ = ["FaceBox", "FaceLandmarker", "Landmarks", "find_face_model"]

N_LANDMARKS = 478
RIGHT_EYE_CORNERS = (33, 133)
LEFT_EYE_CORNERS = (263, 362)
"""Outer and inner corner of the subject's right and left eye."""

MIN_PRESENCE = 0.5
"""Probability of the mesh network from which a face counts as there."""

ROI_SCALE = 1.5
"""Side of the mesh network's crop in units of the longer side of the face box."""

Picture = NDArray[np.uint8] | Frame
"""What faces are looked for in."""

_MESH_SIZE = 256
_POINTS, _PRESENCE = "Identity", "Identity_1"


@dataclass(frozen=True)
class Landmarks:
    """The 478 points of one face.

    Attributes
    ----------
    points
        ``(478, 2)`` float32, pixels of the upright full-resolution picture: 468 of the mesh,
        then center and four rim points of the right (468-472) and left (473-477) iris.
    score
        Probability that a face is there, 0..1.
    """

    points: NDArray[np.float32]
    score: float

    @cached_property
    def eye_centers(self) -> NDArray[np.float32]:
        """``(2, 2)``: middle of the corners of the subject's right and of the left eye."""
        corners = self.points[[RIGHT_EYE_CORNERS, LEFT_EYE_CORNERS]]
        centers: NDArray[np.float32] = corners.mean(axis=1, dtype=np.float32)
        return centers

    @cached_property
    def interocular(self) -> float:
        """Distance of the eye centers in pixels."""
        right, left = self.eye_centers
        return float(np.hypot(*(left - right)))

    @cached_property
    def box(self) -> tuple[float, float, float, float]:
        """``(x0, y0, x1, y1)`` around all points."""
        x0, y0 = self.points.min(axis=0)
        x1, y1 = self.points.max(axis=0)
        return float(x0), float(y0), float(x1), float(y1)


class FaceLandmarker:
    """Finds faces and their landmarks. An instance serves one thread at a time.

    Parameters
    ----------
    model_path
        The model file; None looks for it with `find_face_model`.
    threads
        Threads of the inference.

    Raises
    ------
    FaceModelError
        If the file is absent or not the known one.
    """

    def __init__(self, model_path: Path | None = None, threads: int = 1) -> None:
        content = read_face_model(model_path)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            self._detector = Network(archive.read("face_detector.tflite"), threads)
            self._mesh = Network(archive.read("face_landmarks_detector.tflite"), threads)

    def detect(self, picture: Picture) -> list[FaceBox]:
        """Find the faces of a picture, best score first.

        What the detector takes for a face counts only if the mesh network finds one there.
        If there is none in the picture as a whole, overlapping tiles are tried once, since
        the detector misses faces that are small in its input.

        Parameters
        ----------
        picture
            A frame, or ``(h, w, 3)`` uint8, any size.
        """
        rgb = _whole(picture)
        for look in (detect_whole, detect_tiled):
            boxes = look(self._detector, rgb)
            faces = [box for box in boxes if self.landmarks(rgb, box) is not None]
            if faces:
                return faces
        return []

    def candidates(self, picture: Picture) -> list[FaceBox]:
        """Find what looks like a face in the picture as a whole, best score first.

        The mesh network is not asked, nor are tiles looked at: a glance, for those who know
        most of what they will see.

        Parameters
        ----------
        picture
            A frame, or ``(h, w, 3)`` uint8, any size.
        """
        return detect_whole(self._detector, _whole(picture))

    def landmarks(self, picture: Picture, hint: FaceBox | Landmarks) -> Landmarks | None:
        """Return the landmarks of the face at ``hint``, None where no face is there.

        Parameters
        ----------
        picture
            A frame, of which only the part around the face is converted, or ``(h, w, 3)``
            uint8; any size.
        hint
            A detection, or the face's landmarks a moment ago.
        """
        to_picture = _crop_matrix(hint)
        outputs = self._mesh(_crop(picture, to_picture))
        score = 1.0 / (1.0 + math.exp(-float(np.clip(outputs[_PRESENCE], -50, 50).item())))
        if score < MIN_PRESENCE:
            return None
        mesh = outputs[_POINTS].reshape(N_LANDMARKS, 3)[:, :2].astype(np.float64)
        points = mesh @ to_picture[:, :2].T + to_picture[:, 2]
        return Landmarks(points.astype(np.float32), score)


def _crop_matrix(hint: FaceBox | Landmarks) -> NDArray[np.float64]:
    """(2, 3) map from coordinates of the crop to those of the picture."""
    if isinstance(hint, FaceBox):
        right, left = hint.keypoints[0], hint.keypoints[1]
        around = np.array([[hint.x0, hint.y0], [hint.x1, hint.y1]])
    else:
        right, left = hint.points[RIGHT_EYE_CORNERS[0]], hint.points[LEFT_EYE_CORNERS[0]]
        around = hint.points.astype(np.float64)
    angle = math.atan2(float(left[1] - right[1]), float(left[0] - right[0]))
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    if isinstance(hint, FaceBox):
        # The detector's box is upright whatever the head's tilt: only its center is turned.
        low, high = around
        center = (low + high) / 2
    else:
        turned = around @ turn
        low, high = turned.min(axis=0), turned.max(axis=0)
        center = turn @ ((low + high) / 2)
    side = max(ROI_SCALE * float((high - low).max()), 1.0)
    linear = turn * (side / _MESH_SIZE)
    offset = center - linear @ np.full(2, _MESH_SIZE / 2)
    return np.column_stack([linear, offset])


def _whole(picture: Picture) -> NDArray[np.uint8]:
    return np.ascontiguousarray(picture.rgb() if isinstance(picture, Frame) else picture)


def _crop(picture: Picture, to_picture: NDArray[np.float64]) -> NDArray[np.float32]:
    """Cut the mesh network's square out of a picture."""
    if not isinstance(picture, Frame):
        return warp_square(picture, to_picture, _MESH_SIZE).astype(np.float32) / 255.0
    x0, y0, x1, y1 = square_bounds(to_picture, _MESH_SIZE, picture.width, picture.height)
    to_part = to_picture - [[0, 0, x0], [0, 0, y0]]
    part = picture.rgb((x0, y0, x1, y1))
    return warp_square(part, to_part, _MESH_SIZE).astype(np.float32) / 255.0
