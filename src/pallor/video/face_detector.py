"""Faces of a picture: BlazeFace, short range (Bazarevsky et al., arXiv:1907.05047)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from pallor.video.litert import Network

MIN_DETECTION_SCORE = 0.5
MAX_OVERLAP = 0.3
"""Two detections with a higher intersection over union are one face."""

TILE_SIDE = 0.6
"""Side of a detection tile in units of the frame's shorter side."""

MAX_ASPECT = 8.0
"""Longer by shorter side from which a picture is a strip: no face fits into it, and the squares
that would cover it are as many as it is long."""

_SIZE = 128
_GRIDS = ((8, 2), (16, 6))
"""Stride in pixels of the input, and anchors in each cell."""

_MAX_LOGIT = 100.0


@dataclass(frozen=True)
class FaceBox:
    """A detected face.

    Attributes
    ----------
    x0, y0, x1, y1
        Box in pixels of the picture; it may reach outside.
    score
        0..1.
    keypoints
        ``(6, 2)`` float32, pixels: right eye, left eye, nose tip, mouth, right and left ear
        tragion (the subject's right and left).
    """

    x0: float
    y0: float
    x1: float
    y1: float
    score: float
    keypoints: NDArray[np.float32]

    @property
    def area(self) -> float:
        """Area of the box in square pixels."""
        return max(self.x1 - self.x0, 0.0) * max(self.y1 - self.y0, 0.0)

    @property
    def center(self) -> tuple[float, float]:
        """Middle of the box."""
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2


def overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    """Return the intersection over union of two boxes ``(x0, y0, x1, y1)``, 0..1."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    common = max(width, 0.0) * max(height, 0.0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common
    return common / union if union > 0 else 0.0


def detect_whole(network: Network, rgb: NDArray[np.uint8]) -> list[FaceBox]:
    """Find what looks like a face in a picture as a whole, best score first.

    The network is made for faces near the camera: those below about a ninth of the longer
    side are missed.

    Parameters
    ----------
    network
        The detector.
    rgb
        ``(h, w, 3)`` uint8, any size.
    """
    height, width = rgb.shape[:2]
    return _detect_in(network, rgb, 0, 0, width, height)


def detect_tiled(network: Network, rgb: NDArray[np.uint8]) -> list[FaceBox]:
    """Find what looks like a face in overlapping square tiles: smaller faces, more mistakes.

    Parameters are those of `detect_whole`.
    """
    height, width = rgb.shape[:2]
    return merge_overlapping(
        [
            box
            for x0, y0, side in tiles(width, height)
            for box in _detect_in(network, rgb, x0, y0, side, side)
        ]
    )


@cache
def anchors() -> NDArray[np.float32]:
    """Centers of the 896 anchors in pixels of the 128 x 128 input, ``(896, 2)`` as x, y."""
    grids = []
    for stride, per_cell in _GRIDS:
        along = (np.arange(_SIZE // stride, dtype=np.float32) + 0.5) * stride
        rows, columns = np.meshgrid(along, along, indexing="ij")
        centers = np.stack([columns, rows], axis=-1).reshape(-1, 2)
        grids.append(np.repeat(centers, per_cell, axis=0))
    return np.concatenate(grids)


def tiles(width: int, height: int) -> list[tuple[int, int, int]]:
    """Return ``(x0, y0, side)`` of overlapping squares that cover a frame; none of a strip."""
    if max(width, height) > MAX_ASPECT * min(width, height):
        return []
    side = max(round(TILE_SIDE * min(width, height)), 1)
    # Steps of at most 0.7 sides: a face of up to 0.3 sides lies whole in some tile.
    starts = [
        np.linspace(0, extent - side, 1 + int(np.ceil((extent - side) / (0.7 * side)))).astype(int)
        for extent in (width, height)
    ]
    return [(int(x0), int(y0), side) for y0, x0 in product(starts[1], starts[0])]


def merge_overlapping(boxes: list[FaceBox]) -> list[FaceBox]:
    """Merge detections of the same face, weighted by score; best score first.

    Blending instead of suppression follows Bazarevsky et al., section 3.4: it steadies the
    box over time.
    """
    left = sorted(boxes, key=lambda box: -box.score)
    merged = []
    while left:
        best = left[0]
        same = [b for b in left if overlap(_corners(b), _corners(best)) > MAX_OVERLAP or b is best]
        left = [b for b in left if all(b is not s for s in same)]
        weights = np.array([b.score for b in same])
        values = np.array([[*_corners(b), *b.keypoints.ravel()] for b in same])
        mean = (weights @ values) / weights.sum()
        x0, y0, x1, y1, *keypoints = mean.astype(np.float32)
        places = np.array(keypoints).reshape(-1, 2)
        merged.append(FaceBox(float(x0), float(y0), float(x1), float(y1), best.score, places))
    return merged


def _corners(box: FaceBox) -> tuple[float, float, float, float]:
    return box.x0, box.y0, box.x1, box.y1


def _detect_in(
    network: Network, rgb: NDArray[np.uint8], x0: int, y0: int, width: int, height: int
) -> list[FaceBox]:
    image, scale, pad = _letterbox(rgb[y0 : y0 + height, x0 : x0 + width])
    outputs = network(image)
    logits = np.clip(outputs["classificators"].reshape(-1), -_MAX_LOGIT, _MAX_LOGIT)
    scores = 1.0 / (1.0 + np.exp(-logits.astype(np.float64)))
    keep = np.flatnonzero(scores >= MIN_DETECTION_SCORE)
    raw = outputs["regressors"].reshape(-1, 8, 2)[keep]
    origin = np.array([x0, y0], dtype=np.float32)
    # Rows of raw: offset of the box center, box size, six keypoint offsets.
    points = (raw + anchors()[keep, None] - pad) / scale + origin
    half = raw[:, 1] / scale / 2
    low, high = points[:, 0] - half, points[:, 0] + half
    return merge_overlapping(
        [
            FaceBox(
                float(low[i, 0]),
                float(low[i, 1]),
                float(high[i, 0]),
                float(high[i, 1]),
                float(scores[k]),
                points[i, 2:],
            )
            for i, k in enumerate(keep)
            if (high[i] > low[i]).all()
        ]
    )


def _letterbox(
    rgb: NDArray[np.uint8],
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Fit a picture into the input square; also its scale and offset there, as x, y."""
    import cv2

    height, width = rgb.shape[:2]
    factor = _SIZE / max(height, width)
    size = (max(round(width * factor), 1), max(round(height * factor), 1))
    interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    small = cv2.resize(rgb, size, interpolation=interpolation)
    left, top = (_SIZE - size[0]) // 2, (_SIZE - size[1]) // 2
    image = np.full((_SIZE, _SIZE, 3), -1.0, dtype=np.float32)
    image[top : top + size[1], left : left + size[0]] = small.astype(np.float32) / 127.5 - 1.0
    scale = np.array([size[0] / width, size[1] / height], dtype=np.float32)
    return image, scale, np.array([left, top], dtype=np.float32)
