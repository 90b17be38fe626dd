"""Points of the calibration plot: what was measured where so much was estimated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pallor.evaluation.bootstrap import resample_counts
from pallor.evaluation.metrics import Interval
from pallor.evaluation.resampling import MIN_PARTICIPANTS, ratio, resampled, sums_of

if TYPE_CHECKING:
    import pandas as pd

MOST_GROUPS: Final = 10


@dataclass(frozen=True)
class CalibrationPoint:
    """Units whose estimates lie next to each other.

    Attributes
    ----------
    units, participants
        How many.
    few
        Fewer than 20 participants.
    estimated_g_dl
        Mean of the estimates.
    measured_g_dl
        Mean of the measurements, with its 95 % interval over participants.
    """

    units: int
    participants: int
    few: bool
    estimated_g_dl: float
    measured_g_dl: Interval


def calibration_points(
    metrics: Mapping[str, Any], predictions: pd.DataFrame
) -> tuple[CalibrationPoint, ...]:
    """Group the units of the first repeat by their estimates.

    Parameters
    ----------
    metrics, predictions
        Of an evaluation.

    Returns
    -------
    Groups of equal size from low to high estimates: ten, or fewer so that each has about 20 units;
    none without a main result, or under ``holdout``, where a repeat does not test everybody.
    """
    name = metrics["headline"]
    if name is None or metrics["protocol"] == "holdout":
        return ()
    first = predictions[predictions["repeat"] == 0]
    estimated = first[name].to_numpy(dtype=np.float64)
    measured = first["hemoglobin_g_dl"].to_numpy(dtype=np.float64)
    participant, people = first["participant_id"].factorize(use_na_sentinel=False)
    counts = resample_counts(len(people), metrics["splits"]["bootstrap"], metrics["seed"])
    groups = int(np.clip(len(first) // MIN_PARTICIPANTS, 1, MOST_GROUPS))
    points = []
    for positions in np.array_split(np.argsort(estimated, kind="stable"), groups):
        inside = np.zeros(len(first))
        inside[positions] = 1.0
        sums = sums_of([measured * inside, inside], participant, len(people))
        here = len(np.unique(participant[positions]))
        points.append(
            CalibrationPoint(
                units=len(positions),
                participants=here,
                few=here < MIN_PARTICIPANTS,
                estimated_g_dl=float(estimated[positions].mean()),
                measured_g_dl=resampled(ratio, sums[None], counts).interval(),
            )
        )
    return tuple(points)
