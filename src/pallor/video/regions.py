"""Named regions of the face as polygons over the 478 landmarks.

A region is one entry of `REGIONS`. A corner of a polygon is a landmark, or a point on the
line between two (`between`), which keeps polygons off hair, brows, lashes and edges. Every
polygon runs clockwise in the picture when it is seen from the front; seen from behind (the
far cheek of a turned head, the lids of a closed eye) it runs the other way and is left out.

"Left" and "right" are the subject's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pallor.video.face import N_LANDMARKS

Corner = tuple[int, int, float]
Polygon = tuple[Corner, ...]

SPECULAR = 220.0
"""Smallest of R, G, B above which a pixel mirrors the lamp instead of showing skin."""

CLIPPED = 250.0
DARK = 20.0
LUMA = (0.299, 0.587, 0.114)
"""ITU-R BT.601."""

IRIS_MARGIN = 1.2
"""The iris is taken out of the sclera with a circle of this many of its radii."""

_SHIFT = 4  # OpenCV draws in 1/16 of a pixel


@dataclass(frozen=True)
class Region:
    """One region.

    Attributes
    ----------
    polygons
        Filled; empty for the background, which is all that is far enough from the head.
    irises
        For each disc to take out, its center and the four landmarks on its rim.
    is_reference
        Whether the region is a white reference: bright pixels belong to it, and pixels on
        its outline, a mixture with the surroundings, do not.
    """

    polygons: tuple[Polygon, ...] = ()
    irises: tuple[tuple[int, ...], ...] = ()
    is_reference: bool = False


def at(*indices: int) -> Polygon:
    """Return corners that are landmarks."""
    return tuple((i, i, 0.0) for i in indices)


def between(start: tuple[int, ...], end: tuple[int, ...], share: float) -> Polygon:
    """Return corners on the lines from ``start`` to ``end`` landmarks, ``share`` of the way."""
    return tuple((i, j, share) for i, j in zip(start, end, strict=True))


def _band(start: tuple[int, ...], end: tuple[int, ...], first: float, last: float) -> Polygon:
    """Return the part from ``first`` to ``last`` of the strip between two rows of landmarks."""
    return between(start, end, first) + between(start, end, last)[::-1]


# Rows of landmarks, all from the subject's right to left, that is left to right in a picture.
_HAIRLINE = (54, 103, 67, 109, 10, 338, 297, 332, 284)
_MID_FOREHEAD = (68, 104, 69, 108, 151, 337, 299, 333, 298)
_BROWS = (63, 105, 66, 107, 9, 336, 296, 334, 293)

_RIGHT_LID_1, _RIGHT_LID_2 = (110, 24, 23, 22, 26), (228, 229, 230, 231, 232)
_LEFT_LID_1, _LEFT_LID_2 = (256, 252, 253, 254, 339), (452, 451, 450, 449, 448)

_RIGHT_EYE_TOP, _RIGHT_EYE_BOTTOM = (246, 161, 160, 159, 158, 157), (7, 163, 144, 145, 153, 154)
_LEFT_EYE_TOP, _LEFT_EYE_BOTTOM = (384, 385, 386, 387, 388, 466), (381, 380, 374, 373, 390, 249)

_UPPER_LIP_OUT = (185, 40, 39, 37, 0, 267, 269, 270, 409)
_UPPER_LIP_IN = (191, 80, 81, 82, 13, 312, 311, 310, 415)
_LOWER_LIP_IN = (95, 88, 178, 87, 14, 317, 402, 318, 324)
_LOWER_LIP_OUT = (146, 91, 181, 84, 17, 314, 405, 321, 375)

REGIONS: dict[str, Region] = {
    # Off the hairline, well above the brows.
    "forehead": Region(
        (
            between(_HAIRLINE[1:-1], _MID_FOREHEAD[1:-1], 0.55)
            + between(_MID_FOREHEAD[1:-1], _BROWS[1:-1], 0.6)[::-1],
        )
    ),
    # From the bony rim of the orbit down to the height of the nostrils, where beards begin;
    # off the fold beside the nose and the edge of the face.
    "left_cheek": Region(
        (
            at(329, 348, 347, 346)
            + between((345, 352, 376), (346, 280, 411), 0.4)
            + at(411, 425, 266),
        )
    ),
    "right_cheek": Region(
        (at(117, 118, 119, 100, 36, 205, 187) + between((147, 123, 116), (187, 50, 117), 0.4),)
    ),
    # Bridge, dorsum and tip; ends above the nostrils.
    "nose": Region(
        (
            at(168, 351, 399, 456, 363, 440)
            + between((274, 1, 44), (275, 4, 45), 0.5)
            + at(220, 134, 236, 174, 122),
        )
    ),
    # Below the shadow of the lower lip, above the edge of the jaw.
    "chin": Region(
        (
            at(194)
            + between((83, 18, 313), (201, 200, 421), 0.4)
            + at(418, 262)
            + between((428, 199, 208), (396, 175, 171), 0.4)
            + at(32),
        )
    ),
    # The vermilion, off its border, its corners and the line or opening between the lips.
    "lips": Region(
        (
            _band(_UPPER_LIP_OUT, _UPPER_LIP_IN, 0.1, 0.85),
            _band(_LOWER_LIP_IN, _LOWER_LIP_OUT, 0.15, 0.9),
        )
    ),
    # The thin skin under the lashes.
    "lower_lids": Region(
        (
            _band(_RIGHT_LID_1, _RIGHT_LID_2, 0.2, 1.2),
            _band(_LEFT_LID_1, _LEFT_LID_2, 0.2, 1.2),
        )
    ),
    # The white of the eyes, off the lids, the iris and the pink inner corner.
    "sclera": Region(
        (
            _band(_RIGHT_EYE_TOP, _RIGHT_EYE_BOTTOM, 0.2, 0.85),
            _band(_LEFT_EYE_TOP, _LEFT_EYE_BOTTOM, 0.2, 0.85),
        ),
        irises=((468, 469, 470, 471, 472), (473, 474, 475, 476, 477)),
        is_reference=True,
    ),
    # All that is neither head nor body: see `_draw_background`.
    "background": Region(),
}
"""Regions in the order of their labels, which start at 1."""


def label_map(
    points: NDArray[np.float32], shape: tuple[int, int], x0: float, y0: float, scale: float
) -> NDArray[np.uint8]:
    """Label the pixels of a part of a picture by region.

    Parameters
    ----------
    points
        ``(478, 2)`` landmarks in pixels of the full-resolution picture.
    shape
        ``(h, w)`` of the part, in its own pixels.
    x0, y0
        Upper left corner of the part in the full-resolution picture.
    scale
        Pixels of the full-resolution picture for one of the part: 2 at the chroma resolution
        of 4:2:0 video.

    Returns
    -------
    ndarray
        ``(h, w)`` uint8: 0 where no region is, ``i + 1`` in the i-th of `REGIONS`. Regions do
        not overlap.

    Raises
    ------
    ValueError
        If the points are not of that shape.
    """
    if points.shape != (N_LANDMARKS, 2):
        raise ValueError(f"landmarks are ({N_LANDMARKS}, 2), not {points.shape}")
    labels = np.zeros(shape, dtype=np.uint8)
    local = to_local(points, x0, y0, scale)
    if not np.isfinite(local).all():
        return labels
    _draw_background(labels, local)
    draw_regions(labels[None], anchors(local)[None])
    return labels


def to_local(points: NDArray[Any], x0: float, y0: float, scale: float) -> NDArray[np.float64]:
    """Map points of a picture to pixels of a part of it as OpenCV counts them.

    Landmarks count pixel edges, OpenCV pixel centers at integers.

    Parameters
    ----------
    points
        ``(..., 2)``, pixels of the full-resolution picture.
    x0, y0, scale
        Of the part, as in `label_map`.
    """
    local: NDArray[np.float64] = (points.astype(np.float64) - (x0, y0)) / scale - 0.5
    return local


def anchors(points: NDArray[Any]) -> NDArray[np.float64]:
    """Return the points that the regions are drawn from.

    They are linear in the landmarks: anchors of interpolated landmarks are interpolated
    anchors, in any system of coordinates.

    Parameters
    ----------
    points
        ``(..., 478, 2)`` landmarks.

    Returns
    -------
    ndarray
        ``(..., anchors, 2)``: corners of polygons, then centers and rims of the irises.
    """
    plan = _plan()
    taken: NDArray[np.float64] = (
        points[..., plan.start, :] * (1 - plan.share) + points[..., plan.end, :] * plan.share
    )
    return taken


def draw_regions(labels: NDArray[np.uint8], local: NDArray[np.float64]) -> None:
    """Draw all regions but the background into label maps.

    Parameters
    ----------
    labels
        ``(n, h, w)``; written to.
    local
        ``(n, anchors, 2)``: `anchors` in pixels of the maps (`to_local`); finite.
    """
    import cv2

    plan = _plan()
    fixed = np.rint(local * (1 << _SHIFT)).astype(np.int32)
    seen_from_the_front = _signed_areas(local, plan) > 0
    radii = _iris_radii(local, plan)
    for canvas, corners, visible, radius in zip(
        labels, fixed, seen_from_the_front.tolist(), radii.tolist(), strict=True
    ):
        for label, is_reference, polygons, irises in plan.regions:
            for number in polygons:
                if not visible[number]:
                    continue
                polygon = [corners[plan.bounds[number] : plan.bounds[number + 1]]]
                cv2.fillPoly(canvas, polygon, label, cv2.LINE_8, _SHIFT)
                if is_reference:
                    cv2.polylines(canvas, polygon, True, 0, 1, cv2.LINE_8, _SHIFT)
            for number in irises:
                x, y = corners[plan.iris_centers[number]].tolist()
                cv2.circle(canvas, (x, y), radius[number], 0, -1, cv2.LINE_8, _SHIFT)


def valid_mask(rgb: NDArray[np.float32] | NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Tell which pixels show skin: neither mirroring the lamp, nor clipped, nor dark.

    Parameters
    ----------
    rgb
        ``(..., 3)`` gamma-encoded, 0..255.

    Returns
    -------
    ndarray
        ``(...)`` bool; false where a channel is NaN.
    """
    darkest = np.minimum(np.minimum(rgb[..., 0], rgb[..., 1]), rgb[..., 2])
    valid: NDArray[np.bool_] = valid_reference_mask(rgb) & (darkest <= SPECULAR)
    return valid


