"""Whom a quality gate rejects: their hemoglobin, and the share of the anemic among them.

The amplitude of the pulse grows with hemoglobin, so weak pulses and anemia go together. A gate
that asks for a clear pulse may turn away those whom screening looks for, and the score of the
rest is then flattered: it lacks the hard, low values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pallor.anemia import below
from pallor.evaluation.metrics import Interval
from pallor.evaluation.resampling import (
    MIN_PARTICIPANTS,
    Counts,
    Resampled,
    ratio,
    require_finite,
    resampled,
    share_interval,
    sums_of,
)

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Rejection:
    """Rejected against kept units. Numbers are averages over repeats.

    Attributes
    ----------
    units, participants
        All that were judged.
    rejected_units, rejected_participants
        Units that were rejected, and participants with at least one of them.
    rejected_share
        Share of the units that were rejected.
    too_few
        Fewer than 20 participants were rejected: nothing is concluded, the differences are
        None.
    hemoglobin_difference_g_dl
        Mean measured hemoglobin of the rejected minus that of the kept units.
    rejected_share_anemic, rejected_share_other
        Share rejected among units measured below their threshold, and among the others; None
        without thresholds.
    share_difference
        The former minus the latter, paired.
    mae_kept, mae_all
        Mean absolute error, g/dL; None without predictions.
    sentence
        What may be said, for a report.
    """

    units: int
    participants: int
    rejected_units: float
    rejected_participants: float
    rejected_share: Interval
    too_few: bool
    hemoglobin_difference_g_dl: Interval | None
    rejected_share_anemic: Interval | None
    rejected_share_other: Interval | None
    share_difference: Interval | None
    mae_kept: Interval | None
    mae_all: Interval | None
    sentence: str

    def as_dict(self) -> dict[str, Any]:
        """Return plain numbers and words for JSON."""
        return {
            name: value.as_dict() if isinstance(value, Interval) else value
            for name, value in vars(self).items()
        }


def rejected_against_kept(
    measured: FloatArray,
    kept: BoolArray,
    participant: IntArray,
    counts: Counts,
    *,
    thresholds_g_dl: FloatArray | None = None,
    predicted: FloatArray | None = None,
) -> Rejection:
    """Compare the hemoglobin of rejected and kept units.

    Parameters
    ----------
    measured
        Hemoglobin, g/dL, ``(units,)``. Clips that could not be extracted at all may be among
        them, as rejected units of their own; predictions are then not to be given.
    kept
        ``(units,)`` for a gate that learns nothing (``passes_gate``), ``(repeats, units)`` for
        one that was chosen in training parts (``gate_out_of_fold``).
    participant
        Index of each unit's participant, ``(units,)``.
    counts
        ``(resamples, participants)`` of ``resample_counts``.
    thresholds_g_dl
        Hemoglobin below which each unit's person is anemic, ``(units,)``, NaN where not
        known.
    predicted
        Out of fold, g/dL, ``(repeats, units)``, to show what the gate does to the error.

    Returns
    -------
    With 95 % intervals over participants.

    Raises
    ------
    ValueError
        If shapes do not fit, or a value is not a number.
    """
    gates = np.atleast_2d(kept)
    wrong = predicted is not None and (
        predicted.shape[1:] != measured.shape or len(gates) not in (1, len(predicted))
    )
    if wrong or gates.shape[1:] != measured.shape or participant.shape != measured.shape:
        raise ValueError(
            f"measured {measured.shape}, kept {kept.shape} and participant {participant.shape}"
            " do not fit one another or the predictions"
        )
    require_finite(measured, *(() if predicted is None else (predicted,)))
    repeats = len(gates) if predicted is None else len(predicted)
    stays = np.broadcast_to(gates, (repeats, len(measured))).astype(np.float64)
    goes = 1.0 - stays

    def mean_where(values: FloatArray, weights: FloatArray) -> Resampled:
        rows = zip(*np.broadcast_arrays(values * weights, weights), strict=True)
        sums = [sums_of(row, participant, counts.shape[1]) for row in rows]
        return resampled(ratio, np.stack(sums), counts)

    lost = float(np.mean([len(np.unique(participant[row > 0])) for row in goes]))
    too_few = lost < MIN_PARTICIPANTS
    everything = np.ones_like(goes)
    difference = mean_where(measured, goes).minus(mean_where(measured, stays)).interval()
    anemic = other = gap = None
    if thresholds_g_dl is not None:
        is_anemic = below(measured, thresholds_g_dl)
        is_other = ~is_anemic & np.isfinite(thresholds_g_dl)
        of_anemic = mean_where(goes, everything * is_anemic)
        of_other = mean_where(goes, everything * is_other)
        anemic = share_interval(of_anemic, len(np.unique(participant[is_anemic])))
        other = share_interval(of_other, len(np.unique(participant[is_other])))
        gap = of_anemic.minus(of_other).interval()
    error = None if predicted is None else np.abs(predicted - measured)
    share = share_interval(mean_where(goes, everything), len(np.unique(participant)))
    return Rejection(
        units=len(measured),
        participants=len(np.unique(participant)),
        rejected_units=float(goes.sum(axis=1).mean()),
        rejected_participants=lost,
        rejected_share=share,
        too_few=too_few,
        hemoglobin_difference_g_dl=None if too_few else difference,
        rejected_share_anemic=anemic,
        rejected_share_other=other,
        share_difference=None if too_few else gap,
        mae_kept=None if error is None else mean_where(error, stays).interval(),
        mae_all=None if error is None else mean_where(error, everything).interval(),
        sentence=_sentence(lost, difference, gap),
    )


def _sentence(lost: float, difference: Interval, gap: Interval | None) -> str:
    if lost == 0:
        return "The gate rejects nobody."
    if lost < MIN_PARTICIPANTS:
        return (
            f"The gate rejects {lost:.0f} participants, fewer than {MIN_PARTICIPANTS}: whether"
            " they differ from the kept cannot be told."
        )
    numbers = (
        "the hemoglobin of the rejected minus that of the kept is"
        f" {difference.value:.2f} g/dL [{difference.low:.2f}, {difference.high:.2f}]"
    )
    if gap is not None and np.isfinite(gap.value):
        points = [100.0 * number for number in (gap.value, gap.low, gap.high)]
        numbers += (
            ", the share rejected among the anemic minus that among the others is"
            f" {points[0]:.0f} [{points[1]:.0f}, {points[2]:.0f}] percentage points"
        )
    if difference.high < 0 or (gap is not None and gap.low > 0):
        return (
            "The gate turns away people with low hemoglobin, so scores of the kept flatter the"
            f" model: {numbers}."
        )
    return f"That the gate turns away people with low hemoglobin is not shown: {numbers}."
