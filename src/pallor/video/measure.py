"""Measure regions in one picture: means for the traces, pixels for the color features."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pallor.video.frame import Frame, reduced_stack
from pallor.video.regions import (
    REGIONS,
    draw_regions,
    label_map,
    to_local,
    valid_mask,
    valid_reference_mask,
)

MIN_PIXELS = 12
"""Valid full-resolution pixels that a region needs for color statistics."""

MIN_TRACE_PIXELS = 4
"""Valid pixels at chroma resolution, each the mean of up to four, that a region mean needs."""

MAX_PIXELS = 1000
"""Pixels of a region kept for the color features; a larger region is subsampled evenly."""

_STACK_PIXELS = 2**19
"""Full-resolution pixels of a face that are converted and summed in one step."""

NAMES = tuple(REGIONS)
_BACKGROUND = NAMES.index("background")
_REFERENCES = tuple(i for i, name in enumerate(NAMES) if REGIONS[name].is_reference)


@dataclass(frozen=True)
class Box:
    """Axis-aligned box in pixels of the upright frame; the far edges are exclusive."""

    x0: int
    y0: int
    x1: int
    y1: int

    def as_tuple(self) -> tuple[int, int, int, int]:
        """Return ``(x0, y0, x1, y1)``."""
        return self.x0, self.y0, self.x1, self.y1


def face_box(points: NDArray[Any], width: int, height: int) -> Box:
    """Return the box around points, on even pixels and inside the frame.

    Parameters
    ----------
    points
        ``(..., 2)``, of one frame or of many.
    width, height
        Of the frame in pixels.
    """
    flat = points.reshape(-1, 2)
    (low_x, low_y), (high_x, high_y) = flat.min(axis=0).tolist(), flat.max(axis=0).tolist()
    x1, y1 = math.ceil(high_x) + 1, math.ceil(high_y) + 1
    return Box(
        min(max(math.floor(low_x), 0), width - 2) & ~1,
        min(max(math.floor(low_y), 0), height - 2) & ~1,
        min(max(x1 + (x1 & 1), 2), width),
        min(max(y1 + (y1 & 1), 2), height),
    )


def background_boxes(points: NDArray[np.float32], width: int, height: int) -> tuple[Box, ...]:
    """Return up to two boxes beside the head that hold background only.

    The whole background is not needed in every frame: it serves as a control and as a hint
    of the illuminant. One box on each side keeps its cost to a fraction of the face's.
    """
    scale = max(1, round(min(width, height) / 60))
    shape = (height // scale, width // scale)
    labels = label_map(points, shape, 0, 0, float(scale))
    free = (labels == _BACKGROUND + 1).astype(np.int32)
    side = max(2, min(shape) // 8)
    if min(shape) < side + 1:
        return ()
    total = np.pad(free.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    window = (
        total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    )
    full = window == side * side
    middle = float(points[:, 0].mean()) / scale
    eye_row = float(np.median(points[:, 1])) / scale
    boxes = []
    columns = np.arange(full.shape[1])
    for of_side in (columns + side <= middle, columns >= middle):
        rows, cols = np.nonzero(full & of_side[None, :])
        if len(rows) == 0:
            continue
        # At the height of the eyes and close to the head the light is most like the face's.
        best = np.argmin(np.abs(rows + side / 2 - eye_row) + np.abs(cols + side / 2 - middle))
        x0, y0 = int(cols[best]) * scale & ~1, int(rows[best]) * scale & ~1
        boxes.append(Box(x0, y0, x0 + side * scale, y0 + side * scale))
    return tuple(boxes)


def _valid(rgb: NDArray[np.float32], labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Tell which of ``(n, 3)`` colors can be used, by the region that each belongs to."""
    valid = valid_mask(rgb)
    for index in _REFERENCES:
        reference = labels == index + 1
        valid[reference] = valid_reference_mask(rgb[reference])
    return valid


@dataclass(frozen=True)
class RegionSums:
    """Sums of the valid pixels of each region in each of ``n`` frames.

    Attributes
    ----------
    sums
        ``(n, regions, 3)``, gamma-encoded R, G, B.
    used, total
        ``(n, regions)`` numbers of valid and of all pixels.
    """

    sums: NDArray[np.float64]
    used: NDArray[np.int64]
    total: NDArray[np.int64]


