"""What to change before a recording, told from one small frame of the camera.

The page sends frames a few times a second, and the same networks that will measure the clip look
at them. A look costs one search for faces and one call of the mesh network a face.
"""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pallor.errors import ClipError, PictureError
from pallor.video.clip_info import ClipLimits
from pallor.video.face import FaceLandmarker, Landmarks
from pallor.video.regions import LUMA, REGIONS, label_map
from pallor.video.still import read_still, still_format

MAX_BYTES: Final = 200_000
MAX_SIDE: Final = 640
"""Of the picture, in pixels."""
MIN_SIDE: Final = 64

CODES: Final = (
    "no_face",
    "several_faces",
    "too_far",
    "too_near",
    "not_centered",
    "too_dark",
    "too_bright",
    "uneven_light",
    "moving",
)
"""What a hint can say, in the order in which it is said."""

TOO_FAR, TOO_NEAR = 0.10, 0.28
"""Distance of the eyes in units of the picture's shorter side. In 720p the former leaves 72
pixels, about as many as the small regions (lids, whites of the eyes) need; at the latter the head
begins to be cut off."""

OFF_CENTER_X, OFF_CENTER_Y = 0.15, 0.20
"""Distance of the face's middle from that of the picture in units of its width and height."""

TOO_DARK, TOO_BRIGHT = 50.0, 215.0
"""Mean luma of the skin, 0..255. What exposure does to very dark skin stays above the former."""

CLIPPED_LUMA, MAX_CLIPPED = 245.0, 0.05
"""A pixel that is as bright tells no color any more, and the share of the skin that may be."""

UNEVEN: Final = 0.65
"""Luma of the darker cheek as a share of that of the brighter one."""

MOVING: Final = 0.04
"""Shift between two frames in units of the face's longer side."""

MIN_LIKENESS: Final = 0.5
"""Correlation below which the face of the frame before is not the same or not found."""

_MOST_FACES = 2
_SKIN = ("forehead", "left_cheek", "right_cheek")
_GLANCE_SIDE = 48
"""Longer side of the face in the small pictures that motion is told from, pixels."""


@dataclass(frozen=True)
class Hints:
    """What one frame tells.

    Attributes
    ----------
    face
        Whether there is a face.
    faces
        How many; 2 stands for two or more.
    distance
        ``too_near``, ``good`` or ``too_far``; None without a face.
    light
        ``too_dark``, ``good``, ``too_bright`` or ``uneven``; None without a face.
    centered
        Whether the face is in the middle and wholly in the picture.
    moving
        Whether the face has moved since the previous frame; None where there was none.
    codes
        What to change, of `CODES`, the most important first; empty when all is well.
    """

    face: bool
    faces: int
    distance: str | None
    light: str | None
    centered: bool
    moving: bool | None
    codes: tuple[str, ...]

    def as_dict(self) -> dict[str, object]:
        """Return the hints as one JSON object."""
        return {**asdict(self), "codes": list(self.codes)}


def look(content: bytes, landmarker: FaceLandmarker, previous: bytes | None = None) -> Hints:
    """Look at one frame of the camera.

    Parameters
    ----------
    content
        A JPEG or PNG of at most `MAX_BYTES` and `MAX_SIDE` pixels a side.
    landmarker
        Serves one thread at a time: give each thread its own, or hold a lock.
    previous
        The frame before, where motion is asked for; one that cannot be used is as good as none.

    Raises
    ------
    PictureError
        If ``content`` is anything else.
    """
    rgb = _decode(content)
    faces = _faces(rgb, landmarker)
    if not faces:
        return Hints(False, 0, None, None, False, None, ("no_face",))
    largest = max(faces, key=lambda face: face.interocular)
    distance, light = _distance(largest, rgb), _light(largest, rgb)
    centered = _is_centered(largest, rgb)
    moving = None if previous is None else _is_moving(largest, rgb, previous)
    said = {
        "several_faces": len(faces) > 1,
        distance: distance != "good",
        "not_centered": not centered,
        "uneven_light" if light == "uneven" else light: light != "good",
        "moving": bool(moving),
    }
    codes = tuple(code for code in CODES if said.get(code))
    return Hints(True, len(faces), distance, light, centered, moving, codes)


