"""Shapley values of boosted trees: what a member says, divided among its features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pallor.evaluation.places import place_of

Floats = NDArray[np.float64]

LEARNER: Final = "xgboost"
"""The learner whose members are explained."""

SEVERAL: Final = "several_places"
"""Place of a sum over a modality whose features come from more than one."""

_TOLERANCE: Final = 1e-5
"""XGBoost adds up leaves and contributions in float32: relative to the largest sum."""


@dataclass(frozen=True)
class TreeContributions:
    """Contributions of features to what one member says.

    Attributes
    ----------
    features
        Names of the columns; ``modality.*`` alone where the trees stand on principal
        components, for which only the sum over the modality is given.
    places
        Place of each, see `pallor.evaluation.places.place_of`.
    shares
        Contributions in g/dL, ``(rows, features)``: together with ``bias`` they add up to the
        member's deviation before it is held within the model's bounds.
    bias
        What the trees say when nothing is known, g/dL.
    sign
        Spearman correlation over rows of what the member sees of a feature with its
        contribution, ``(features,)``: positive where high values raise the estimate. NaN for
        a sum, and where either does not vary.
    clipped
        Rows on which the member left the bounds and was held, ``(rows,)``: there the estimate
        moves less than the contributions say.
    """

    features: tuple[str, ...]
    places: tuple[str, ...]
    shares: Floats
    bias: float
    sign: Floats
    clipped: NDArray[np.bool_]

    def times(self, weight: float) -> TreeContributions:
        """Return the contributions to the weighted sum of members."""
        return replace(self, shares=weight * self.shares, bias=weight * self.bias)


def tree_contributions(
    member: Any,
    modality: str,
    columns: Sequence[str],
    inputs: Floats,
    bounds: tuple[float, float],
) -> TreeContributions:
    """Divide what boosted trees say among the columns that they see.

    Shapley values by XGBoost's own TreeSHAP (Lundberg et al, Nat Mach Intell 2020;2:56), in
    which a feature that is not known is averaged over the training rows that went each way
    at a node, by counts that the trees keep.

    Parameters
    ----------
    member
        Fitted pipeline of a preparation and boosted trees.
    modality, columns
        Its modality and the names of its columns.
    inputs
        What it is shown, ``(rows, columns)``.
    bounds
        Between which its predictions are held, g/dL.

    Returns
    -------
    TreeContributions
        One a column where the preparation leaves columns as they are; otherwise their sum,
        as a component mixes all columns and no share of it belongs to one.

    Raises
    ------
    AssertionError
        If contributions and bias do not add up to the prediction within the precision of
        float32: a fault of the program.
    """
    from xgboost import DMatrix

    preparation, learner = member.named_steps.values()
    seen = preparation.transform(inputs)
    found = learner.get_booster().predict(DMatrix(seen), pred_contribs=True).astype(np.float64)
    predicted = np.asarray(learner.predict(seen), dtype=np.float64)
    scale = max(1.0, float(np.abs(found).sum(axis=1).max(initial=0.0)))
    if not np.allclose(found.sum(axis=1), predicted, rtol=0.0, atol=_TOLERANCE * scale):
        raise AssertionError(f"contributions to {modality} do not add up to the prediction")
    low, high = bounds
    bias = float(found[0, -1]) if len(found) else float("nan")
    clipped = (predicted < low) | (predicted > high)
    shares = found[:, :-1]
    places = tuple(place_of(column) for column in columns)
    if all(step == "passthrough" for _, step in preparation.steps):
        sign = np.array([_spearman(*pair) for pair in zip(inputs.T, shares.T, strict=True)])
        return TreeContributions(tuple(columns), places, shares, bias, sign, clipped)
    place = places[0] if len(set(places)) == 1 else SEVERAL
    total = shares.sum(axis=1, keepdims=True)
    return TreeContributions((f"{modality}.*",), (place,), total, bias, np.full(1, np.nan), clipped)


def _spearman(feature: Floats, contribution: Floats) -> float:
    known = np.isfinite(feature)
    if known.sum() < 3 or not np.ptp(contribution[known]) or not np.ptp(feature[known]):
        return float("nan")
    from scipy.stats import rankdata

    ranks = [rankdata(values[known]) for values in (feature, contribution)]
    return float(np.corrcoef(*ranks)[0, 1])
