"""How much each feature moves single estimates, as far as boosted trees make them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from pallor.evaluation.dissection import Dissection, take_apart
from pallor.evaluation.shapley import TreeContributions
from pallor.evaluation.unit import mean_of_units

if TYPE_CHECKING:
    import pandas as pd

    from pallor.models.fusion import FusedRegressor

Floats = NDArray[np.float64]

KINDS: Final = ("feature", "modality", "place")
"""What contributions are given for."""


@dataclass(frozen=True)
class Contribution:
    """Size and direction of the contributions of a feature, or of features summed.

    Attributes
    ----------
    name
        Feature, modality or place.
    kind
        One of `KINDS`; modalities and places sum the features of each row first, each of them
        counted in one place only.
    mean_abs_g_dl
        Mean over the units of the absolute contribution, g/dL.
    sign
        Of a feature, see `pallor.evaluation.shapley.TreeContributions`; NaN for sums.
    """

    name: str
    kind: str
    mean_abs_g_dl: float
    sign: float = float("nan")


def contributions(model: FusedRegressor, X: pd.DataFrame) -> dict[str, TreeContributions]:
    """Divide what the boosted trees say of held-out rows among their features.

    Parameters
    ----------
    model
        Fitted, on other rows.
    X
        The held-out rows, nothing else.

    Returns
    -------
    dict
        ``modality/learner`` to contributions times the member's weight; boosted trees of
        positive weight only. What other learners say is not divided.
    """
    return weighted_contributions(take_apart(model, X))


def weighted_contributions(parts: Dissection) -> dict[str, TreeContributions]:
    """Return the contributions of a prediction that was taken apart, as `contributions`."""
    positive = parts.positive
    trees = {
        f"{one.modality}/{learner}": found
        for one in parts.effects
        for learner, found in one.trees.items()
    }
    return {name: trees[name].times(positive[name]) for name in positive if name in trees}


def summarize(
    of_member: Mapping[str, TreeContributions], unit: NDArray[np.intp] | None = None
) -> tuple[Contribution, ...]:
    """Reduce contributions to single rows to sizes and directions.

    Parameters
    ----------
    of_member
        ``modality/learner`` to its contributions, all of the same rows.
    unit
        Unit of analysis of each row, ``(rows,)``: contributions are averaged over its rows, as
        predictions are, before their size is taken. Default: every row by itself.

    Returns
    -------
    tuple of Contribution
        Features that contribute anything, modalities and places; largest first in each kind.
    """
    rows = max((len(found.shares) for found in of_member.values()), default=0)
    if not rows:
        return ()
    of_row = np.arange(rows) if unit is None else np.unique(unit, return_inverse=True)[1]

    def size(values: Floats) -> float:
        return float(np.abs(mean_of_units(values, of_row)).mean())

    features: list[Contribution] = []
    sums: dict[tuple[str, str], Floats] = {}
    for member, found in of_member.items():
        modality = member.split("/")[0]
        for i, (name, place) in enumerate(zip(found.features, found.places, strict=True)):
            values = found.shares[:, i]
            for key in (("modality", modality), ("place", place)):
                sums[key] = sums.get(key, 0.0) + values
            if values.any():
                features.append(Contribution(name, "feature", size(values), float(found.sign[i])))
    grouped = [Contribution(name, kind, size(values)) for (kind, name), values in sums.items()]
    return tuple(
        sorted((*features, *grouped), key=lambda c: (KINDS.index(c.kind), -c.mean_abs_g_dl, c.name))
    )
