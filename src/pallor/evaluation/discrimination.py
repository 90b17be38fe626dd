"""Whether the anemic get higher scores: area under the ROC curve, overall and within sex.

The score is threshold minus prediction. The cutoff of men lies higher, and anemia is not
equally frequent in both sexes, so the overall area holds what sex alone tells about anemia. The
area within sex compares women with women and men with men and holds none of it.

Only people of one fold are compared. Predictions of different folds come from different
models, and what a fold holds is missing from the training part of its model: pooled over
folds, predictions that know nothing order people the wrong way round, which would flatter any
model beside a weak baseline (Parker, Günter and Bedo, BMC Bioinformatics 2007;8:326).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from pallor.evaluation.bootstrap import area_under_curve
from pallor.evaluation.metrics import Interval
from pallor.evaluation.resampling import Resampled
from pallor.evaluation.screened import BoolArray, FloatArray, IntArray, Screened

RATES: Final = tuple(percent / 100 for percent in range(101))
"""False positive rates at which a ROC curve is given."""
_CHUNK: Final = 500
"""Resamples weighed at once; keeps memory flat."""


def _comparable(
    fold: IntArray, positive: BoolArray, masks: tuple[BoolArray, ...]
) -> Iterator[BoolArray]:
    """Units that lie in one mask and one fold, where both classes are among them."""
    for mask in masks:
        for number in np.unique(fold[mask]):
            units = mask & (fold == number)
            if 0 < np.count_nonzero(positive[units]) < np.count_nonzero(units):
                yield units


def _area(
    scores: FloatArray,
    fold: IntArray,
    positive: BoolArray,
    masks: tuple[BoolArray, ...],
    weights: FloatArray,
) -> FloatArray:
    """Share of the comparable pairs of one repeat that are in order, ``(...)``."""
    won, pairs = np.zeros(weights.shape[:-1]), np.zeros(weights.shape[:-1])
    for units in _comparable(fold, positive, masks):
        inside, anemic = weights[..., units], positive[units]
        here = inside[..., anemic].sum(axis=-1) * inside[..., ~anemic].sum(axis=-1)
        area = area_under_curve(scores[units], anemic, inside)
        won += np.where(here > 0, here * area, 0.0)
        pairs += here
    return np.asarray(won / np.where(pairs > 0, pairs, np.nan))


def auc_within(
    predicted: FloatArray, screened: Screened, masks: tuple[BoolArray, ...]
) -> Resampled:
    """Area under the ROC curve over the pairs that lie within one mask and one fold.

    Parameters
    ----------
    predicted
        Out-of-fold, g/dL, ``(repeats, units)``.
    screened
        The units.
    masks
        Disjoint sets of units with known threshold.

    Returns
    -------
    How often, of an anemic and another unit, the anemic has the higher score, ties counting
    half; by repeat and then averaged, with its resamples. NaN where no pair can be compared.
    """
    scores = screened.threshold - predicted

    def averaged(weights: FloatArray) -> FloatArray:
        of_repeats = [
            _area(row, fold, screened.anemic, masks, weights)
            for row, fold in zip(scores, screened.fold, strict=True)
        ]
        return np.asarray(np.mean(of_repeats, axis=0), dtype=np.float64)

    replicates = [
        averaged(screened.counts[start : start + _CHUNK, screened.participant].astype(np.float64))
        for start in range(0, len(screened.counts), _CHUNK)
    ]
    value = float(averaged(np.ones(len(screened.measured))))
    return Resampled(value, np.concatenate([np.empty(0), *replicates]))


def auc_gain(
    predicted: FloatArray, reference: FloatArray, screened: Screened
) -> dict[str, Interval]:
    """AUC of one set of predictions minus that of another, paired over participants.

    Parameters
    ----------
    predicted, reference
        Out-of-fold, g/dL, ``(repeats, units)``: a model, and the baseline of sex and age, say.
    screened
        The units.

    Returns
    -------
    ``overall`` and ``within_sex``; NaN where no pair can be compared.
    """
    sets = {"overall": (screened.known,), "within_sex": screened.sexes}
    return {
        name: auc_within(predicted, screened, masks)
        .minus(auc_within(reference, screened, masks))
        .interval()
        for name, masks in sets.items()
    }


def roc_points(predicted: FloatArray, screened: Screened) -> tuple[float, ...] | None:
    """Points of the overall ROC curve for a plot.

    Parameters
    ----------
    predicted
        Out-of-fold, g/dL, ``(repeats, units)``.
    screened
        The units.

    Returns
    -------
    True positive rate at each of ``RATES``, averaged over folds by their number of pairs and
    over repeats (vertical averaging: Fawcett, Pattern Recognit Lett 2006;27:861-874), so that
    the area under the points is about ``auc_within``; None where no pair can be compared.
    """
    from sklearn.metrics import roc_curve

    positive, scores = screened.anemic, screened.threshold - predicted
    curves, pairs = [], []
    for row, fold in zip(scores, screened.fold, strict=True):
        for units in _comparable(fold, positive, (screened.known,)):
            anemic = positive[units]
            false_positive_rate, true_positive_rate, _ = roc_curve(anemic, row[units])
            curves.append(np.interp(RATES, false_positive_rate, true_positive_rate))
            pairs.append(np.count_nonzero(anemic) * np.count_nonzero(~anemic))
    if not curves:
        return None
    return tuple(np.average(curves, axis=0, weights=pairs).tolist())
