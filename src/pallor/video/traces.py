"""Region means over time."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pallor.video.growing import Growing


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
        ``(frames, regions)``, 0..1, float16; 0 where the region is not visible.
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
    valid: NDArray[np.float16]
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
    """Collect region sums, several frames at a time.

    Parameters
    ----------
    regions
        Names of the regions.
    expected
        Frames to come, as far as is known.
    """

    def __init__(self, regions: tuple[str, ...], expected: int = 0) -> None:
        count = len(regions)
        self._regions = regions
        self._time_s = Growing((), np.float64, expected)
        self._rgb = Growing((count, 3), np.float32, expected)
        self._valid = Growing((count,), np.float16, expected)
        self._centers = Growing((2,), np.float32, expected)
        self._sizes = Growing((), np.float32, expected)
        self._keyframes = Growing((), np.bool_, expected)

    def add(
        self,
        time_s: NDArray[np.float64],
        sums: NDArray[np.float64],
        used: NDArray[np.int64],
        total: NDArray[np.int64],
        centers: NDArray[np.float32],
        sizes: NDArray[np.float32],
        min_pixels: int,
        keyframes: NDArray[np.bool_],
    ) -> None:
        """Add frames with a face.

        Parameters
        ----------
        time_s, keyframes
            ``(n,)``.
        sums
            ``(n, regions, 3)`` over valid pixels.
        used, total
            ``(n, regions)`` numbers of valid and of all pixels.
        centers, sizes
            ``(n, 2)`` and ``(n,)``; see `Traces`.
        min_pixels
            Valid pixels that a mean needs.
        """
        mean = np.full(sums.shape, np.nan, dtype=np.float32)
        enough = used >= min_pixels
        mean[enough] = sums[enough] / used[enough, None]
        valid = (used / np.maximum(total, 1)).astype(np.float16)
        self._add(time_s, mean, valid, centers, sizes, keyframes)

    def add_without_face(self, time_s: NDArray[np.float64], keyframes: NDArray[np.bool_]) -> None:
        """Add frames in which nothing can be measured, ``(n,)`` each."""
        n, count = len(time_s), len(self._regions)
        self._add(
            time_s,
            np.full((n, count, 3), np.nan, dtype=np.float32),
            np.zeros((n, count), dtype=np.float16),
            np.full((n, 2), np.nan, dtype=np.float32),
            np.full(n, np.nan, dtype=np.float32),
            keyframes,
        )

    def _add(
        self,
        time_s: NDArray[np.float64],
        rgb: NDArray[np.float32],
        valid: NDArray[np.float16],
        centers: NDArray[np.float32],
        sizes: NDArray[np.float32],
        keyframes: NDArray[np.bool_],
    ) -> None:
        self._time_s.extend(time_s)
        self._rgb.extend(rgb)
        self._valid.extend(valid)
        self._centers.extend(centers)
        self._sizes.extend(sizes)
        self._keyframes.extend(keyframes)

    def build(self) -> Traces:
        """Return the traces collected so far; call it once, when all are in."""
        return Traces(
            regions=self._regions,
            time_s=self._time_s.finish(),
            rgb=self._rgb.finish(),
            valid=self._valid.finish(),
            face_center=self._centers.finish(),
            face_size=self._sizes.finish(),
            keyframes=self._keyframes.finish(),
        )
