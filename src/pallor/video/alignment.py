"""Face crops in which eyes and mouth of every face lie in the same places."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pallor.video.face import Landmarks
from pallor.video.warping import warp_square

CROP_SIZE = 224
"""Side of a crop in pixels: what the ImageNet backbones were trained on."""

MOUTH_CORNERS = (61, 291)

TEMPLATE = np.array([[85.0, 82.0], [139.0, 82.0], [112.0, 152.0]]) / CROP_SIZE
"""Right eye, left eye and mouth of the subject in the crop, in units of its side.

Chosen so that the whole mesh, forehead to chin, lies inside for a frontal face: it reaches
from about one interocular distance above the eyes to 2.2 below."""


def align_face(
    rgb: NDArray[np.uint8], landmarks: Landmarks, size: int = CROP_SIZE
) -> NDArray[np.uint8]:
    """Cut out the face, turned upright and scaled to a fixed template.

    The eye line gives the turn, so the eyes are level; scale and position are the least-
    squares fit of both eye centers and the mouth to the template. The mouth keeps the
    scale right where the head is turned aside and the eyes move together in the picture.

    Parameters
    ----------
    rgb
        ``(h, w, 3)`` uint8, the upright picture that the landmarks belong to.
    landmarks
        The face.
    size
        Side of the crop in pixels.

    Returns
    -------
    ndarray
        ``(size, size, 3)`` uint8. Beyond the picture its edge is repeated.
    """
    return warp_square(rgb, alignment(landmarks, size), size)


def alignment(landmarks: Landmarks, size: int = CROP_SIZE) -> NDArray[np.float64]:
    """Return the ``(2, 3)`` map from coordinates of the crop to those of the picture."""
    mouth = landmarks.points[list(MOUTH_CORNERS)].mean(axis=0)
    face = np.vstack([landmarks.eye_centers, mouth]).astype(np.float64)
    cosine, sine = (face[1] - face[0]) / max(landmarks.interocular, 1e-6)
    turn = np.array([[cosine, -sine], [sine, cosine]])
    template = TEMPLATE * size
    spread = (template - template.mean(axis=0)) @ turn.T
    scale = float((spread * (face - face.mean(axis=0))).sum() / (spread**2).sum())
    linear = scale * turn
    offset = face.mean(axis=0) - linear @ template.mean(axis=0)
    return np.column_stack([linear, offset])
