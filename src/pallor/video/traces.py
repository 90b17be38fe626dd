"""Region means over time."""

from __future__ import annotations

from dataclasses import dataclass

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
    """

    regions: tuple[str, ...]
    time_s: NDArray[np.float64]
    rgb: NDArray[np.float32]
    valid: NDArray[np.float32]
    face_center: NDArray[np.float32]
    face_size: NDArray[np.float32]

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
