"""A quality threshold chosen in the training part, and applied where it was not chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pallor.evaluation.risk_coverage import ranked

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

MIN_KEPT: Final = 0.8
"""A chosen threshold rejects at most one training unit in five."""


def choose_threshold(
    quality: FloatArray, error: FloatArray, *, min_kept: float = MIN_KEPT
) -> float:
    """Choose the quality below which to reject, on training units alone.

    Parameters
    ----------
    quality
        Of the training units, ``(n,)``, NaN where undefined.
    error
        Absolute error of each, g/dL, ``(n,)``, of a prediction made *within* the training part
        (``FusedRegressor.oof_prediction_``). Predictions of the outer folds will not do: the
        models behind them have seen the test part.
    min_kept
        Share that must be kept, above 0 up to 1.

    Returns
    -------
    The threshold with the least mean error of the kept, among those that keep enough; of
    equals the lowest, and minus infinity where rejecting does not help. Units of at least
    this quality are kept; those without a quality only under minus infinity.

    Raises
    ------
    ValueError
        If lengths differ or are zero, or the share lies outside 0..1.
    """
    if quality.shape != error.shape or quality.ndim != 1 or not quality.size:
        raise ValueError(f"quality {quality.shape} and error {error.shape} do not fit")
    if not 0.0 < min_kept <= 1.0:
        raise ValueError(f"min_kept must lie above 0 and at most at 1, not {min_kept:g}")
    values = ranked(quality)
    best, lowest = -np.inf, float(error.mean())
    for threshold in np.unique(values[np.isfinite(values)]):
        kept = values >= threshold
        # A hair of tolerance, lest rounding of the mean makes a threshold of nothing.
        if kept.mean() >= min_kept - 1e-12 and error[kept].mean() < lowest - 1e-12:
            best, lowest = float(threshold), float(error[kept].mean())
    return float(best)


@dataclass(frozen=True)
class GateFold:
    """One outer split, as far as the gate is concerned.

    Attributes
    ----------
    repeat
        Number of the repeat, from 0.
    train, test
        Positions of units.
    train_error
        Absolute error of the training units within the training part, g/dL, ``(train,)``.
    """

    repeat: int
    train: IntArray
    test: IntArray
    train_error: FloatArray


@dataclass(frozen=True)
class Gate:
    """What a gate would do whose threshold was chosen without the units it judges.

    Attributes
    ----------
    kept
        ``(repeats, units)``.
    thresholds
        One a fold, in the order of the folds; minus infinity where nothing is rejected.
    """

    kept: BoolArray
    thresholds: tuple[float, ...]


def gate_out_of_fold(
    quality: FloatArray, folds: Sequence[GateFold], *, min_kept: float = MIN_KEPT
) -> Gate:
    """Choose a threshold in every training part and apply it to the test part.

    Parameters
    ----------
    quality
        Of all units, ``(units,)``, NaN where undefined.
    folds
        Together they test every unit once in each repeat.
    min_kept
        As in `choose_threshold`; it binds the training part, the test part may lose more.

    Raises
    ------
    ValueError
        If a fold shares units between its parts, or a unit is not tested exactly once.
    """
    repeats = 1 + max(fold.repeat for fold in folds)
    kept = np.zeros((repeats, len(quality)), dtype=np.bool_)
    tested = np.zeros((repeats, len(quality)), dtype=np.intp)
    thresholds = []
    for fold in folds:
        if np.intersect1d(fold.train, fold.test).size:
            raise ValueError("training and test part of a fold share units")
        threshold = choose_threshold(quality[fold.train], fold.train_error, min_kept=min_kept)
        kept[fold.repeat, fold.test] = ranked(quality)[fold.test] >= threshold
        np.add.at(tested[fold.repeat], fold.test, 1)
        thresholds.append(threshold)
    if not (tested == 1).all():
        raise ValueError("the folds do not test every unit exactly once in each repeat")
    return Gate(kept, tuple(thresholds))
