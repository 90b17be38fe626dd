"""Where a face lies in each of the frames between two keyframes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pallor.video.regions import anchors
from pallor.video.tracking import Keyframe


@dataclass(frozen=True)
class FacePath:
    """Position and size of a face in ``n`` frames, moved linearly as `interpolate` does.

    Only what the regions are drawn from is interpolated, not all 478 landmarks.

    Attributes
    ----------
    anchors
        ``(n, anchors, 2)``: `pallor.video.regions.anchors` in pixels of the picture.
    centers
        ``(n, 2)``: mean of the landmarks.
    sizes
        ``(n,)``: interocular distance in pixels.
    """

    anchors: NDArray[np.float64]
    centers: NDArray[np.float32]
    sizes: NDArray[np.float32]

    @classmethod
    def between(cls, before: Keyframe, after: Keyframe, time_s: NDArray[np.float64]) -> Self:
        """Return the path at times from one keyframe to another.

        Parameters
        ----------
        before, after
            Keyframes with a face, in order of time; they may be the same one.
        time_s
            ``(n,)``, from ``before.time_s`` to ``after.time_s``.

        Raises
        ------
        ValueError
            If a keyframe has no face.
        """
        first, second = before.landmarks, after.landmarks
        if first is None or second is None:
            raise ValueError("both keyframes need a face")
        length_s = after.time_s - before.time_s
        weight = (time_s - before.time_s) / length_s if length_s > 0 else np.ones(len(time_s))
        ends = np.stack([first.points, second.points])
        eyes = np.stack([first.eye_centers, second.eye_centers])
        right_to_left = _mixed(eyes[:, 1] - eyes[:, 0], weight)
        return cls(
            _mixed(anchors(ends), weight),
            _mixed(ends.mean(axis=1, dtype=np.float64), weight).astype(np.float32),
            np.hypot(right_to_left[:, 0], right_to_left[:, 1]).astype(np.float32),
        )

    def moved(self, by: NDArray[np.float64]) -> Self:
        """Return the path with every frame's face moved by ``(n, 2)`` pixels."""
        return type(self)(
            self.anchors + by[:, None],
            (self.centers + by).astype(np.float32),
            self.sizes,
        )


def _mixed(ends: NDArray[np.floating], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``(n, ...)`` points on the way between two ends, ``(2, ...)``."""
    share = weight.reshape(-1, *(1,) * (ends.ndim - 1))
    mixed: NDArray[np.float64] = ends[0] + share * (ends[1].astype(np.float64) - ends[0])
    return mixed
