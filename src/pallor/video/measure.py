"""Measure regions in one picture: means for the traces, pixels for the color features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pallor.video.regions import REGIONS, label_map, valid_mask, valid_reference_mask

MIN_PIXELS = 12
"""Valid full-resolution pixels that a region needs for color statistics."""

MIN_TRACE_PIXELS = 4
"""Valid pixels at chroma resolution, each the mean of up to four, that a region mean needs."""

MAX_PIXELS = 1000
"""Pixels of a region kept for the color features; a larger region is subsampled evenly."""

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


def face_box(points: NDArray[np.float32], width: int, height: int) -> Box:
    """Return the box around all landmarks, on even pixels and inside the frame."""
    x0, y0 = np.floor(points.min(axis=0)).astype(int)
    x1, y1 = np.ceil(points.max(axis=0)).astype(int) + 1
    return Box(
        int(np.clip(x0, 0, width - 2)) & ~1,
        int(np.clip(y0, 0, height - 2)) & ~1,
        int(np.clip(x1 + (x1 & 1), 2, width)),
        int(np.clip(y1 + (y1 & 1), 2, height)),
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
    valid = valid_mask(rgb)
    for index in _REFERENCES:
        reference = labels == index + 1
        valid[reference] = valid_reference_mask(rgb[reference])
    return valid


def region_means(
    rgb: NDArray[np.float32], labels: NDArray[np.uint8]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Sum the valid pixels of each region.

    Parameters
    ----------
    rgb
        ``(h, w, 3)`` gamma-encoded, 0..255.
    labels
        ``(h, w)``: 0 for none, ``i + 1`` for the i-th region.

    Returns
    -------
    sums, used, total
        ``(regions, 3)`` sums over valid pixels, ``(regions,)`` counts of valid and of all
        pixels.
    """
    count = len(NAMES) + 1
    inside = labels > 0
    flat = labels[inside]
    values = rgb[inside]
    valid = _valid(values[None], flat[None])[0]
    total = np.bincount(flat, minlength=count)[1:]
    kept = flat[valid]
    used = np.bincount(kept, minlength=count)[1:]
    sums = np.zeros((count - 1, 3))
    for channel in range(3):
        sums[:, channel] = np.bincount(kept, values[valid, channel], minlength=count)[1:]
    return sums, used.astype(np.int64), total.astype(np.int64)


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
    valid = _valid(values[None].astype(np.float32), flat[None])[0]
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
