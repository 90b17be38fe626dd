"""The one face that every simulated face is made from, and what is where in it.

The picture is the public-domain NASA portrait that scikit-image ships
(`skimage.data.astronaut`). It gives geometry and shading; its colors are replaced. Outlines
lie in ``data/portrait_outlines.csv``. The fringe hides the forehead, where a pulse is best
seen, so the hair is pushed up and skin with the shading of its surroundings put in its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from pallor.simulation.transfer import decode_srgb

Image = NDArray[np.float32]
Points = NDArray[np.float64]

CROP_ORIGIN = (100.0, 0.0)
"""x, y of the canvas' corner in the portrait, pixels."""
CROP_SIZE = 250
"""Width and height of the canvas in pixels of the portrait."""
ZOOM = 3
"""Canvas pixels per portrait pixel."""
FACE_CENTER = (225.5, 120.0)
"""Where the middle of a rendered frame lies in the portrait, pixels."""


@dataclass(frozen=True)
class Portrait:
    """The prepared portrait.

    Attributes
    ----------
    linear
        ``(750, 750, 3)`` float32 linear light, the forehead cleared.
    masks
        Soft masks 0..1, ``(750, 750)`` float32: each tissue (they sum to at most 1),
        ``hair``, ``mouth`` (teeth, between the lips) and ``beard`` (where stubble grows).
    """

    linear: Image
    masks: Mapping[str, Image]


