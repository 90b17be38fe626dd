"""The prediction of a fused model for held-out rows, taken apart into what it is the sum of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pallor.evaluation.member_effects import MemberEffects, effects_of
from pallor.evaluation.places import Group
from pallor.models.offset import offset_of, without_gaps
from pallor.models.preprocessing import DEMOGRAPHICS, matrix, without_demographics

if TYPE_CHECKING:
    import pandas as pd

    from pallor.models.fusion import FusedRegressor

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Dissection:
    """``offset + sum of weight x deviation`` for some rows.

    Attributes
    ----------
    offset
        Mean, or what sex and age say, and the intercept of the sum, g/dL, ``(rows,)``.
    effects
        What the members of each modality say; only those of positive weight need be there.
    weights
        ``modality/learner`` to weight; a member that is absent counts with zero.
    """

    offset: Floats
    effects: Sequence[MemberEffects]
    weights: Mapping[str, float]

    @property
    def positive(self) -> dict[str, float]:
        """Members of positive weight, in a fixed order."""
        names = [f"{one.modality}/{learner}" for one in self.effects for learner in one.deviations]
        return {name: self.weights[name] for name in names if self.weights.get(name, 0.0) > 0.0}

    def total(self, offset: Floats, deviations: Mapping[str, Floats]) -> Floats:
        """Add given deviations of the members of positive weight to a given offset, g/dL.

        Parameters
        ----------
        offset
            ``(..., rows)``.
        deviations
            ``modality/learner`` to deviations, ``(..., rows)``.
        """
        total = offset
        for name, weight in self.positive.items():
            total = total + weight * deviations[name]
        return total

    @property
    def deviations(self) -> dict[str, Floats]:
        """``modality/learner`` to what it says of the rows as they are, g/dL, ``(rows,)``."""
        return {
            f"{one.modality}/{learner}": values
            for one in self.effects
            for learner, values in one.deviations.items()
        }


def take_apart(
    model: FusedRegressor,
    X: pd.DataFrame,
    groups: Sequence[Group] = (),
    donors: NDArray[np.intp] | None = None,
) -> Dissection:
    """Take a fitted model's prediction of some rows apart.

    Parameters
    ----------
    model
        Fitted.
    X
        Rows with the columns of training, in any order.
    groups, donors
        As in `pallor.evaluation.member_effects.effects_of`; by default nothing is swapped.

    Returns
    -------
    Dissection
        Made of these rows and of the fitted model alone.

    Raises
    ------
    FeatureTableError
        A column of training is absent or not numeric.
    AssertionError
        The parts do not add up to the model's own prediction: a fault of the program.
    """
    swaps = np.empty((0, len(X)), dtype=np.intp) if donors is None else donors
    demographics = None
    if DEMOGRAPHICS in model.columns_:
        demographics = matrix(X, model.columns_[DEMOGRAPHICS])
    offset = offset_of(model.offset_, demographics, np.arange(len(X))) + model.intercept_
    effects = []
    for modality, columns in model.columns_.items():
        members = {
            name.split("/")[1]: member
            for name, member in model.members_.items()
            if name.split("/")[0] == modality
        }
        if not members:
            continue
        inputs = matrix(X, columns)
        if demographics is not None:
            known = without_gaps(model.offset_, demographics)
            inputs = without_demographics(inputs, known, model.partial_[modality])
        effects.append(
            effects_of(
                modality, columns, inputs, members, model.core_[modality], model.bounds_, groups,
                swaps,
            )
        )  # fmt: skip
    weights = dict(zip(model.member_names_, map(float, model.weights_), strict=True))
    parts = Dissection(offset, effects, weights)
    # What is explained must be the model itself, not a copy of its formula that fell behind.
    if not np.allclose(
        parts.total(offset, parts.deviations), model.predict(X), rtol=1e-9, atol=1e-9
    ):
        raise AssertionError("the parts of a fused model do not add up to its prediction")
    return parts
