"""What one fused model looks at, on the rows that were held out from it.

Two views. Permutation importance asks the whole model: how much worse does it do without a
modality or a part of the face. Contributions ask its boosted trees: how much does each feature
move single estimates. The first is about error, the second is not: a feature that moves
estimates at random contributes as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pallor.evaluation.contributions import Contribution, summarize, weighted_contributions
from pallor.evaluation.dissection import Dissection, take_apart
from pallor.evaluation.permutation_importance import Importance, donors_of, importance
from pallor.evaluation.places import Group, groups_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class FoldExplanation:
    """What one fitted model looks at, on the part that was held out from it.

    Attributes
    ----------
    units
        Units of analysis that were held out.
    silent
        No member has a positive weight: every estimate is the mean, or what sex and age say.
        Importance of all features is then zero, which is a result.
    importance
        Of modalities and places.
    contributions
        Of features, modalities and places to what the boosted trees say.
    weight_share
        Share of the boosted trees in the weights of all members: what the contributions
        explain. NaN for a silent model.
    clipped_share
        Share of their predictions that left the model's bounds and were held; NaN without
        boosted trees.
    """

    units: int
    silent: bool
    importance: tuple[Importance, ...]
    contributions: tuple[Contribution, ...]
    weight_share: float
    clipped_share: float


def explain(
    parts: Dissection,
    groups: Sequence[Group],
    outcome: NDArray[np.float64],
    donors: NDArray[np.intp],
    unit: NDArray[np.intp] | None = None,
) -> FoldExplanation:
    """Explain a prediction of held-out rows that was taken apart.

    Parameters
    ----------
    parts
        The prediction; its effects hold the swaps of the same groups and donors.
    groups
        Modalities and places: `pallor.evaluation.places.groups_of`.
    outcome, unit
        As in `pallor.evaluation.permutation_importance.permutation_importance`.
    donors
        Of `pallor.evaluation.permutation_importance.donors_of`.
    """
    weights = parts.positive
    of_trees = weighted_contributions(parts)
    clipped = [found.clipped for found in of_trees.values()]
    share = sum(weights[name] for name in of_trees) / sum(weights.values()) if weights else np.nan
    return FoldExplanation(
        units=len(outcome) if unit is None else len(np.unique(unit)),
        silent=not weights,
        importance=importance(parts, groups, outcome, donors, unit),
        contributions=summarize(of_trees, unit),
        weight_share=float(share),
        clipped_share=float(np.mean(clipped)) if clipped else float("nan"),
    )


def explain_fold(
    model: object,
    X: pd.DataFrame,
    outcome: NDArray[np.float64],
    component: NDArray[np.integer],
    *,
    unit: NDArray[np.intp] | None = None,
    seed: int = 0,
    rounds: int = 10,
) -> FoldExplanation | None:
    """Explain a fitted model on the part that was held out from it.

    Parameters
    ----------
    model
        A fitted `pallor.models.fusion.FusedRegressor`; there is no explanation of others.
    X, outcome, component, unit
        The held-out rows alone, as in `permutation_importance` of the module of that name.
    seed, rounds
        Of the swaps.

    Returns
    -------
    FoldExplanation or None
        None for another kind of model.
    """
    from pallor.models.fusion import FusedRegressor

    if not isinstance(model, FusedRegressor):
        return None
    groups = groups_of(model.columns_)
    donors = donors_of(component, seed, rounds)
    return explain(take_apart(model, X, groups, donors), groups, outcome, donors, unit)
