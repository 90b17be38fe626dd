"""Permutation importance: how much worse a fitted model does when some features are swapped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pallor.evaluation.dissection import Dissection, take_apart
from pallor.evaluation.member_effects import positions_of
from pallor.evaluation.places import Group, groups_of
from pallor.evaluation.unit import mean_of_units
from pallor.models.preprocessing import DEMOGRAPHICS

if TYPE_CHECKING:
    import pandas as pd

    from pallor.models.fusion import FusedRegressor

Floats = NDArray[np.float64]
IntArray = NDArray[np.intp]


@dataclass(frozen=True)
class Importance:
    """What a model loses without one group of features.

    Attributes
    ----------
    group, kind
        As in `pallor.evaluation.places.Group`.
    features
        How many there are in the group.
    increase_mae_g_dl
        Mean absolute error with these features swapped between participants, minus that with
        all in place, g/dL. Around zero, and by chance below, where they do not matter; NaN
        where fewer than two participants are held out.
    increase_mse
        The same for the mean squared error, (g/dL)².
    """

    group: str
    kind: str
    features: int
    increase_mae_g_dl: float
    increase_mse: float


def donors_of(component: NDArray[np.integer], seed: int, rounds: int) -> IntArray:
    """Say from which row each row gets its features when participants are swapped.

    Participants are put in a random order, and each gets the features of the one so many
    places further on; every round has another distance, so that nobody keeps their own and no
    pair comes twice. With ``n - 1`` rounds among n participants these are all pairs, and the
    mean over rounds is the estimate *e_switch* of Fisher, Rudin & Dominici (J Mach Learn Res
    2019;20:177) without sampling error. Shuffling that lets some keep their own, as
    scikit-learn's does, comes out smaller by the factor ``(n - 1) / n``.

    Parameters
    ----------
    component
        Independent participant of each row, ``(rows,)``. The k-th row of one gets the k-th of
        the other, beginning anew where that one has fewer: clips of a person stay together.
    seed
        Of the order and the distances.
    rounds
        How often to swap; at most ``n - 1``.

    Returns
    -------
    ndarray
        Row positions, ``(rounds, rows)``; no rounds for fewer than two participants.
    """
    _, number = np.unique(component, return_inverse=True)
    rows_of = [np.flatnonzero(number == i) for i in range(int(number.max(initial=-1)) + 1)]
    count = len(rows_of)
    rng = np.random.default_rng(seed)
    order = rng.permutation(count)
    distances = 1 + rng.permutation(max(count - 1, 0))[:rounds]
    donors = np.empty((len(distances), len(number)), dtype=np.intp)
    for donor, distance in zip(donors, distances, strict=True):
        for receiver, giver in zip(order, np.roll(order, -int(distance)), strict=True):
            donor[rows_of[receiver]] = np.resize(rows_of[giver], len(rows_of[receiver]))
    return donors


def importance(
    parts: Dissection,
    groups: Sequence[Group],
    outcome: Floats,
    donors: IntArray,
    unit: IntArray | None = None,
) -> tuple[Importance, ...]:
    """Score a model whose prediction was taken apart, with each group of features swapped.

    Parameters
    ----------
    parts
        Of the held-out rows; its effects hold the swaps of the same groups and donors.
    groups
        What is swapped.
    outcome, unit
        As in `permutation_importance`.
    donors
        Of `donors_of`.

    Returns
    -------
    tuple of Importance
        One a group.
    """
    of_row = np.arange(len(outcome)) if unit is None else np.unique(unit, return_inverse=True)[1]
    measured = mean_of_units(np.asarray(outcome, dtype=np.float64), of_row)

    def errors(predicted: Floats) -> Floats:
        wrong = mean_of_units(predicted, of_row) - measured
        return np.array([np.abs(wrong).mean(), np.square(wrong).mean()])

    intact = errors(parts.total(parts.offset, parts.deviations))
    found = []
    for group in groups:
        swaps = [errors(predicted) - intact for predicted in _swapped(parts, group, donors)]
        mae, mse = np.mean(swaps, axis=0) if swaps else (np.nan, np.nan)
        found.append(Importance(group.name, group.kind, len(group.columns), float(mae), float(mse)))
    return tuple(found)


def _swapped(parts: Dissection, group: Group, donors: IntArray) -> Floats:
    """Predict with the features of a group taken from the donors, ``(rounds, rows)``."""
    # Sex and age say one thing together: they are swapped together or not at all.
    known = any(name.startswith(f"{DEMOGRAPHICS}.") for name in group.columns)
    offset = parts.offset[donors] if known else np.broadcast_to(parts.offset, donors.shape)
    deviations: dict[str, Floats] = {}
    for one in parts.effects:
        touched = len(positions_of(group, one.columns))
        for learner, intact in one.deviations.items():
            if touched == 0:
                said = intact
            elif touched == len(one.columns):
                said = intact[donors]
            else:
                said = one.swapped[learner][group.kind, group.name]
            deviations[f"{one.modality}/{learner}"] = said
    return parts.total(offset, deviations)


def permutation_importance(
    model: FusedRegressor,
    X: pd.DataFrame,
    outcome: Floats,
    component: NDArray[np.integer],
    *,
    unit: IntArray | None = None,
    groups: Sequence[Group] | None = None,
    seed: int = 0,
    rounds: int = 10,
) -> tuple[Importance, ...]:
    """Measure what a fitted model loses on held-out rows when features are swapped.

    All features of a group are swapped together between participants, the rest stays, and
    nothing is fitted again (Breiman, Mach Learn 2001;45:5; of groups: Gregorutti et al, Comput
    Stat Data Anal 2015;90:15). The same swaps serve all groups.

    Swapped is what the members see. In a model that knows sex and age this is what these two
    leave of each feature: a face is never paired with the sex of another person, and
    ``demographics`` stands for what sex and age say by themselves. In any other model it is
    the features as they are in the table.

    Importance belongs to this model. Where two groups carry the same information, each alone
    can be swapped at little cost, and neither is thereby shown to be useless.

    Parameters
    ----------
    model
        Fitted, on other rows.
    X
        The held-out rows, nothing else.
    outcome
        Their hemoglobin, g/dL, ``(rows,)``.
    component
        Independent participant of each row, ``(rows,)``.
    unit
        Unit of analysis of each row, ``(rows,)``, over whose rows predictions are averaged
        before they are scored; any numbers. Default: every row by itself.
    groups
        Default: all modalities and places of the model. One that holds any of the demographics
        swaps what sex and age say as a whole.
    seed, rounds
        As in `donors_of`.

    Returns
    -------
    tuple of Importance
        One a group, mean over the rounds; exactly zero for features that no member uses.
    """
    columns = {name: tuple(names) for name, names in model.columns_.items()}
    chosen = groups_of(columns) if groups is None else groups
    donors = donors_of(component, seed, rounds)
    return importance(take_apart(model, X, chosen, donors), chosen, outcome, donors, unit)
