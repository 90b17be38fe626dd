"""A still whose alpha channel carries its region: conjunctiva, nail or lip crops."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pallor.errors import NoFramesError
from pallor.video.alignment import CROP_SIZE
from pallor.video.clip import Clip
from pallor.video.content import ContentHash, file_sha256
from pallor.video.frame import Frame
from pallor.video.measure import MIN_PIXELS, thin
from pallor.video.recording import InputKind, Recording, Sample
from pallor.video.regions import valid_mask
from pallor.video.traces import TracesBuilder

REGION = "tissue"
"""Name of the one region of such a still."""

MAX_PIXELS = 50_000
"""Pixels kept; a still has one look where a video has many."""

_AT_ONCE = 2**20
"""Pixels."""

OPAQUE = 128
"""Alpha from which a pixel belongs to the region."""


def record_region_still(clip: Clip, crops: bool = False) -> Recording:
    """Measure the region that a still's alpha channel marks; no face is looked for.

    Parameters
    ----------
    clip
        An open still with an alpha channel.
    crops
        Whether to make the 224x224 picture for the networks: the bounding box of the
        region, what lies outside the region filled with its mean color.

    Raises
    ------
    NoFramesError
        If too few pixels of the region can be used.
    """
    frame = next(iter(clip))
    content = ContentHash()
    content.update(frame)
    name = clip.info.path
    inside = _region(frame)
    chosen, total, bright = _usable(frame.rgb(), inside)
    if len(chosen) < MIN_PIXELS:
        raise NoFramesError(
            f"{name}: {len(chosen)} of the {total} pixels that its alpha channel marks "
            f"can be used (neither dark nor glaring), and {MIN_PIXELS} are needed; take it "
            "again in even light."
        )
    traces = TracesBuilder((REGION,))
    traces.add(
        np.zeros(1),
        chosen.sum(axis=0, dtype=np.float64)[None, None],
        np.array([[len(chosen)]]),
        np.array([[total]]),
        centers=np.full((1, 2), np.nan, dtype=np.float32),
        sizes=np.full(1, np.nan, dtype=np.float32),
        min_pixels=MIN_PIXELS,
        keyframes=np.ones(1, np.bool_),
    )
    sample = Sample(
        time_s=0.0,
        crop=_crop(frame.rgb(), inside, chosen) if crops else None,
        pixels={REGION: np.ascontiguousarray(thin(chosen, MAX_PIXELS))},
        clipped={REGION: bright / total},
    )
    return Recording(
        clip=name,
        input_kind=InputKind.REGION_STILL,
        simulated=clip.info.simulated,
        frames=1,
        duration_s=0.0,
        fps=0.0,
        face_coverage=1.0,
        traces=traces.build(),
        samples=(sample,),
        file_sha256=file_sha256(name),
        content_sha256=content.hexdigest(),
        warnings=tuple(clip.warnings),
    )


def _usable(
    rgb: NDArray[np.uint8], inside: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], int, int]:
    """Return the pixels that can be used, how many there are in all, and how many are too bright.

    Some at a time: as floats, and by their indices, those of a large still take over 1 GB.
    """
    colors, marked = rgb.reshape(-1, 3), inside.reshape(-1)
    chosen, total, bright = [], 0, 0
    for start in range(0, len(marked), _AT_ONCE):
        pixels = colors[start : start + _AT_ONCE][marked[start : start + _AT_ONCE]]
        valid = valid_mask(pixels.astype(np.float32))
        chosen.append(pixels[valid])
        total += len(pixels)
        bright += int((pixels[~valid].max(axis=1, initial=0) >= OPAQUE).sum())
    return np.concatenate(chosen), total, bright


def _region(frame: Frame) -> NDArray[np.bool_]:
    alpha = frame.alpha
    if alpha is None:
        raise ValueError("a region still has an alpha channel")
    return alpha >= OPAQUE


def _crop(
    rgb: NDArray[np.uint8], inside: NDArray[np.bool_], chosen: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    import cv2

    rows, cols = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    around = np.s_[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
    mean = chosen.mean(axis=0).round().astype(np.uint8)
    box = np.where(inside[around][..., None], rgb[around], mean)
    shrinking = min(box.shape[:2]) > CROP_SIZE
    how = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    resized = cv2.resize(box, (CROP_SIZE, CROP_SIZE), interpolation=how)
    return np.asarray(resized, dtype=np.uint8)
