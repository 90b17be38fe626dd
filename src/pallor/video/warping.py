"""Cutting a turned, scaled square out of a picture."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_MAX_SUPERSAMPLING = 8


def warp_square(
    rgb: NDArray[np.uint8], to_picture: NDArray[np.float64], size: int
) -> NDArray[np.uint8]:
    """Sample a ``(size, size, 3)`` square through an affine map.

    Where the picture shrinks, the square is sampled finer and averaged by area, since
    bilinear sampling alone would skip pixels: noise and aliasing that flicker over time.
    Beyond the picture its edge is repeated.

    Parameters
    ----------
    rgb
        ``(h, w, 3)`` uint8.
    to_picture
        ``(2, 3)`` map from coordinates of the square to coordinates of the picture, both
        continuous: pixel centers lie at halves.
    size
        Side of the square in pixels.
    """
    import cv2

    linear, offset = to_picture[:, :2], to_picture[:, 2]
    shrink = math.sqrt(abs(float(np.linalg.det(linear))))
    finer = int(np.clip(round(shrink), 1, _MAX_SUPERSAMPLING))
    fine_linear = linear / finer
    # OpenCV counts pixel centers at integers.
    fine_offset = offset + fine_linear @ np.full(2, 0.5) - 0.5
    square = cv2.warpAffine(
        np.ascontiguousarray(rgb),
        np.column_stack([fine_linear, fine_offset]),
        (size * finer, size * finer),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if finer > 1:
        square = cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(square, dtype=np.uint8)


def square_bounds(
    to_picture: NDArray[np.float64], size: int, width: int, height: int
) -> tuple[int, int, int, int]:
    """Return the box of a picture that `warp_square` looks at, at least one pixel.

    Parameters
    ----------
    to_picture, size
        As for `warp_square`.
    width, height
        Of the picture; the box is cut there.
    """
    corners = np.array([[0, 0, 1], [size, 0, 1], [0, size, 1], [size, size, 1]], np.float64)
    x, y = (corners @ to_picture.T).T
    # Bilinear sampling looks one pixel further.
    x0, y0 = math.floor(x.min()) - 2, math.floor(y.min()) - 2
    x1, y1 = math.ceil(x.max()) + 2, math.ceil(y.max()) + 2
    x0, y0 = min(max(x0, 0), width - 1), min(max(y0, 0), height - 1)
    return x0, y0, min(max(x1, x0 + 1), width), min(max(y1, y0 + 1), height)
