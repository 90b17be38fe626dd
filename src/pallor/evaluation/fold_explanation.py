"""What one fused model looks at, on the rows that were held out from it.

Two views. Permutation importance asks the whole model: how much worse does it do without a
modality or a part of the face. Contributions ask its boosted trees: how much does each feature
move single estimates. The first is about error, the second is not: a feature that moves
estimates at random contributes as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pallor.evaluation.contributions import (
    LEARNER,
    Contribution,
    contributions_of_terms,
    summarize,
)
from pallor.evaluation.permutation import Importance, importance_of_terms
from pallor.evaluation.places import groups_of
from pallor.evaluation.terms import take_apart

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
        The held-out rows alone, as in `pallor.evaluation.permutation.permutation_importance`.
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
    terms = take_apart(model, X)
    importance = importance_of_terms(
        terms, outcome, component, groups_of(terms.columns), unit, seed, rounds
    )
    members = contributions_of_terms(terms)
    weights = terms.weights
    of_trees = sum(weight for name, weight in weights.items() if name.endswith(f"/{LEARNER}"))
    clipped = [member.clipped for member in members]
    return FoldExplanation(
        units=len(X) if unit is None else len(np.unique(unit)),
        silent=not weights,
        importance=importance,
        contributions=summarize(members, unit),
        weight_share=of_trees / sum(weights.values()) if weights else float("nan"),
        clipped_share=float(np.mean(clipped)) if clipped else float("nan"),
    )
