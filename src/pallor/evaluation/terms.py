"""The prediction of a fused model for some rows, taken apart into what it is the sum of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pallor.models.offset import offset_of, without_gaps
from pallor.models.preprocessing import DEMOGRAPHICS, matrix, without_demographics

if TYPE_CHECKING:
    import pandas as pd

    from pallor.models.fusion import FusedRegressor

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Terms:
    """``offset + sum of weight x deviation`` for some rows.

    Attributes
    ----------
    offset
        Mean, or what sex and age say, and the intercept of the sum, g/dL, ``(rows,)``.
    inputs
        What the members of each modality see, ``(rows, columns)``: its features, from which
        sex and age have been regressed out where the model knows them.
    columns
        Their names.
    members
        Fitted members of positive weight, by ``modality/learner``.
    weights
        Of these members.
    deviations
        What each says in g/dL, held within ``bounds``, ``(rows,)``.
    bounds
        The model's ``bounds_``.
    """

    offset: Floats
    inputs: Mapping[str, Floats]
    columns: Mapping[str, tuple[str, ...]]
    members: Mapping[str, Any]
    weights: Mapping[str, float]
    deviations: Mapping[str, Floats]
    bounds: tuple[float, float]

    def deviation(self, member: str, inputs: Floats) -> Floats:
        """Return what a member says in g/dL of other inputs ``(rows, columns)``, ``(rows,)``."""
        return np.asarray(np.clip(self.members[member].predict(inputs), *self.bounds), np.float64)

    def total(self, offset: Floats, deviations: Mapping[str, Floats]) -> Floats:
        """Sum a given offset and given deviations to a prediction in g/dL, ``(rows,)``."""
        total = offset
        for name, weight in self.weights.items():
            total = total + weight * deviations[name]
        return total


def take_apart(model: FusedRegressor, X: pd.DataFrame) -> Terms:
    """Take the model's prediction of some rows apart.

    Parameters
    ----------
    model
        Fitted.
    X
        Rows with the columns of training, in any order.

    Returns
    -------
    Terms
        Made of these rows and of the fitted model alone.

    Raises
    ------
    FeatureTableError
        A column of training is absent or not numeric.
    AssertionError
        The terms do not add up to the model's own prediction: a fault of the program.
    """
    columns = {name: tuple(names) for name, names in model.columns_.items()}
    demographics = matrix(X, columns[DEMOGRAPHICS]) if DEMOGRAPHICS in columns else None
    offset = offset_of(model.offset_, demographics, np.arange(len(X))) + model.intercept_
    inputs: dict[str, Floats] = {}
    for modality in dict.fromkeys(name.split("/")[0] for name in model.members_):
        inputs[modality] = matrix(X, columns[modality])
        if demographics is not None:
            known = without_gaps(model.offset_, demographics)
            inputs[modality] = without_demographics(
                inputs[modality], known, model.partial_[modality]
            )
    weights = {
        name: float(weight)
        for name, weight in zip(model.member_names_, model.weights_, strict=True)
        if name in model.members_
    }
    members = {name: model.members_[name] for name in weights}
    bare = Terms(offset, inputs, columns, members, weights, {}, model.bounds_)
    said = {name: bare.deviation(name, inputs[name.split("/")[0]]) for name in weights}
    # What is explained must be the model itself, not a copy of its formula that fell behind.
    if not np.allclose(bare.total(offset, said), model.predict(X), rtol=1e-9, atol=1e-9):
        raise AssertionError("the terms of a fused model do not add up to its prediction")
    return Terms(offset, inputs, columns, members, weights, said, model.bounds_)
