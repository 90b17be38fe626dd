"""Whether a model's own intervals hold what they promise, judged out of fold.

In each training part the intervals are calibrated as for a model that is handed out, on the
out-of-fold residuals within that part (`half_widths`), and then laid around the predictions
for the test part, which neither the model nor the calibration has seen. Conformal intervals
promise their coverage for the cohort as a whole; by sex and by skin tone it is an empirical
question, so it is answered for each group as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pallor.evaluation.groupings import Labels
from pallor.evaluation.metrics import Interval
from pallor.evaluation.resampling import (
    MIN_PARTICIPANTS,
    Counts,
    ratio,
    require_finite,
    resampled,
    share_interval,
    sums_of,
)
from pallor.models.uncertainty import Per, calibrate, check_coverage, smallest_n

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

LEVELS: Final = (0.5, 0.8, 0.9, 0.95)
"""Nominal coverages that are judged."""


@dataclass(frozen=True)
class LevelCoverage:
    """How intervals of one nominal coverage fare.

    Attributes
    ----------
    nominal
        The coverage that was asked for, 0..1.
    coverage
        Share of the units whose measured value lies inside, ends included; an infinite
        interval covers.
    mean_width_g_dl
        Mean width of the finite intervals; NaN where there are none.
    infinite_share
        Share of the intervals that are infinite, because their training part held fewer than
        ``smallest_n(nominal)`` residuals.
    """

    nominal: float
    coverage: Interval
    mean_width_g_dl: Interval
    infinite_share: float

    @property
    def verdict(self) -> str:
        """Say how the observed coverage compares with the nominal one.

        ``below`` or ``above`` where the whole interval of the coverage lies there,
        ``consistent`` where it holds the nominal coverage, ``unknown`` where it is undefined.
        """
        if not np.isfinite(self.coverage.low):
            return "unknown"
        if self.coverage.high < self.nominal:
            return "below"
        return "above" if self.coverage.low > self.nominal else "consistent"

    def as_dict(self) -> dict[str, Any]:
        """Return plain numbers and words for JSON."""
        return {
            "nominal": self.nominal,
            "coverage": self.coverage.as_dict(),
            "mean_width_g_dl": self.mean_width_g_dl.as_dict(),
            "infinite_share": self.infinite_share,
            "verdict": self.verdict,
        }


@dataclass(frozen=True)
class Stratum:
    """Coverage in one group.

    Attributes
    ----------
    grouping, label
        Such as ``sex`` and ``female``; ``all`` and ``all`` for the cohort.
    participants, units
        How many.
    too_few
        Fewer than 20 participants: listed, without a score.
    levels
        One entry a nominal coverage; empty where there are too few.
    """

    grouping: str
    label: str
    participants: int
    units: int
    too_few: bool
    levels: tuple[LevelCoverage, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain numbers and words for JSON."""
        return {
            "grouping": self.grouping,
            "group": self.label,
            "participants": self.participants,
            "units": self.units,
            "too_few": self.too_few,
            "levels": [level.as_dict() for level in self.levels],
        }