@lru_cache(maxsize=1)
def outlines() -> Mapping[str, Points]:
    """Outlines by name, each ``(n, 2)`` x, y in pixels of the 512 x 512 portrait."""
    path = files("pallor.simulation").joinpath("data", "portrait_outlines.csv")
    points: dict[str, list[tuple[float, float]]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith(("#", "outline,")):
            continue
        name, x, y = line.split(",")
        points.setdefault(name, []).append((float(x), float(y)))
    return {name: np.array(xy) for name, xy in points.items()}


def to_canvas(points: Points) -> Points:
    """Portrait pixels to canvas pixels (pixel centers on whole numbers), ``(n, 2)``."""
    result: Points = (points - CROP_ORIGIN + 0.5) * ZOOM - 0.5
    return result


def _filled(*names: str) -> Image:
    import cv2

    mask = np.zeros((CROP_SIZE * ZOOM,) * 2, np.uint8)
    for name in names:
        polygon = np.rint(to_canvas(outlines()[name]) * 16).astype(np.int32)
        cv2.fillPoly(mask, [polygon], 255, cv2.LINE_AA, 4)
    return mask.astype(np.float32) / 255.0


def _soft(mask: Image, sigma: float) -> Image:
    import cv2

    # Rounding of the filter may leave -1e-7.
    return np.clip(cv2.GaussianBlur(mask, (0, 0), sigma), 0.0, 1.0).astype(np.float32)


def _masks(skin_like: Image) -> dict[str, Image]:
    """Soft masks on the canvas; what is narrow has a narrow edge."""
    eyes = _soft(_filled("right_eye", "left_eye"), 0.8)
    irises = _soft(_filled("right_iris", "left_iris"), 1.2)
    outer = _soft(_filled("lips_outer"), 1.8)
    inner = _soft(_filled("lips_inner"), 1.2)
    lids = _soft(_filled("right_lower_lid", "left_lower_lid"), 3.0)
    face = _soft(_filled("face", "neck", "right_ear", "left_ear", "forehead"), 2.5)
    # Above the brows the mask reaches into the hair, so that no old skin shows at its edge.
    face = np.maximum(face, np.clip(2.2 * _soft(_filled("forehead"), 6.0), 0.0, 1.0))
    oval = _filled("face", "forehead")
    head = face * (1.0 - eyes) * (1.0 - outer) * skin_like
    rows = (np.arange(CROP_SIZE * ZOOM) / ZOOM - 128.0) / 14.0
    jaw = np.clip(rows, 0.0, 1.0).astype(np.float32)[:, None]
    return {
        "skin": head * (1.0 - lids),
        "lips": outer * (1.0 - inner),
        "lower_lids": head * lids,
        "sclera": eyes * (1.0 - np.clip(1.6 * irises, 0.0, 1.0)),
        "mouth": inner * (1.0 - head),
        "hair": _soft(_filled("hair") * (1.0 - oval), 2.0) * (1.0 - head),
        "beard": _soft(_filled("face") * jaw, 9.0) * head,
    }


def _clear_forehead(canvas: Image) -> Image:
    """Push the hair up to the new hairline and fill in skin below it."""
    import cv2

    side = CROP_SIZE * ZOOM
    old, new = to_canvas(outlines()["hairline"]), to_canvas(outlines()["new_hairline"])
    columns = np.arange(side)
    lift = np.interp(columns, old[:, 0], old[:, 1] - np.interp(old[:, 0], new[:, 0], new[:, 1]))
    edge = np.interp(columns, new[:, 0], new[:, 1])
    grid_y, grid_x = np.mgrid[:side, :side].astype(np.float32)
    top = 14.0 * ZOOM
    share = np.clip((grid_y - top) / np.maximum(edge - top, 1.0), 0.0, 1.0)
    source_y = (grid_y + lift * share).astype(np.float32)
    pushed = cv2.remap(canvas, grid_x, source_y, cv2.INTER_LINEAR)
    hair = np.where((grid_y < edge + 5 * ZOOM)[..., None], pushed, canvas)
    # Skin that continues the skin around it: an average of what is surely skin (between brows
    # and eyes, no hair, no highlight), weighted by nearness.
    forehead = _filled("forehead")
    luma = _soft(np.asarray(canvas.mean(axis=2), np.float32), 2.0)
    sure = (_filled("face") > 0.99) & (_soft(forehead, 6.0) < 0.1) & (grid_y < 104 * ZOOM)
    sure &= _soft(_filled("right_eye", "left_eye"), 8.0) < 0.03
    low, high = np.quantile(luma[sure], (0.6, 0.97))
    weight = (sure & (luma > low) & (luma < high)).astype(np.float64)
    weighted = np.dstack([canvas * weight[..., None], weight]).astype(np.float32)
    small = cv2.resize(weighted, (side // 6, side // 6), interpolation=cv2.INTER_AREA)
    spread = cv2.GaussianBlur(small, (0, 0), 14.0 * ZOOM / 6)
    spread = cv2.resize(spread, (side, side), interpolation=cv2.INTER_CUBIC)
    skin = spread[..., :3] / np.maximum(spread[..., 3:], 1e-9)
    # A forehead curves away upward and to the sides.
    center = (FACE_CENTER[0] - CROP_ORIGIN[0]) * ZOOM
    middle = np.clip(1.0 - ((grid_x - center) / (48.0 * ZOOM)) ** 2, 0.0, 1.0)
    rise = np.clip((88.0 * ZOOM - grid_y) / (25.0 * ZOOM), 0.0, 1.0)
    skin = skin * (0.86 + 0.14 * middle[..., None]) * (1.0 - 0.12 * rise[..., None] ** 2)
    blend = _soft(forehead, 5.0)[..., None]
    return np.asarray(hair * (1.0 - blend) + skin * blend, np.float32)


@lru_cache(maxsize=1)
def portrait() -> Portrait:
    """Load and prepare the portrait (once a process, about half a second)."""
    import cv2
    from skimage import data

    picture = data.astronaut()  # type: ignore[no-untyped-call]
    x0, y0 = (int(v) for v in CROP_ORIGIN)
    crop = decode_srgb(picture[y0 : y0 + CROP_SIZE, x0 : x0 + CROP_SIZE] / 255.0)
    side = CROP_SIZE * ZOOM
    canvas = cv2.resize(crop.astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
    canvas = np.clip(_clear_forehead(np.clip(canvas, 1e-4, 1.0)), 1e-4, 1.0)
    luma = _soft(canvas.mean(axis=2), 1.5)
    # Hair and collar that the outlines catch at the face's edge are darker than any skin.
    skin_like = np.clip((luma - 0.03) / 0.05, 0.0, 1.0)
    masks = _masks(np.maximum(skin_like, _interior()).astype(np.float32))
    return Portrait(canvas.astype(np.float32), masks)


def _interior() -> Image:
    """1 well inside the face, where brows and nostrils count as skin."""
    import cv2

    eroded = cv2.erode(_filled("face", "forehead"), np.ones((31, 31), np.uint8))
    return _soft(np.asarray(eroded, np.float32), 4.0)