def measure_face(
    frames: Sequence[Frame], at: NDArray[np.float64], background: Sequence[Box]
) -> RegionSums:
    """Sum the regions of a face and the background beside it, at chroma resolution.

    Parameters
    ----------
    frames
        Frames of one clip.
    at
        ``(n, anchors, 2)``: where `pallor.video.regions.anchors` lie in each frame, pixels.
    background
        Boxes that hold background only.
    """
    width, height = frames[0].width, frames[0].height
    box = face_box(at, width, height)
    parts = []
    # So that many small faces share the cost of a call, and few large ones stay in the cache.
    step = max(1, _STACK_PIXELS // max(1, (box.x1 - box.x0) * (box.y1 - box.y0)))
    for start in range(0, len(frames), step):
        some = slice(start, start + step)
        face = reduced_stack(frames[some], box.as_tuple())
        labels = np.zeros(face.rgb.shape[:3], dtype=np.uint8)
        draw_regions(labels, to_local(at[some], face.x0, face.y0, face.scale))
        parts.append(sum_regions(face.rgb, labels))
    sums = np.concatenate([part.sums for part in parts])
    used = np.concatenate([part.used for part in parts])
    total = np.concatenate([part.total for part in parts])
    for patch in background:
        stack = reduced_stack(frames, patch.as_tuple())
        beside = sum_regions(stack.rgb, np.full(stack.rgb.shape[:3], _BACKGROUND + 1, np.uint8))
        sums, used, total = sums + beside.sums, used + beside.used, total + beside.total
    return RegionSums(sums, used, total)


def sum_regions(rgb: NDArray[np.float32], labels: NDArray[np.uint8]) -> RegionSums:
    """Sum the valid pixels of each region in each picture.

    Parameters
    ----------
    rgb
        ``(n, h, w, 3)`` gamma-encoded, 0..255.
    labels
        ``(n, h, w)``: 0 for none, ``i + 1`` for the i-th region.
    """
    n, count = len(rgb), len(NAMES) + 1
    flat = labels.reshape(-1)
    inside = np.flatnonzero(flat)
    of_region = flat[inside]
    # One histogram over regions and frames: its bins are numbered frame by frame.
    frame_ends = np.searchsorted(inside, np.arange(n + 1) * (len(flat) // n))
    bins = np.repeat(np.arange(0, n * count, count), np.diff(frame_ends)) + of_region
    values = np.take(rgb.reshape(-1, 3), inside, axis=0)  # three times as quick as indexing
    used = total = np.bincount(bins, minlength=n * count)
    valid = _valid(values, of_region)
    if not valid.all():
        bins, values = bins[valid], values[valid]
        used = np.bincount(bins, minlength=n * count)
    sums = np.empty((n * count, 3))
    for channel in range(3):
        sums[:, channel] = np.bincount(bins, values[:, channel], n * count)
    shape = (n, count)
    return RegionSums(
        sums.reshape(*shape, 3)[:, 1:],
        used.reshape(shape)[:, 1:],
        total.reshape(shape)[:, 1:],
    )


def region_pixels(
    rgb: NDArray[np.uint8], labels: NDArray[np.uint8], limit: int = MAX_PIXELS
) -> tuple[dict[str, NDArray[np.uint8]], dict[str, float]]:
    """Return the valid pixels of each region and the share that was left out as too bright.

    Parameters
    ----------
    rgb
        ``(h, w, 3)`` uint8, gamma-encoded.
    labels
        ``(h, w)`` region labels.
    limit
        Largest number of pixels a region keeps; more are thinned out evenly.
    """
    pixels: dict[str, NDArray[np.uint8]] = {}
    clipped: dict[str, float] = {}
    inside = labels > 0
    flat, values = labels[inside], rgb[inside]
    valid = _valid(values.astype(np.float32), flat)
    for index in np.unique(flat):
        of_region = flat == index
        name = NAMES[index - 1]
        bright = of_region & ~valid & (values.max(axis=1) >= 128)
        clipped[name] = float(bright.sum() / of_region.sum())
        chosen = values[of_region & valid]
        if len(chosen) >= MIN_PIXELS:
            pixels[name] = np.ascontiguousarray(thin(chosen, limit))
    return pixels, clipped


def thin(pixels: NDArray[np.uint8], limit: int) -> NDArray[np.uint8]:
    """Return at most ``limit`` rows, evenly spaced over the given ones."""
    if len(pixels) <= limit:
        return pixels
    chosen: NDArray[np.uint8] = pixels[np.linspace(0, len(pixels) - 1, limit).round().astype(int)]
    return chosen
