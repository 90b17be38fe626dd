"""How a face leaves the straight line between two keyframes, at a glance.

Two keyframes tell nothing of a nod between them. So frames between are compared with the
first: the translation that explains the difference of small, blurred pictures of the face best
(Lucas & Kanade 1981, *An iterative image registration technique with an application to stereo
vision*, IJCAI, 674; one step, one window, over the whole face).

It scatters far less than landmarks do. More keyframes instead would bring their scatter,
half a percent of the face each time, into the band of the pulse.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pallor.video.frame import Frame
from pallor.video.measure import Box

LOOKS = 3
"""Frames between the keyframes that are compared."""

_SIDE = 32
"""Pixels of the longer side of the small pictures: a step of Lucas and Kanade holds for shifts
of a pixel or two, which is a tenth of the face."""


def straying(frames: Sequence[Frame], box: Box) -> float:
    """Return how far the face is off a straight path at most, by a few of the frames.

    Parameters
    ----------
    frames
        From one keyframe to the next, both included.
    box
        Around the face in all of them.

    Returns
    -------
    float
        In pixels of the frames; 0 where there is no frame between.
    """
    places = np.unique(np.linspace(0, len(frames) - 1, LOOKS + 2).round().astype(int))
    off = off_the_line([frames[i] for i in places], box)
    return float(np.hypot(off[:, 0], off[:, 1]).max())


def off_the_line(frames: Sequence[Frame], box: Box) -> NDArray[np.float64]:
    """Return how far the face is off a straight path in each frame.

    Parameters
    ----------
    frames, box
        As for `straying`.

    Returns
    -------
    ndarray
        ``(n, 2)``: x and y in pixels of the frames; 0 in the first and the last.
    """
    if len(frames) < 3:
        return np.zeros((len(frames), 2))
    shift = shifts(_small(frames, box))
    time_s = np.array([frame.time_s for frame in frames])
    weight = (time_s - time_s[0]) / (time_s[-1] - time_s[0])
    off: NDArray[np.float64] = shift - weight[:, None] * shift[-1]
    return off * (max(box.x1 - box.x0, box.y1 - box.y0) / _SIDE)


def shifts(pictures: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the translation of each picture against the first, in pixels.

    Parameters
    ----------
    pictures
        ``(n, h, w)``. A change of brightness as a whole plays no part.

    Returns
    -------
    ndarray
        ``(n, 2)``: x and y; 0 where a picture has no structure to tell by.
    """
    first = pictures[0].astype(np.float64)
    inner = (slice(1, -1), slice(1, -1))
    dx = ((first[:, 2:] - first[:, :-2]) / 2)[1:-1].ravel()
    dy = ((first[2:] - first[:-2]) / 2)[:, 1:-1].ravel()
    # The third column takes up brightness, the fourth contrast.
    model = np.column_stack([-dx, -dy, np.ones_like(dx), first[inner].ravel()])
    change = (pictures[:, 1:-1, 1:-1] - first[inner]).reshape(len(pictures), -1)
    normal = model.T @ model
    normal[np.diag_indices(4)] += 1e-9 * np.trace(normal) + 1e-9
    found: NDArray[np.float64] = np.linalg.solve(normal, model.T @ change.T)[:2].T
    return found


def _small(frames: Sequence[Frame], box: Box) -> NDArray[np.float32]:
    """Return small gray pictures of a box, ``(n, h, w)``."""
    import cv2

    width, height = box.x1 - box.x0, box.y1 - box.y0
    scale = _SIDE / max(width, height)
    size = (max(round(width * scale), 3), max(round(height * scale), 3))
    parts = [frame.gray(box.as_tuple()) for frame in frames]
    # As stored: rounding scatters less than the camera's noise, and floats take twice the time.
    small = [cv2.resize(part, size, interpolation=cv2.INTER_AREA) for part in parts]
    return np.stack(small).astype(np.float32)
