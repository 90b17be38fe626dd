"""From the brightness and color planes of a decoded video frame to R, G, B.

Conventions
-----------
Matrix: that of the stream (BT.601, BT.709, BT.2020 non-constant luminance, FCC, SMPTE 240M).
Where the stream does not say, BT.709 for high definition (long side >= 1280 or short side
> 576 pixels) and BT.601 below, as players do. Range: that of the stream; where it does not
say, full for the ``yuvj`` formats and gray (as swscale has it), else limited. Chroma samples
are taken to lie in the middle of their block. The result keeps the transfer function of the
video ("gamma-encoded"); high dynamic range (HLG, PQ) is not tone-mapped and primaries are not
converted.

Source of the equations: Recommendations ITU-R BT.601-7, BT.709-6, BT.2020-2; ITU-T H.273.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from pallor.video.frame import ReducedStack
from pallor.video.orientation import Box, Orientation

if TYPE_CHECKING:
    import av

HASH_STEP = 8
"""Every how many samples, in both directions, the content hash takes one."""

FULL_RANGE = 2
"""AVCOL_RANGE_JPEG of libavutil."""

KR_KB: dict[int, tuple[float, float]] = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
"""Weights of red and blue in the luma, by matrix coefficients (H.273, table 4)."""


@dataclass(frozen=True)
class Layout:
    """How a pixel format stores its planes.

    Attributes
    ----------
    step_x, step_y
        Pixels a chroma sample, across and down.
    bits
        Significant bits a sample.
    shift
        Unused low bits of the stored word.
    interleaved
        U and V alternate in one plane.
    gray
        There is no chroma.
    """

    step_x: int
    step_y: int
    bits: int = 8
    shift: int = 0
    interleaved: bool = False
    gray: bool = False

    @property
    def scale(self) -> int:
        """Side of the smallest square block that holds a whole number of chroma samples."""
        return max(self.step_x, self.step_y)

    @property
    def dtype(self) -> str:
        """Type of a stored word, for numpy."""
        return "u1" if self.bits == 8 else "<u2"


_STEPS = {"420": (2, 2), "422": (2, 1), "444": (1, 1), "440": (1, 2), "411": (4, 1), "410": (4, 4)}

LAYOUTS: dict[str, Layout] = {
    **{f"yuv{name}p": Layout(*steps) for name, steps in _STEPS.items()},
    **{f"yuvj{name}p": Layout(*steps) for name, steps in _STEPS.items()},
    **{f"yuva{name}p": Layout(*_STEPS[name]) for name in ("420", "422", "444")},
    **{
        f"yuv{name}p{bits}le": Layout(*_STEPS[name], bits=bits)
        for name in ("420", "422", "444", "440")
        for bits in (9, 10, 12, 14, 16)
    },
    "nv12": Layout(2, 2, interleaved=True),
    "nv16": Layout(2, 1, interleaved=True),
    "nv24": Layout(1, 1, interleaved=True),
    "p010le": Layout(2, 2, bits=10, shift=6, interleaved=True),
    "gray": Layout(1, 1, gray=True),
    **{f"gray{bits}le": Layout(1, 1, bits=bits, gray=True) for bits in (9, 10, 12, 14, 16)},
}
"""Formats whose planes are read as they are; anything else goes through swscale first."""


Planes = tuple[NDArray[Any], tuple[NDArray[Any], ...]]
"""Luma and chroma as stored."""


@lru_cache(maxsize=64)
def affine(matrix: int, full_range: bool, bits: int = 8, shift: int = 0) -> NDArray[np.float32]:
    """Return the 3 x 4 matrix that takes ``(Y, U, V, 1)`` as stored to R, G, B in 0..255.

    With luma weights k_r, k_g, k_b and Y', C_b, C_r brought to 0..1 and -0.5..0.5:
    R = Y' + 2 (1 - k_r) C_r, B = Y' + 2 (1 - k_b) C_b, G from Y' = k_r R + k_g G + k_b B.

    Parameters
    ----------
    matrix
        Matrix coefficients as in H.273, one of ``KR_KB``.
    full_range
        Whether black and white are 0 and 2^bits - 1; else 16 and 235 times 2^(bits - 8).
    bits, shift
        Of the stored samples (:class:`Layout`).

    Raises
    ------
    KeyError
        If the matrix is not one of ``KR_KB``.
    """
    kr, kb = KR_KB[matrix]
    kg = 1.0 - kr - kb
    unit = 2.0 ** (bits - 8)
    black, white, chroma_span = 16.0 * unit, 235.0 * unit, 224.0 * unit
    if full_range:
        black, white, chroma_span = 0.0, 2.0**bits - 1.0, 2.0**bits - 1.0
    chroma_zero = 128.0 * unit
    luma, chroma = 255.0 / (white - black), 255.0 / chroma_span
    red_v, blue_u = 2.0 * (1.0 - kr) * chroma, 2.0 * (1.0 - kb) * chroma
    linear = np.array(
        [
            [luma, 0.0, red_v],
            [luma, -kb / kg * blue_u, -kr / kg * red_v],
            [luma, blue_u, 0.0],
        ]
    )
    offset = -linear @ np.array([black, chroma_zero, chroma_zero])
    result = np.column_stack([linear / 2.0**shift, offset]).astype(np.float32)
    result.flags.writeable = False
    return result


def matrix_of(colorspace: int, width: int, height: int) -> int:
    """Return the matrix to use for what a stream says and the size of its frames.

    Parameters
    ----------
    colorspace
        As the stream has it; 2 and anything unknown stand for "unspecified".
    width, height
        Of the frame in pixels, in any orientation.
    """
    if colorspace in KR_KB:
        return colorspace
    is_hd = max(width, height) >= 1280 or min(width, height) > 576
    return 1 if is_hd else 6


class VideoPicture:
    """The pixels of a decoded video frame.

    Parameters
    ----------
    frame
        Decoded frame; held, not copied.
    orientation
        How to set it upright.
    """

    alpha = None

    def __init__(self, frame: av.VideoFrame, orientation: Orientation) -> None:
        self._frame = frame
        self._orientation = orientation
        self._own_planes: Planes | None = None
        self.width, self.height = orientation.size(frame.width, frame.height)

    def rgb(self, box: Box | None = None) -> NDArray[np.uint8]:
        """Return the upright picture or a box of it, chroma interpolated bilinearly."""
        frame, layout = _planar(self._frame)
        if box is None:
            box = (0, 0, self.width, self.height)
        x0, y0, x1, y1 = self._orientation.box_to_stored(box, frame.width, frame.height)
        if layout is None:
            return self._orientation.apply(_packed_rgb(frame)[y0:y1, x0:x1])
        # Whole chroma samples, and one more on each side for the interpolation.
        step_x, step_y = layout.step_x, layout.step_y
        left, top = max(0, x0 // step_x - 1) * step_x, max(0, y0 // step_y - 1) * step_y
        right = min(frame.width, (-(-x1 // step_x) + 1) * step_x)
        bottom = min(frame.height, (-(-y1 // step_y) + 1) * step_y)
        luma, chroma = self._planes(frame, layout)
        part = luma[top:bottom, left:right]
        columns = slice(left // step_x, -(-right // step_x))
        rows = slice(top // step_y, -(-bottom // step_y))
        rgb = _full_rgb(
            part, [plane[rows, columns] for plane in chroma], _matrix(frame, layout), layout
        )
        return self._orientation.apply(rgb[y0 - top : y1 - top, x0 - left : x1 - left])

    @classmethod
    def stack(cls, pictures: Sequence[Self], box: Box) -> ReducedStack:
        """Return the blocks that the box touches, each the mean of its pixels."""
        if len({picture._coding() for picture in pictures}) > 1:  # a stream may change on its way
            single = [cls.stack([picture], box) for picture in pictures]
            rgb = np.concatenate([part.rgb for part in single])
            return ReducedStack(rgb, single[0].x0, single[0].y0, single[0].scale)
        frames = [_planar(picture._frame) for picture in pictures]
        frame, layout = frames[0]
        scale = 1 if layout is None else layout.scale
        if frame.width < scale or frame.height < scale:  # not one whole block
            frames = [(picture._frame, None) for picture in pictures]
            (frame, layout), scale = frames[0], 1
        orientation = pictures[0]._orientation
        columns, rows = frame.width // scale, frame.height // scale
        x0, y0, x1, y1 = orientation.box_to_stored(box, frame.width, frame.height)
        x0, y0 = x0 // scale, y0 // scale
        x1, y1 = min(columns, -(-x1 // scale)), min(rows, -(-y1 // scale))
        stored_box = (x0 * scale, y0 * scale, x1 * scale, y1 * scale)
        if x0 >= x1 or y0 >= y1:  # only in the incomplete block at the end
            rgb = np.empty((len(frames), 0, 0, 3), np.float32)
        elif layout is None:
            parts = [_packed_rgb(each)[y0:y1, x0:x1] for each, _ in frames]
            rgb = np.stack(parts).astype(np.float32)
        else:
            planes = [
                picture._planes(each, layout)
                for picture, (each, _) in zip(pictures, frames, strict=True)
            ]
            rgb = _converted(planes, layout, _matrix(frame, layout), stored_box)
        left, top, _, _ = orientation.box_to_upright(stored_box, frame.width, frame.height)
        return ReducedStack(orientation.apply_all(rgb), left, top, scale)

    def _planes(self, frame: av.VideoFrame, layout: Layout) -> Planes:
        """Return the planes of the frame, or of the one it was reformatted to."""
        if frame is not self._frame:
            return _planes(frame, layout)
        if self._own_planes is None:  # views, hence kept at no cost
            self._own_planes = _planes(frame, layout)
        return self._own_planes

    def _coding(self) -> tuple[object, ...]:
        """Return what frames that are converted together have in common."""
        frame = self._frame
        size = (frame.width, frame.height)
        return (*size, frame.format.name, frame.color_range, frame.colorspace, self._orientation)

    def content(self) -> Iterable[bytes]:
        """Yield size, format and a regular subsample of the planes as stored."""
        frame, layout = _planar(self._frame)
        name = frame.format.name.replace("yuvj", "yuv")
        yield f"video {frame.width}x{frame.height} {name}".encode()
        if layout is None:
            yield _packed_rgb(frame)[::HASH_STEP, ::HASH_STEP].tobytes()
            return
        luma, chroma = self._planes(frame, layout)
        for plane in (luma, *chroma):
            yield plane[::HASH_STEP, ::HASH_STEP].tobytes()


def _planar(frame: av.VideoFrame) -> tuple[av.VideoFrame, Layout | None]:
    """Return the frame in a format of ``LAYOUTS``, or itself and None if it is made of RGB."""
    layout = LAYOUTS.get(frame.format.name)
    if layout is not None:
        return frame, layout
    if frame.format.is_rgb or frame.format.has_palette:
        return frame, None
    # No chroma is averaged away on the way: 4:4:4, and ten bits where there are more than 8.
    deep = max(component.bits for component in frame.format.components) > 8
    name = "yuv444p10le" if deep else "yuv444p"
    return frame.reformat(format=name), LAYOUTS[name]


def _packed_rgb(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """Return the stored frame as ``(h, w, 3)`` through swscale, for formats made of RGB."""
    return np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def _matrix(frame: av.VideoFrame, layout: Layout) -> NDArray[np.float32]:
    """Return the conversion for this frame, 3 x 2 for gray, else 3 x 4."""
    declared = int(frame.color_range)
    full_by_format = frame.format.name.startswith("yuvj") or (layout.gray and declared == 0)
    full = declared == FULL_RANGE or full_by_format
    matrix = matrix_of(int(frame.colorspace), frame.width, frame.height)
    result = affine(matrix, full, layout.bits, layout.shift)
    if not layout.gray:
        return result
    neutral = 2.0 ** (layout.bits - 1 + layout.shift)
    offset = result[:, 3] + result[:, 1:3].sum(axis=1) * neutral
    return np.column_stack([result[:, 0], offset]).astype(np.float32)


def _planes(frame: av.VideoFrame, layout: Layout) -> Planes:
    """Return views of luma ``(h, w)`` and of the two chroma planes, without their padding."""
    count = 1 if layout.gray else 2 if layout.interleaved else 3
    luma, *rest = (
        np.frombuffer(plane, layout.dtype).reshape(  # type: ignore[call-overload]
            -1, plane.line_size // np.dtype(layout.dtype).itemsize
        )
        for plane in frame.planes[:count]
    )
    luma = luma[: frame.height, : frame.width]
    rows, columns = -(-frame.height // layout.step_y), -(-frame.width // layout.step_x)
    if layout.interleaved:
        both = rest[0][:rows, : 2 * columns]
        return luma, (both[:, 0::2], both[:, 1::2])
    return luma, tuple(plane[:rows, :columns] for plane in rest)


def _full_rgb(
    luma: NDArray[Any], chroma: Sequence[NDArray[Any]], matrix: NDArray[np.float32], layout: Layout
) -> NDArray[np.uint8]:
    """Convert planes to R, G, B at the resolution of the luma."""
    import cv2

    rows, columns = luma.shape
    samples: list[Any] = [luma]
    for plane in chroma:
        if plane.shape != luma.shape:
            # An odd size ends within a chroma sample: enlarge whole samples, then cut.
            size = (plane.shape[1] * layout.step_x, plane.shape[0] * layout.step_y)
            plane = cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR)[:rows, :columns]
        samples.append(plane)
    stored = samples[0] if layout.gray else cv2.merge(samples)
    if layout.bits > 8:
        rgb = cv2.transform(stored.astype(np.float32), matrix)
        return np.clip(np.rint(rgb), 0, 255).astype(np.uint8)
    # On 8-bit input OpenCV computes in float, rounds and saturates.
    return np.asarray(cv2.transform(stored, matrix), np.uint8)


def _converted(
    planes: Sequence[Planes], layout: Layout, matrix: NDArray[np.float32], box: Box
) -> NDArray[np.float32]:
    """Return the blocks of a box, ``(n, rows, columns, 3)``; all frames are coded alike."""
    import cv2

    scale = layout.scale
    columns, rows = (box[2] - box[0]) // scale, (box[3] - box[1]) // scale
    size = (columns, len(planes) * rows)
    samples = [_block_means([luma for luma, _ in planes], box, 1, 1, size)]
    if not layout.gray:
        for which in (0, 1):
            plane = [chroma[which] for _, chroma in planes]
            samples.append(_block_means(plane, box, layout.step_x, layout.step_y, size))
    merged = samples[0] if layout.gray else cv2.merge(samples)
    rgb = np.asarray(cv2.transform(merged, matrix), np.float32)
    return rgb.reshape(len(planes), rows, columns, 3)


def _block_means(
    planes: Sequence[NDArray[Any]], box: Box, step_x: int, step_y: int, size: tuple[int, int]
) -> NDArray[np.float32]:
    """Average one plane of each frame over the blocks of a box, one frame below the other.

    Parameters
    ----------
    planes
        Samples, one for ``step_x`` x ``step_y`` pixels.
    box
        In full-resolution pixels, made of whole blocks.
    size
        Columns and rows of blocks in all the boxes.
    """
    import cv2

    x0, y0, x1, y1 = box
    rows, columns = slice(y0 // step_y, y1 // step_y), slice(x0 // step_x, x1 // step_x)
    parts = np.concatenate([plane[rows, columns] for plane in planes]).astype(np.float32)
    if parts.shape == (size[1], size[0]):
        return parts
    # In float, because the mean of 8-bit samples would be rounded to 8 bits. No block reaches
    # from one frame into the next, for a box is made of whole blocks.
    return np.asarray(cv2.resize(parts, size, interpolation=cv2.INTER_AREA), np.float32)