def valid_reference_mask(rgb: NDArray[np.float32] | NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Tell which pixels of a white reference can be used: neither clipped nor dark.

    Parameters and result are those of `valid_mask`; bright pixels are what a white reference
    is made of, so they stay.
    """
    # Channel by channel: NumPy reduces over an axis of length 3 ten times slower.
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    luma = np.float32(LUMA[0]) * red + np.float32(LUMA[1]) * green + np.float32(LUMA[2]) * blue
    brightest = np.maximum(np.maximum(red, green), blue)
    valid: NDArray[np.bool_] = (brightest < CLIPPED) & (luma >= DARK)
    return valid


@dataclass(frozen=True)
class _Plan:
    """All corners of all polygons and all points of the irises, to be computed in one step."""

    start: NDArray[np.intp]
    end: NDArray[np.intp]
    share: NDArray[np.float64]
    bounds: tuple[int, ...]
    """First corner of each polygon, and the end of the last, where the irises begin."""

    following: NDArray[np.intp]
    """Index of the next corner of the same polygon."""

    iris_centers: tuple[int, ...]
    rims: NDArray[np.intp]
    """``(irises, 4)`` indices of the points on the rims."""

    regions: tuple[tuple[int, bool, range, range], ...]
    """Label, is it a reference, its polygons, its irises; in the order of drawing."""


@cache
def _plan() -> _Plan:
    labelled = list(enumerate(REGIONS.values(), start=1))
    # References clear their outlines and discs, so they come first, lest they clear others.
    labelled.sort(key=lambda item: not item[1].is_reference)
    corners: list[Corner] = []
    following: list[int] = []
    bounds = [0]
    discs: list[tuple[int, ...]] = []
    regions = []
    for label, region in labelled:
        first_polygon, first_disc = len(bounds) - 1, len(discs)
        for polygon in region.polygons:
            first = len(corners)
            corners.extend(polygon)
            following.extend([*range(first + 1, len(corners)), first])
            bounds.append(len(corners))
        discs.extend(region.irises)
        polygons, irises = range(first_polygon, len(bounds) - 1), range(first_disc, len(discs))
        regions.append((label, region.is_reference, polygons, irises))
    places = len(corners) + np.arange(5 * len(discs)).reshape(-1, 5)
    corners.extend((index, index, 0.0) for disc in discs for index in disc)
    start, end, share = zip(*corners, strict=True)
    return _Plan(
        np.array(start),
        np.array(end),
        np.array(share)[:, None],
        tuple(bounds),
        np.array(following),
        tuple(places[:, 0].tolist()),
        places[:, 1:],
        tuple(regions),
    )


def _signed_areas(local: NDArray[np.float64], plan: _Plan) -> NDArray[np.float64]:
    """Area of each polygon, positive where it runs clockwise (rows count downward)."""
    x, y = local[:, : plan.bounds[-1], 0], local[:, : plan.bounds[-1], 1]
    cross = x * y[:, plan.following] - y * x[:, plan.following]
    areas: NDArray[np.float64] = np.add.reduceat(cross, plan.bounds[:-1], axis=1) / 2
    return areas


def _iris_radii(local: NDArray[np.float64], plan: _Plan) -> NDArray[np.int32]:
    """Radius of the disc to take out for each iris, ``(n, irises)``, in OpenCV's fixed point."""
    spokes = local[:, plan.rims] - local[:, list(plan.iris_centers), None]
    radius = IRIS_MARGIN * np.hypot(spokes[..., 0], spokes[..., 1]).mean(axis=-1)
    fixed: NDArray[np.int32] = np.rint(radius * (1 << _SHIFT)).astype(np.int32)
    return fixed


def _draw_background(labels: NDArray[np.uint8], local: NDArray[np.float64]) -> None:
    """Label what is neither head with hair, nor neck and body, which lie below the chin."""
    import cv2

    label = 1 + list(REGIONS).index("background")
    top, chin, right, left = local[[10, 152, 234, 454]]
    down = chin - top
    height = max(float(np.hypot(*down)), 1e-6)
    down = down / height
    across = np.array([down[1], -down[0]])  # toward the subject's left
    width = max(abs(float((left - right) @ across)), 0.6 * height)
    # Hair rises above the mesh, so the ellipse reaches further up than down.
    center = (top + chin) / 2 - 0.2 * height * down
    angle = float(np.degrees(np.arctan2(across[1], across[0])))
    axes = (0.95 * width, 0.9 * height)
    labels[:] = label
    scaled = (round(axes[0] * (1 << _SHIFT)), round(axes[1] * (1 << _SHIFT)))
    cv2.ellipse(labels, _fixed(center), scaled, angle, 0, 360, 0, -1, cv2.LINE_8, _SHIFT)
    # Hair, neck and shoulders: everything below the mouth's height, and a column under the head.
    reach = float(sum(labels.shape)) + float(np.abs(local).max())
    for level, half in ((chin - 0.2 * height * down, reach), ((top + chin) / 2, 1.1 * width)):
        corners = np.array(
            [
                level - half * across,
                level + half * across,
                level + half * across + reach * down,
                level - half * across + reach * down,
            ]
        )
        cv2.fillPoly(labels, [np.rint(corners * (1 << _SHIFT)).astype(np.int32)], 0, shift=_SHIFT)


def _fixed(point: NDArray[np.float64]) -> tuple[int, int]:
    x, y = np.rint(point * (1 << _SHIFT)).astype(int)
    return int(x), int(y)
