"""How far estimates lie from the truth where blood is thin, normal and rich.

Most people of a cohort are in the middle, and so is what the scores of the whole describe.
Who needs to be found is at the low end, where a model that regresses to the mean errs most
and always upward.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pallor.evaluation.bootstrap import percentile_interval, resampled_sums
from pallor.evaluation.metrics import Interval
from pallor.evaluation.sums import FloatArray

EDGES_G_DL: Final = (8.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0)
"""Edges between the bins, g/dL: fixed, so that studies can be compared; 8, 11, 12 and 13 bound
the WHO groups of adults."""
FEWEST: Final = 20
"""Participants below whom a bin supports no conclusion."""


@dataclass(frozen=True)
class HemoglobinBin:
    """Error of one model among units whose measured value lies in one bin.

    Attributes
    ----------
    low_g_dl, high_g_dl
        The bin: measured values from ``low_g_dl`` to just below ``high_g_dl``; None where it is
        open.
    units, participants
        How many there are; who has several sessions may be in several bins.
    few
        Whether fewer than 20 participants are in it: no conclusion should be drawn.
    mae, bias
        Mean absolute error and mean of predicted minus measured, g/dL, with 95 % intervals by
        bootstrap over participants; NaN where the bin is empty, without ends where it is
        empty in more than 5 % of the resamples.
    """

    low_g_dl: float | None
    high_g_dl: float | None
    units: int
    participants: int
    few: bool
    mae: Interval
    bias: Interval

    def as_dict(self) -> dict[str, Any]:
        """Everything by its name; an interval as ``{"value": ..., "low": ..., "high": ...}``."""
        return {**vars(self), "mae": self.mae.as_dict(), "bias": self.bias.as_dict()}


def error_by_hemoglobin(
    measured: FloatArray,
    predicted: FloatArray,
    participant: NDArray[np.intp],
    counts: NDArray[np.uint16],
    edges_g_dl: tuple[float, ...] = EDGES_G_DL,
) -> tuple[HemoglobinBin, ...]:
    """Error of one model by the measured value.

    A negative bias among high values and a positive one among low values is regression to
    the mean, and is there in a well calibrated model too.

    Parameters
    ----------
    measured
        g/dL, ``(units,)``.
    predicted
        g/dL, ``(repeats, units)``; scored for each repeat, then averaged.
    participant
        Index of each unit's participant, ``(units,)``.
    counts
        ``(resamples, participants)`` of ``resample_counts``; resamples are drawn from all
        participants, so that the number in a bin varies as it would in a new study.
    edges_g_dl
        Ascending edges between the bins.

    Returns
    -------
    One entry a bin from low to high, ``len(edges_g_dl) + 1``, empty ones included.
    """
    participants, bins = counts.shape[1], len(edges_g_dl) + 1
    number = np.searchsorted(np.asarray(edges_g_dl), measured, side="right")
    cell = participant * bins + number

    def total(values: FloatArray) -> FloatArray:
        flat = np.bincount(cell, values, participants * bins).astype(np.float64)
        return flat.reshape(participants, bins)

    units = total(np.ones_like(measured))
    # (repeats, participants, 3 x bins): how many, absolute and signed differences.
    sums = np.stack(
        [np.hstack([units, total(np.abs(row)), total(row)]) for row in predicted - measured]
    )
    with np.errstate(invalid="ignore"):
        n, absolute, signed = np.split(sums.sum(axis=1), 3, axis=-1)
        mae, bias = (absolute / n).mean(axis=0), (signed / n).mean(axis=0)
        n, absolute, signed = np.split(resampled_sums(counts, sums), 3, axis=-1)
        drawn_mae, drawn_bias = (absolute / n).mean(axis=0), (signed / n).mean(axis=0)
    people = (units > 0).sum(axis=0)
    return tuple(
        HemoglobinBin(
            low_g_dl=edges_g_dl[k - 1] if k else None,
            high_g_dl=edges_g_dl[k] if k < bins - 1 else None,
            units=int(units[:, k].sum()),
            participants=int(people[k]),
            few=bool(people[k] < FEWEST),
            mae=percentile_interval(float(mae[k]), drawn_mae[:, k]),
            bias=percentile_interval(float(bias[k]), drawn_bias[:, k]),
        )
        for k in range(bins)
    )
