"""Every score that a group of units gets, with intervals over the participants."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pallor.anemia import below
from pallor.evaluation.agreement import bland_altman
from pallor.evaluation.bootstrap import SCORES, participant_sums
from pallor.evaluation.metrics import Interval
from pallor.evaluation.operating_point import operating_point
from pallor.evaluation.resampling import Counts, Resampled, require_finite, resampled

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Scored:
    """Units with what one model said of them.

    Attributes
    ----------
    measured
        Hemoglobin, g/dL, ``(units,)``.
    predicted
        Out of fold, g/dL, ``(repeats, units)``.
    participant
        Index of each unit's participant among all participants of the cohort, ``(units,)``.
    counts
        ``(resamples, participants)`` of ``resample_counts``.
    thresholds
        Hemoglobin in g/dL below which each unit's person is anemic, ``(units,)``, NaN where
        not known; None where anemia is not asked about.
    """

    measured: FloatArray
    predicted: FloatArray
    participant: IntArray
    counts: Counts
    thresholds: FloatArray | None = None

    def __post_init__(self) -> None:
        """Check that the arrays fit one another.

        Raises
        ------
        ValueError
            If they do not, or a value is not a number.
        """
        size = self.measured.shape
        thresholds = size if self.thresholds is None else self.thresholds.shape
        if (
            len(size) != 1
            or self.predicted.ndim != 2
            or not self.predicted.shape[1:] == size == self.participant.shape == thresholds
        ):
            raise ValueError(
                f"measured {size}, predicted {self.predicted.shape}, participant"
                f" {self.participant.shape} and thresholds {thresholds} do not fit: (units,),"
                " (repeats, units), (units,) and (units,) are needed"
            )
        require_finite(self.measured, self.predicted)

    def part(self, chosen: BoolArray) -> Scored:
        """Keep some of the units, ``(units,)``."""
        thresholds = None if self.thresholds is None else self.thresholds[chosen]
        return Scored(
            self.measured[chosen],
            self.predicted[:, chosen],
            self.participant[chosen],
            self.counts,
            thresholds,
        )

    @property
    def participants(self) -> int:
        """How many people the units belong to."""
        return len(np.unique(self.participant))

    def participants_by_anemia(self) -> tuple[int, int] | None:
        """People with an anemic unit, and people with one that is not; None if not asked."""
        if self.thresholds is None:
            return None
        anemic = below(self.measured, self.thresholds)
        other = ~anemic & np.isfinite(self.thresholds)
        return len(np.unique(self.participant[anemic])), len(np.unique(self.participant[other]))


def mean_absolute_error(scored: Scored) -> Resampled:
    """Mean absolute error, g/dL, with its resamples."""
    return _standard("mae", scored)


def scores_of(scored: Scored) -> dict[str, Interval]:
    """Score a group.

    Returns
    -------
    ``mae``, ``bias`` (predicted minus measured), ``limit_low_g_dl`` and ``limit_high_g_dl``
    (limits of agreement, see ``bland_altman``) and ``r2``; with thresholds also
    ``sensitivity``, the share of the anemic units that are predicted below their threshold,
    and ``specificity``, the share of the others that are not.
    """
    agreement = bland_altman(scored.measured, scored.predicted, scored.participant, scored.counts)
    scores = {
        "mae": mean_absolute_error(scored).interval(),
        "bias": _standard("bias", scored).interval(),
        "limit_low_g_dl": agreement.lower_limit_bootstrap_g_dl,
        "limit_high_g_dl": agreement.upper_limit_bootstrap_g_dl,
        "r2": _standard("r2", scored).interval(),
    }
    if scored.thresholds is not None:
        known = np.isfinite(scored.thresholds)
        decided = operating_point(
            below(scored.predicted, scored.thresholds)[:, known],
            below(scored.measured, scored.thresholds)[known],
            scored.participant[known],
            scored.counts,
        )
        scores["sensitivity"] = decided.sensitivity
        scores["specificity"] = decided.specificity
    return scores


def _standard(name: str, scored: Scored) -> Resampled:
    size = scored.counts.shape[1]
    sums = [
        participant_sums(scored.measured, row, scored.participant, size) for row in scored.predicted
    ]
    return resampled(SCORES[name], np.stack(sums), scored.counts)
