"""One picture of a clip, converted only as far as it is asked for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from pallor.video.orientation import Box


@dataclass(frozen=True)
class ReducedImage:
    """A part of a frame at the resolution at which its color was recorded.

    Attributes
    ----------
    rgb
        ``(h', w', 3)`` float32, gamma-encoded R, G, B, nominally 0..255. Neither rounded nor
        clipped: values outside 0..255 are colors that the encoder made up, and cutting them
        off would bias a mean.
    x0, y0
        Upright full-resolution pixel at which the image starts.
    scale
        Full-resolution pixels a side of one pixel of ``rgb``: pixel ``(i, j)`` is the mean
        over rows ``y0 + scale i ... y0 + scale (i + 1) - 1`` and columns likewise.
    """

    rgb: NDArray[np.float32]
    x0: int
    y0: int
    scale: int


@dataclass(frozen=True)
class ReducedStack:
    """The same part of several frames, as `ReducedImage` has it of one.

    Attributes
    ----------
    rgb
        ``(n, h', w', 3)`` float32.
    x0, y0, scale
        As in `ReducedImage`.
    """

    rgb: NDArray[np.float32]
    x0: int
    y0: int
    scale: int


class Picture(Protocol):
    """Where the pixels of a frame come from: a decoded video frame or a still."""

    @property
    def width(self) -> int:
        """Width of the upright picture in pixels."""
        ...

    @property
    def height(self) -> int:
        """Height of the upright picture in pixels."""
        ...

    @property
    def alpha(self) -> NDArray[np.uint8] | None:
        """Opacity ``(h, w)``, 0..255, or None where every pixel is opaque."""
        ...

    def rgb(self, box: Box | None = None) -> NDArray[np.uint8]:
        """Return the upright picture or a box inside it, ``(h, w, 3)`` uint8 R, G, B."""
        ...

    @classmethod
    def stack(cls, pictures: Sequence[Self], box: Box) -> ReducedStack:
        """Return the part that the box (inside the picture) touches, of pictures of one clip."""
        ...

    def content(self) -> Iterable[bytes]:
        """Yield the bytes by which equal pictures are recognized."""
        ...


class Frame:
    """A frame of a clip: a picture and the time at which it is shown.

    A frame stays valid for as long as it is held, also after the clip has moved on or was
    closed. Nothing is converted before it is asked for, and nothing is kept: whoever needs
    ``rgb()`` twice keeps it.

    Parameters
    ----------
    index
        Number of the frame in the clip, from 0.
    time_s
        Presentation time in seconds, 0 at the first frame of the clip.
    picture
        Where the pixels come from.
    keyframe
        Whether the picture is coded by itself, without reference to another one (an intra
        frame); always so for a still.
    """

    __slots__ = ("_picture", "index", "keyframe", "time_s")

    def __init__(self, index: int, time_s: float, picture: Picture, keyframe: bool = True) -> None:
        self.index = index
        self.time_s = time_s
        self.keyframe = keyframe
        self._picture = picture

    @classmethod
    def from_rgb(
        cls,
        rgb: NDArray[np.uint8],
        alpha: NDArray[np.uint8] | None = None,
        index: int = 0,
        time_s: float = 0.0,
    ) -> Frame:
        """Make a frame of an upright ``(h, w, 3)`` uint8 image and its ``(h, w)`` alpha."""
        return cls(index, time_s, ArrayPicture(rgb, alpha))

    @property
    def width(self) -> int:
        """Width of the upright picture in pixels."""
        return self._picture.width

    @property
    def height(self) -> int:
        """Height of the upright picture in pixels."""
        return self._picture.height

    @property
    def alpha(self) -> NDArray[np.uint8] | None:
        """Opacity of a still, ``(h, w)`` uint8; None where every pixel is opaque."""
        return self._picture.alpha

    def rgb(self, box: Box | None = None) -> NDArray[np.uint8]:
        """Return the upright picture, ``(h, w, 3)`` uint8 gamma-encoded R, G, B, 0..255.

        Matrix and range of the video are honored (:mod:`pallor.video.yuv`). An alpha channel
        changes nothing here: the colors are those stored.

        Parameters
        ----------
        box
            ``(x0, y0, x1, y1)`` inside the picture, the end exclusive: only this part, as it
            is in the whole. None for everything.
        """
        return self._picture.rgb(box)

    def reduced(self, box: tuple[float, float, float, float] | None = None) -> ReducedImage:
        """Return a part of the picture in linear precision at the resolution of its color.

        Video stores one color sample for a block of (mostly 2 x 2) pixels. The brightness of
        the block is averaged instead of interpolating its color: a quarter of the work, and
        means over regions are those of the full-resolution picture.

        Parameters
        ----------
        box
            ``(x0, y0, x1, y1)`` in upright full-resolution pixels, the end exclusive; None
            for everything. What lies outside the picture is cut off. Blocks that the box
            touches are included whole; an incomplete block at the end of a picture of odd
            size is left out.

        Returns
        -------
        ReducedImage
            Of shape ``(0, 0, 3)`` where the box and the picture have nothing in common.
        """
        part = reduced_stack([self], box)
        return ReducedImage(part.rgb[0], part.x0, part.y0, part.scale)

    def content(self) -> Iterable[bytes]:
        """Yield the bytes that :class:`pallor.video.content.ContentHash` reads."""
        return self._picture.content()


def reduced_stack(
    frames: Sequence[Frame], box: tuple[float, float, float, float] | None = None
) -> ReducedStack:
    """Return the same part of several frames of one clip; see `Frame.reduced`.

    Many small pictures are converted in one step: what the calls themselves cost is then
    spent once.

    Parameters
    ----------
    frames
        At least one.
    box
        As in `Frame.reduced`.
    """
    width, height = frames[0].width, frames[0].height
    pictures = [frame._picture for frame in frames]
    stack = type(pictures[0]).stack
    if box is None:
        return stack(pictures, (0, 0, width, height))
    x0, y0 = max(0, math.floor(box[0])), max(0, math.floor(box[1]))
    x1, y1 = min(width, math.ceil(box[2])), min(height, math.ceil(box[3]))
    if x0 >= x1 or y0 >= y1:
        return ReducedStack(np.empty((len(frames), 0, 0, 3), np.float32), x0, y0, 1)
    return stack(pictures, (x0, y0, x1, y1))


class ArrayPicture:
    """A picture that is an array already: a still.

    Parameters
    ----------
    rgb
        Upright, ``(h, w, 3)`` uint8.
    alpha
        ``(h, w)`` uint8, or None where every pixel is opaque.
    """

    def __init__(self, rgb: NDArray[np.uint8], alpha: NDArray[np.uint8] | None = None) -> None:
        self._rgb = rgb
        self.alpha = alpha
        self.height, self.width = rgb.shape[:2]

    def rgb(self, box: Box | None = None) -> NDArray[np.uint8]:
        """Return the picture or a box of it, ``(h, w, 3)``; the array itself, not a copy."""
        if box is None:
            return self._rgb
        x0, y0, x1, y1 = box
        return self._rgb[y0:y1, x0:x1]

    @classmethod
    def stack(cls, pictures: Sequence[Self], box: Box) -> ReducedStack:
        """Return the box at full resolution (``scale`` 1)."""
        x0, y0, x1, y1 = box
        parts = np.stack([picture._rgb[y0:y1, x0:x1] for picture in pictures])
        return ReducedStack(parts.astype(np.float32), x0, y0, 1)

    def content(self) -> Iterable[bytes]:
        """Yield the size and all RGBA pixels, with the color of transparent pixels as zero.

        Editors store anything under alpha 0, so it must not tell two equal pictures apart.
        """
        rgba = np.full((self.height, self.width, 4), 255, np.uint8)
        rgba[..., :3] = self._rgb
        if self.alpha is not None:
            rgba[..., 3] = self.alpha
            rgba[self.alpha == 0, :3] = 0
        yield f"still {self.width}x{self.height}".encode()
        yield rgba.tobytes()
