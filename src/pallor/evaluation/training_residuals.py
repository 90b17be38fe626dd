"""From the residuals inside training parts to what is learned from them: widths and thresholds.

A fitted model tells, for every row of its training part, what its members said without having
seen that row. Intervals are calibrated and quality thresholds chosen on these residuals alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pallor.evaluation.coverage import LEVELS, half_widths
from pallor.evaluation.gate import GateFold
from pallor.evaluation.splits import Split

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
Residuals = tuple[IntArray, FloatArray]
"""Positions of training rows, and measured minus predicted of each, g/dL."""


def unit_residuals(residuals: Residuals, of_row: IntArray) -> tuple[IntArray, FloatArray]:
    """Average residuals over the rows of each unit.

    Parameters
    ----------
    residuals
        Of one training part.
    of_row
        Unit of every row of the table, ``(rows,)``.

    Returns
    -------
    Positions of the units, ascending, and the mean residual of each, g/dL: the residual of the
    averaged prediction, since the rows of a unit share one measured value.
    """
    rows, values = residuals
    units, position = np.unique(of_row[rows], return_inverse=True)
    return units, np.bincount(position, weights=values) / np.bincount(position)


def half_widths_of_splits(
    splits: Sequence[Split],
    residuals: Sequence[Residuals],
    of_row: IntArray,
    components: NDArray[np.integer],
    *,
    levels: Sequence[float] = LEVELS,
    seed: int = 0,
) -> FloatArray:
    """Calibrate intervals in every training part and lay them around its test part.

    Parameters
    ----------
    splits
        The outer splits, of rows.
    residuals
        One entry a split.
    of_row
        Unit of each row, ``(rows,)``.
    components
        Component of each row, ``(rows,)``; of each, one unit is drawn for the calibration.
    levels
        Nominal coverages.
    seed
        Of the draw.

    Returns
    -------
    g/dL, ``(repeats, levels, units)`` for ``judge_coverage``; NaN where a repeat does not test a
    unit.
    """
    first = np.unique(of_row, return_index=True)[1]
    repeats = 1 + max(split.repeat for split in splits)
    widths = np.full((repeats, len(levels), len(first)), np.nan)
    for split, told in zip(splits, residuals, strict=True):
        units, values = unit_residuals(told, of_row)
        found = half_widths(values, components[first[units]], levels, seed=seed)
        widths[split.repeat][:, np.unique(of_row[split.test])] = found[:, None]
    return widths


def gate_folds(
    splits: Sequence[Split], residuals: Sequence[Residuals], of_row: IntArray
) -> list[GateFold]:
    """Restate splits of rows as splits of units with the absolute errors of their training part.

    Parameters
    ----------
    splits, residuals, of_row
        As in `half_widths_of_splits`.
    """
    folds = []
    for split, told in zip(splits, residuals, strict=True):
        units, values = unit_residuals(told, of_row)
        folds.append(GateFold(split.repeat, units, np.unique(of_row[split.test]), np.abs(values)))
    return folds
