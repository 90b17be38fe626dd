"""Region means over time."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Traces:
    """Mean color of each region in each frame.

    Attributes
    ----------
    regions
        Names of the regions, the second axis of ``rgb``.
    time_s
        Presentation time of each frame in seconds, ``(frames,)``, strictly increasing,
        0 at the first frame. Not uniform where the clip's frame rate varies.
    rgb
        Mean R, G, B of the valid skin pixels, ``(frames, regions, 3)``, float32, gamma-
        encoded values 0..255. NaN where a region has too few valid pixels or the face is
        not visible.
    valid
        Share of a region's pixels that were used (neither specular nor clipped nor dark),
        ``(frames, regions)``, 0..1; 0 where the region is not visible.
    face_center, face_size
        Center of the face ``(frames, 2)`` and interocular distance ``(frames,)``, both in
        pixels of the upright frame; NaN without a face. They carry head motion.
    keyframes
        Which frames the encoder coded by themselves (intra frames), ``(frames,)``; empty where
        that is not known. Their colors can differ from those of their neighbors
        (:mod:`pallor.features.coding`).
    """

    regions: tuple[str, ...]
    time_s: NDArray[np.float64]
    rgb: NDArray[np.float32]
    valid: NDArray[np.float32]
    face_center: NDArray[np.float32]
    face_size: NDArray[np.float32]
    keyframes: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))

    def region(self, name: str) -> NDArray[np.float32]:
        """Return the ``(frames, 3)`` trace of one region.

        Raises
        ------
        KeyError
            If the traces hold no region of that name.
        """
        if name not in self.regions:
            raise KeyError(f"no region {name!r}; there are {', '.join(self.regions)}")
        return self.rgb[:, self.regions.index(name)]


class TracesBuilder:
    """Collect region sums frame by frame."""

    def __init__(self, regions: tuple[str, ...]) -> None:
        self._regions = regions
        self._time_s: list[float] = []
        self._rgb: list[NDArray[np.float32]] = []
        self._valid: list[NDArray[np.float32]] = []
        self._center: list[NDArray[np.float32]] = []
        self._size: list[float] = []
        self._keyframes: list[bool] = []

    def add(
        self,
        time_s: float,
        sums: NDArray[np.float64],
        used: NDArray[np.int64],
        total: NDArray[np.int64],
        center: NDArray[np.float32],
        size: float,
        min_pixels: int,
        keyframe: bool = True,
    ) -> None:
        """Add a frame with a face: sums over valid pixels, and counts of valid and all."""
        enough = used >= min_pixels
        mean = np.full((len(self._regions), 3), np.nan, dtype=np.float32)
        mean[enough] = sums[enough] / used[enough, None]
        self._time_s.append(time_s)
        self._rgb.append(mean)
        self._valid.append((used / np.maximum(total, 1)).astype(np.float32))
        self._center.append(center.astype(np.float32))
        self._size.append(size)
        self._keyframes.append(keyframe)

    def add_without_face(self, time_s: float, keyframe: bool = True) -> None:
        """Add a frame in which nothing can be measured."""
        count = len(self._regions)
        self._time_s.append(time_s)
        self._rgb.append(np.full((count, 3), np.nan, dtype=np.float32))
        self._valid.append(np.zeros(count, dtype=np.float32))
        self._center.append(np.full(2, np.nan, dtype=np.float32))
        self._size.append(float("nan"))
        self._keyframes.append(keyframe)

    def build(self) -> Traces:
        """Return the traces collected so far."""
        count, frames = len(self._regions), len(self._time_s)
        return Traces(
            regions=self._regions,
            time_s=np.asarray(self._time_s, dtype=np.float64),
            rgb=np.asarray(self._rgb, dtype=np.float32).reshape(frames, count, 3),
            valid=np.asarray(self._valid, dtype=np.float32).reshape(frames, count),
            face_center=np.asarray(self._center, dtype=np.float32).reshape(frames, 2),
            face_size=np.asarray(self._size, dtype=np.float32),
            keyframes=np.asarray(self._keyframes, dtype=np.bool_),
        )
