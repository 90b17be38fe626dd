"""The eight ways in which stored pixels can lie, and how to set them upright."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Box = tuple[int, int, int, int]
"""``(x0, y0, x1, y1)`` in pixels, ``x1`` and ``y1`` exclusive."""


@dataclass(frozen=True)
class Orientation:
    """How to turn the stored picture into the upright one: transpose first, then flip.

    Attributes
    ----------
    transpose
        Swap rows and columns.
    flip_x, flip_y
        Mirror left to right and top to bottom, after the transposition.
    """

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @property
    def mirrored(self) -> bool:
        """Whether the picture is mirrored and not merely rotated."""
        return self.transpose ^ self.flip_x ^ self.flip_y

    @property
    def rotation_deg(self) -> int:
        """Clockwise turn that sets the stored picture upright: 0, 90, 180 or 270.

        For a mirrored picture, the turn after mirroring it left to right.
        """
        if self.transpose:
            return 90 if self.flip_x else 270
        return 180 if self.flip_y else 0

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return the upright ``(width, height)`` of a stored picture of that size."""
        return (height, width) if self.transpose else (width, height)

    def apply(self, image: NDArray[Any]) -> NDArray[Any]:
        """Return the stored ``(h, w)`` or ``(h, w, c)`` image upright, contiguous in memory."""
        if self.transpose:
            image = image.swapaxes(0, 1)
        if self.flip_x:
            image = image[:, ::-1]
        if self.flip_y:
            image = image[::-1]
        return np.ascontiguousarray(image)

    def apply_all(self, images: NDArray[Any]) -> NDArray[Any]:
        """Return stored ``(n, h, w, c)`` images upright, contiguous in memory."""
        if self.transpose:
            images = images.swapaxes(1, 2)
        if self.flip_x:
            images = images[:, :, ::-1]
        if self.flip_y:
            images = images[:, ::-1]
        return np.ascontiguousarray(images)

    def box_to_upright(self, box: Box, width: int, height: int) -> Box:
        """Map a box from stored to upright pixels.

        Parameters
        ----------
        box
            Box in the stored picture.
        width, height
            Size of the stored picture.
        """
        x0, y0, x1, y1 = box
        if self.transpose:
            x0, y0, x1, y1 = y0, x0, y1, x1
            width, height = height, width
        if self.flip_x:
            x0, x1 = width - x1, width - x0
        if self.flip_y:
            y0, y1 = height - y1, height - y0
        return x0, y0, x1, y1

    def box_to_stored(self, box: Box, width: int, height: int) -> Box:
        """Map a box from upright to stored pixels; the inverse of :meth:`box_to_upright`.

        Parameters
        ----------
        box
            Box in the upright picture.
        width, height
            Size of the stored picture.
        """
        x0, y0, x1, y1 = box
        upright_width, upright_height = self.size(width, height)
        if self.flip_x:
            x0, x1 = upright_width - x1, upright_width - x0
        if self.flip_y:
            y0, y1 = upright_height - y1, upright_height - y0
        return (y0, x0, y1, x1) if self.transpose else (x0, y0, x1, y1)


UPRIGHT = Orientation()

EXIF_ORIENTATIONS: dict[int, Orientation] = {
    1: UPRIGHT,
    2: Orientation(flip_x=True),
    3: Orientation(flip_x=True, flip_y=True),
    4: Orientation(flip_y=True),
    5: Orientation(transpose=True),
    6: Orientation(transpose=True, flip_x=True),
    7: Orientation(transpose=True, flip_x=True, flip_y=True),
    8: Orientation(transpose=True, flip_y=True),
}
"""Values of the EXIF tag 0x0112 (CIPA DC-008, 4.6.4)."""


def from_display_matrix(matrix: Sequence[int]) -> Orientation:
    """Read the orientation off a QuickTime display matrix.

    A stored point ``(x, y)`` is shown at ``(a x + c y, b x + d y)`` (QuickTime File Format,
    "Matrices"). Turns that are no multiple of 90 degrees go to the nearest one.

    Parameters
    ----------
    matrix
        The nine numbers ``a b u c d v x y w``; only signs and relative sizes matter.
    """
    a, b, c, d = (float(matrix[i]) for i in (0, 1, 3, 4))
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(flip_x=a < 0, flip_y=d < 0)
    return Orientation(transpose=True, flip_x=c < 0, flip_y=b < 0)
