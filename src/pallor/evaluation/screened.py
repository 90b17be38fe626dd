"""Who is screened for anemia: what every model and baseline is scored on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from pallor.anemia import Thresholds, adjustment_strata, below, thresholds_of_table
from pallor.evaluation.groupings import GROUPINGS, labels_of
from pallor.evaluation.resampling import Counts
from pallor.evaluation.unit import OUTCOME

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.intp]
Labels = NDArray[np.object_]

SEXES: Final = ("female", "male")


@dataclass(frozen=True)
class Screened:
    """The units to screen, common to all models and baselines.

    Attributes
    ----------
    measured
        Hemoglobin, g/dL, ``(units,)``.
    threshold
        Raw hemoglobin below which each counts as anemic, g/dL, NaN where unknown, ``(units,)``;
        see ``pallor.anemia.thresholds_of_table``.
    participant
        Index of each unit's participant, ``(units,)``.
    fold
        Fold in which each unit is tested, ``(repeats, units)``.
    counts
        Resamples of the participants, ``(resamples, participants)``.
    strata
        Name to labels, ``(units,)``: ``sex`` (``female``, ``male``, anything else where unknown),
        and others to report by, such as ``pallor.anemia.adjustment_strata``; labels are text.

    Raises
    ------
    ValueError
        If the shapes do not fit together, or a measurement is not a number.
    """

    measured: FloatArray
    threshold: FloatArray
    participant: IntArray
    fold: IntArray
    counts: Counts
    strata: Mapping[str, Labels] = field(default_factory=dict)

    def __post_init__(self) -> None:
        units = self.measured.shape
        vectors = (self.threshold, self.participant, *self.strata.values())
        if len(units) != 1 or any(vector.shape != units for vector in vectors):
            raise ValueError("measured, threshold, participant and strata are vectors of units")
        if self.fold.ndim != 2 or self.fold.shape[1:] != units:
            raise ValueError(f"fold is (repeats, units), not {self.fold.shape}")
        if any(not isinstance(label, str) for labels in self.strata.values() for label in labels):
            raise ValueError("labels of strata are text; write unknown where nothing is known")
        if not np.isfinite(self.measured).all():
            raise ValueError("a measured hemoglobin is not a number")

    @property
    def known(self) -> BoolArray:
        """Whose threshold is known, ``(units,)``; the others are left out of all scores."""
        return np.isfinite(self.threshold)

    @property
    def anemic(self) -> BoolArray:
        """Whose measured hemoglobin lies below the threshold, ``(units,)``."""
        return below(self.measured, self.threshold)

    def masks(self, name: str) -> dict[str, BoolArray]:
        """Units of each label of a stratification that have a threshold, labels sorted."""
        labels = self.strata.get(name, np.full(len(self.measured), "", dtype=object))
        present = sorted({str(label) for label in labels[self.known] if label})
        return {label: (labels == label) & self.known for label in present}

    @property
    def sexes(self) -> tuple[BoolArray, ...]:
        """Units with threshold of each sex, as far as the sex is known."""
        masks = self.masks("sex")
        return tuple(masks[sex] for sex in SEXES if sex in masks)


def screened_units(
    frame: pd.DataFrame, participant: IntArray, fold: IntArray, counts: Counts
) -> tuple[Screened, Thresholds]:
    """Gather what screening needs from the units of an evaluation.

    Parameters
    ----------
    frame
        One row a unit: ``hemoglobin_g_dl`` and, where known, ``sex``, ``age_years``,
        ``pregnancy``, ``altitude_m``, ``smoking``.
    participant, fold, counts
        As in ``Screened``.

    Returns
    -------
    screened
        With the strata ``sex`` and, where known, ``altitude`` and ``smoking``.
    thresholds
        What the thresholds rest on, and why some are unknown.
    """
    thresholds = thresholds_of_table(frame)
    strata = {"sex": labels_of(GROUPINGS["sex"], frame), **adjustment_strata(frame)}
    measured = frame[OUTCOME].to_numpy(dtype=np.float64)
    return (
        Screened(measured, thresholds.threshold_g_dl, participant, fold, counts, strata),
        thresholds,
    )