@dataclass(frozen=True)
class Coverage:
    """Coverage of one model's intervals.

    Attributes
    ----------
    overall
        In the whole cohort; scored whatever its size.
    strata
        In each group of each grouping.
    notes
        What a reader must know, one sentence each.
    """

    overall: Stratum
    strata: tuple[Stratum, ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain numbers and words for JSON."""
        return {
            "overall": self.overall.as_dict(),
            "strata": [stratum.as_dict() for stratum in self.strata],
            "notes": list(self.notes),
        }


def half_widths(
    residuals: ArrayLike,
    groups: ArrayLike,
    levels: Sequence[float] = LEVELS,
    *,
    per: Per = "clip",
    seed: int = 0,
) -> FloatArray:
    """Half widths of the intervals that a training part gives, as a trained model has them.

    Parameters
    ----------
    residuals
        Measured minus predicted within the training part, g/dL, ``(n,)``, every prediction
        from a fit without its row (``FusedRegressor.oof_prediction_``). One a clip, or the mean
        of the clips of each unit where units are scored: an interval is valid for what its
        residuals are of.
    groups
        What is exchangeable, ``(n,)``: components. Each counts once.
    levels
        Nominal coverages, strictly between 0 and 1.
    per, seed
        As in ``calibrate``: ``clip`` draws one residual of each group, ``mean`` averages them.

    Returns
    -------
    g/dL, ``(levels,)``; infinite where there are fewer groups than ``smallest_n`` of the level.

    Raises
    ------
    FeatureTableError
        If no residual is finite, or the lengths differ.
    UsageError
        For a level outside 0..1.
    """
    intervals = calibrate(residuals, groups, per=per, seed=seed)
    return np.array([intervals.half_width(level) for level in levels], dtype=np.float64)


def judge_coverage(
    measured: FloatArray,
    predicted: FloatArray,
    half_width: FloatArray,
    participant: IntArray,
    counts: Counts,
    *,
    levels: Sequence[float] = LEVELS,
    strata: Mapping[str, Labels] | None = None,
) -> Coverage:
    """Compare observed with nominal coverage.

    Parameters
    ----------
    measured
        Hemoglobin, g/dL, ``(units,)``.
    predicted
        Out of fold, g/dL, ``(repeats, units)``.
    half_width
        Half width of each unit's interval, g/dL, ``(repeats, levels, units)``; infinite
        where the training part held too few residuals.
    participant
        Index of each unit's participant, ``(units,)``.
    counts
        ``(resamples, participants)`` of ``resample_counts``.
    levels
        Nominal coverage of each level.
    strata
        Grouping (``sex``, ``ita``) to the label of each unit, ``(units,)``.

    Returns
    -------
    Shares and widths by repeat, then averaged over repeats, with 95 % intervals over
    participants. These hold the fits and the calibrations fixed.

    Raises
    ------
    ValueError
        If shapes do not fit, a value is not a number, or a half width is negative.
    """
    shape = (predicted.shape[0], len(levels), len(measured))
    if predicted.shape[1:] != measured.shape or half_width.shape != shape:
        raise ValueError(
            f"half widths {half_width.shape} do not fit {len(levels)} levels and predictions"
            f" {predicted.shape} for {measured.shape} measured values"
        )
    require_finite(measured, predicted)
    if not (half_width >= 0).all():
        raise ValueError("a half width is negative or not a number")
    for level in levels:
        check_coverage(level)
    everyone = np.ones(len(measured), dtype=np.bool_)
    error = np.abs(predicted - measured)

    def stratum(grouping: str, label: str, chosen: BoolArray) -> Stratum:
        persons = participant[chosen]
        people = len(np.unique(persons))
        too_few = people < MIN_PARTICIPANTS
        scored = tuple(
            _level(nominal, error[:, chosen], half_width[:, index, chosen], persons, counts)
            for index, nominal in enumerate(levels)
            if not too_few or grouping == "all"
        )
        return Stratum(grouping, label, people, int(chosen.sum()), too_few, scored)

    overall = stratum("all", "all", everyone)
    groups = tuple(
        stratum(grouping, str(label), np.asarray(labels == label, dtype=np.bool_))
        for grouping, labels in (strata or {}).items()
        for label in sorted(set(labels.tolist()))
    )
    return Coverage(overall, groups, (*_infinite_notes(overall), *_verdict_notes(overall, groups)))


def _level(
    nominal: float, error: FloatArray, half: FloatArray, participant: IntArray, counts: Counts
) -> LevelCoverage:
    """Score one level from errors and half widths ``(repeats, units)``."""
    size = counts.shape[1]
    finite = np.isfinite(half)
    width = np.where(finite, 2.0 * half, 0.0)
    # Ends belong to the interval; the tolerance is that of the rounding of a difference.
    inside = error <= half + 1e-12
    ones = np.ones(error.shape[1])
    shares = np.stack([sums_of((row, ones), participant, size) for row in inside.astype(float)])
    widths = np.stack(
        [
            sums_of((row, known), participant, size)
            for row, known in zip(width, finite.astype(float), strict=True)
        ]
    )
    covered = resampled(ratio, shares, counts)
    return LevelCoverage(
        float(nominal),
        share_interval(covered, len(np.unique(participant))),
        resampled(ratio, widths, counts).interval(),
        float(1.0 - finite.mean()),
    )


def _infinite_notes(overall: Stratum) -> list[str]:
    return [
        f"{level.infinite_share:.0%} of the intervals of nominal coverage {level.nominal:g} are"
        f" infinite, because their training part gave fewer than {smallest_n(level.nominal)}"
        " residuals; they count as covering, and the mean width is that of the others."
        for level in overall.levels
        if level.infinite_share > 0
    ]


def _verdict_notes(overall: Stratum, groups: Sequence[Stratum]) -> list[str]:
    return [
        f"Intervals of nominal coverage {level.nominal:g} cover"
        f" {level.coverage.value:.2f} [{level.coverage.low:.2f}, {level.coverage.high:.2f}]"
        f" {'of the cohort' if stratum is overall else f'of {stratum.grouping} {stratum.label}'}:"
        " they are too narrow there."
        for stratum in (overall, *groups)
        for level in stratum.levels
        if level.verdict == "below"
    ]