def _decode(content: bytes) -> NDArray[np.uint8]:
    kind = still_format(content[:16])
    if kind is None:
        raise PictureError("a frame must be a JPEG or PNG image")
    if len(content) > MAX_BYTES:
        raise PictureError(f"a frame may have {MAX_BYTES} bytes, this one has {len(content)}")
    limits = ClipLimits(max_still_pixels=MAX_SIDE * MAX_SIDE)
    try:
        info, frame = read_still(io.BytesIO(content), "", "frame", kind, limits)
    except ClipError as error:
        raise PictureError(error.text) from error
    if not MIN_SIDE <= min(info.width, info.height) <= max(info.width, info.height) <= MAX_SIDE:
        raise PictureError(
            f"the sides of a frame have {MIN_SIDE} to {MAX_SIDE} pixels, these are "
            f"{info.width} x {info.height}"
        )
    return frame.rgb()


def _faces(rgb: NDArray[np.uint8], landmarker: FaceLandmarker) -> list[Landmarks]:
    found: list[Landmarks] = []
    for box in sorted(landmarker.candidates(rgb), key=lambda box: -box.area):
        face = landmarker.landmarks(rgb, box)
        if face is not None:
            found.append(face)
        if len(found) == _MOST_FACES:
            break
    return found


def _distance(face: Landmarks, rgb: NDArray[np.uint8]) -> str:
    share = face.interocular / min(rgb.shape[:2])
    if share < TOO_FAR:
        return "too_far"
    return "too_near" if share > TOO_NEAR else "good"


def _is_centered(face: Landmarks, rgb: NDArray[np.uint8]) -> bool:
    height, width = rgb.shape[:2]
    x0, y0, x1, y1 = face.box
    off_x = abs((x0 + x1) / 2 - width / 2) / width
    off_y = abs((y0 + y1) / 2 - height / 2) / height
    inside = x0 >= 0 and y0 >= 0 and x1 <= width and y1 <= height
    return inside and off_x <= OFF_CENTER_X and off_y <= OFF_CENTER_Y


def _light(face: Landmarks, rgb: NDArray[np.uint8]) -> str:
    labels = label_map(face.points, rgb.shape[:2], 0.0, 0.0, 1.0)
    names = list(REGIONS)
    luma = {}
    for name in _SKIN:
        pixels = rgb[labels == names.index(name) + 1]
        if len(pixels):
            luma[name] = pixels.astype(np.float32) @ np.array(LUMA, dtype=np.float32)
    if not luma:
        return "too_dark"
    skin = np.concatenate(list(luma.values()))
    if skin.mean() > TOO_BRIGHT or (skin >= CLIPPED_LUMA).mean() > MAX_CLIPPED:
        return "too_bright"
    if skin.mean() < TOO_DARK:
        return "too_dark"
    if "left_cheek" in luma and "right_cheek" in luma:
        darker, brighter = sorted(float(luma[f"{side}_cheek"].mean()) for side in ("left", "right"))
        if darker < UNEVEN * brighter:
            return "uneven"
    return "good"


def _is_moving(face: Landmarks, rgb: NDArray[np.uint8], previous: bytes) -> bool | None:
    """Look for the face in the frame before, both frames made small."""
    import cv2

    try:
        before = _decode(previous)
    except PictureError:
        return None
    x0, y0, x1, y1 = face.box
    scale = _GLANCE_SIDE / max(x1 - x0, y1 - y0)
    now, then = _small(rgb, scale), _small(before, scale)
    corners = np.rint(np.array([[x0, y0], [x1, y1]]) * scale).astype(int)
    (left, top), (right, bottom) = np.clip(corners, 0, now.shape[::-1])
    face_now = now[top:bottom, left:right]
    if before.shape != rgb.shape or min(face_now.shape) < _GLANCE_SIDE // 4:
        return None
    likeness = cv2.matchTemplate(then, face_now, cv2.TM_CCOEFF_NORMED)
    _, best, _, (x, y) = cv2.minMaxLoc(likeness)
    shift = float(np.hypot(x - left, y - top)) / _GLANCE_SIDE
    return bool(best < MIN_LIKENESS or shift > MOVING)


def _small(rgb: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """Return a small gray picture."""
    import cv2

    height, width = rgb.shape[:2]
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
