"""From embeddings of single frames to features of a clip: pooling over time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def _mean(frames: Floats, _time_s: Floats) -> Floats:
    return np.asarray(frames.mean(axis=0))


def _std(frames: Floats, _time_s: Floats) -> Floats:
    return np.asarray(frames.std(axis=0))


def _percentile(q: float) -> Callable[[Floats, Floats], Floats]:
    return lambda frames, _time_s: np.asarray(np.percentile(frames, q, axis=0))


def _mean_abs_diff(frames: Floats, _time_s: Floats) -> Floats:
    return np.asarray(np.abs(np.diff(frames, axis=0)).mean(axis=0))


def _slope(frames: Floats, time_s: Floats) -> Floats:
    centered = time_s - time_s.mean()
    spread = float(centered @ centered)
    if spread <= 0.0:
        return np.full(frames.shape[1], np.nan)
    return np.asarray(centered @ frames / spread)


STATISTICS: Final[dict[str, tuple[str, str, Callable[[Floats, Floats], Floats]]]] = {
    "mean": ("mean over the sampled frames", "1", _mean),
    "std": ("standard deviation over the frames (divisor n)", "1", _std),
    "p10": ("10th percentile over the frames", "1", _percentile(10.0)),
    "p50": ("median over the frames", "1", _percentile(50.0)),
    "p90": ("90th percentile over the frames", "1", _percentile(90.0)),
    "mean_abs_diff": (
        "mean absolute difference between successive sampled frames",
        "1",
        _mean_abs_diff,
    ),
    "slope": ("least-squares slope over the frames' times", "1/s", _slope),
}
"""Name to description, unit and function ``((frames, d), (frames,)) -> (d,)``."""

OF_STILLS: Final = ("mean",)
"""What is defined for a single picture."""


def pool(
    frames: NDArray[np.float32], time_s: NDArray[np.float64], statistics: tuple[str, ...]
) -> dict[str, NDArray[np.float64]]:
    """Pool embeddings over time.

    Parameters
    ----------
    frames
        ``(frames, d)``, in order of time, finite.
    time_s
        Presentation times in seconds, ``(frames,)``, ascending.
    statistics
        Names in `STATISTICS`.

    Returns
    -------
    dict
        Statistic to ``(d,)`` float64; NaN for all without frames, and for a single frame for
        all but the mean: a spread of one is not zero but unknown.
    """
    values = frames.astype(np.float64)
    undefined = np.full(frames.shape[1], np.nan)
    least = {name: 1 if name in OF_STILLS else 2 for name in statistics}
    return {
        name: STATISTICS[name][2](values, time_s) if len(values) >= least[name] else undefined
        for name in statistics
    }
