"""What each feature adds to single estimates: Shapley values of the boosted trees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from pallor.evaluation.places import place_of
from pallor.evaluation.terms import Terms, take_apart
from pallor.evaluation.unit import mean_of_units

if TYPE_CHECKING:
    import pandas as pd

    from pallor.models.fusion import FusedRegressor

Floats = NDArray[np.float64]
IntArray = NDArray[np.intp]

LEARNER: Final = "xgboost"
SEVERAL: Final = "several_places"
"""Place of a sum over a modality whose features come from more than one."""

_TOLERANCE: Final = 1e-5
"""XGBoost adds up leaves and contributions in float32: relative to the largest sum."""


@dataclass(frozen=True)
class MemberContributions:
    """Contributions to what one member says, times its weight.

    Attributes
    ----------
    member
        ``modality/learner``.
    features
        Names of the columns; ``modality.*`` alone where the trees stand on principal
        components, for which only the sum over the modality is given.
    places
        Place of each, see `pallor.evaluation.places.place_of`.
    inputs
        What the member sees of each feature, ``(rows, features)``; NaN for a sum.
    shares
        Contributions in g/dL, ``(rows, features)``: together with ``bias`` they add up to
        weight x deviation before it is held within the model's bounds.
    bias
        What the trees say when nothing is known, times the weight, g/dL.
    clipped
        Rows on which the member left the bounds and was held: there the estimate moves less
        than the contributions say, ``(rows,)``.
    """

    member: str
    features: tuple[str, ...]
    places: tuple[str, ...]
    inputs: Floats
    shares: Floats
    bias: float
    clipped: NDArray[np.bool_]


@dataclass(frozen=True)
class Contribution:
    """Size and direction of the contributions of a feature, or of features summed.

    Attributes
    ----------
    name
        Feature, modality or place.
    kind
        ``feature``, ``modality`` or ``place``; the latter two sum the features of each row
        first, each of them counted in one place only.
    mean_abs_g_dl
        Mean over the units of the absolute contribution, g/dL.
    sign
        Spearman correlation of the feature with its contribution over rows: positive where
        high values raise the estimate. NaN for sums, and where either does not vary.
    """

    name: str
    kind: str
    mean_abs_g_dl: float
    sign: float = float("nan")


def contributions(model: FusedRegressor, X: pd.DataFrame) -> tuple[MemberContributions, ...]:
    """Divide what the boosted trees say of held-out rows among their features.

    Shapley values by XGBoost's own TreeSHAP (Lundberg et al, Nat Mach Intell 2020;2:56), in
    which a feature that is not known is averaged over the training rows that went each way
    at a node, by counts that the trees keep. Other learners are not explained.

    Parameters
    ----------
    model
        Fitted, on other rows.
    X
        The held-out rows, nothing else.

    Returns
    -------
    tuple of MemberContributions
        One a member of positive weight that is made of boosted trees; none where there is none.

    Raises
    ------
    AssertionError
        If contributions and bias do not add up to a member's prediction within the precision
        of float32: a fault of the program.
    """
    return contributions_of_terms(take_apart(model, X))


def contributions_of_terms(terms: Terms) -> tuple[MemberContributions, ...]:
    """Do the work of `contributions` on a model that is already taken apart."""
    return tuple(_of_member(terms, name) for name in terms.weights if name.endswith(f"/{LEARNER}"))


def _of_member(terms: Terms, name: str) -> MemberContributions:
    from xgboost import DMatrix

    modality = name.split("/")[0]
    inputs, columns = terms.inputs[modality], terms.columns[modality]
    preparation, learner = terms.members[name].named_steps.values()
    seen = preparation.transform(inputs)
    shares = learner.get_booster().predict(DMatrix(seen), pred_contribs=True).astype(np.float64)
    predicted = np.asarray(learner.predict(seen), dtype=np.float64)
    scale = max(1.0, float(np.abs(shares).sum(axis=1).max(initial=0.0)))
    if not np.allclose(shares.sum(axis=1), predicted, rtol=0.0, atol=_TOLERANCE * scale):
        raise AssertionError(f"the contributions to {name} do not add up to its prediction")
    weight = terms.weights[name]
    low, high = terms.bounds
    bias = weight * float(shares[0, -1]) if len(shares) else float("nan")
    clipped = (predicted < low) | (predicted > high)
    values = weight * shares[:, :-1]
    if _keeps_columns(preparation):
        places = tuple(place_of(column) for column in columns)
        return MemberContributions(name, columns, places, inputs, values, bias, clipped)
    # A component mixes all columns; no share of it belongs to one of them.
    places_of_all = {place_of(column) for column in columns}
    place = places_of_all.pop() if len(places_of_all) == 1 else SEVERAL
    return MemberContributions(
        name,
        (f"{modality}.*",),
        (place,),
        np.full((len(inputs), 1), np.nan),
        values.sum(axis=1, keepdims=True),
        bias,
        clipped,
    )


def _keeps_columns(preparation: Any) -> bool:
    return all(step == "passthrough" for _, step in preparation.steps)


def summarize(
    members: Sequence[MemberContributions], unit: IntArray | None = None
) -> tuple[Contribution, ...]:
    """Reduce contributions to single rows to sizes and directions.

    Parameters
    ----------
    members
        Of one model and the same rows.
    unit
        Unit of analysis of each row, ``(rows,)``: contributions are averaged over its rows, as
        predictions are, before their size is taken. Default: every row by itself.

    Returns
    -------
    tuple of Contribution
        Features that contribute anything, modalities and places; largest first in each kind.
    """
    if not members or not len(members[0].shares):
        return ()
    rows = len(members[0].shares)
    of_row = np.arange(rows) if unit is None else np.unique(unit, return_inverse=True)[1]

    def size(values: Floats) -> float:
        return float(np.abs(mean_of_units(values, of_row)).mean())

    features: list[Contribution] = []
    sums: dict[tuple[str, str], Floats] = {}
    for member in members:
        modality = member.member.split("/")[0]
        for i, (name, place) in enumerate(zip(member.features, member.places, strict=True)):
            values = member.shares[:, i]
            for key in (("modality", modality), ("place", place)):
                sums[key] = sums.get(key, 0.0) + values
            if values.any():
                sign = _spearman(member.inputs[:, i], values)
                features.append(Contribution(name, "feature", size(values), sign))
    grouped = [Contribution(name, kind, size(v)) for (kind, name), v in sums.items()]
    kinds: Mapping[str, int] = {"feature": 0, "modality": 1, "place": 2}
    return tuple(
        sorted((*features, *grouped), key=lambda c: (kinds[c.kind], -c.mean_abs_g_dl, c.name))
    )


def _spearman(feature: Floats, contribution: Floats) -> float:
    from scipy.stats import rankdata

    known = np.isfinite(feature)
    ranks = [rankdata(values[known]) for values in (feature, contribution)]
    if known.sum() < 3 or any(np.ptp(values) == 0.0 for values in ranks):
        return float("nan")
    return float(np.corrcoef(*ranks)[0, 1])
