"""Permutation importance: how much worse a fitted model does when some features are swapped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pallor.evaluation.places import Group, groups_of
from pallor.evaluation.terms import Terms, take_apart
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
        Default: all modalities and places of the model.
    seed, rounds
        As in `donors_of`.

    Returns
    -------
    tuple of Importance
        One a group, mean over the rounds; exactly zero for features that no member uses.

    Raises
    ------
    ValueError
        If a group holds a part of the demographics only.
    """
    terms = take_apart(model, X)
    chosen = groups_of(terms.columns) if groups is None else groups
    return importance_of_terms(terms, outcome, component, chosen, unit, seed, rounds)


def importance_of_terms(
    terms: Terms,
    outcome: Floats,
    component: NDArray[np.integer],
    groups: Sequence[Group],
    unit: IntArray | None,
    seed: int,
    rounds: int,
) -> tuple[Importance, ...]:
    """Do the work of `permutation_importance` on a model that is already taken apart."""
    donors = donors_of(component, seed, rounds)
    of_row = np.arange(len(outcome)) if unit is None else np.unique(unit, return_inverse=True)[1]
    measured = mean_of_units(np.asarray(outcome, dtype=np.float64), of_row)

    def errors(predicted: Floats) -> Floats:
        wrong = mean_of_units(predicted, of_row) - measured
        return np.array([np.abs(wrong).mean(), np.square(wrong).mean()])

    intact = errors(terms.total(terms.offset, terms.deviations))
    found = []
    for group in groups:
        swaps = [errors(_swapped(terms, group, donor)) - intact for donor in donors]
        mae, mse = np.mean(swaps, axis=0) if swaps else (np.nan, np.nan)
        found.append(Importance(group.name, group.kind, len(group.columns), float(mae), float(mse)))
    return tuple(found)


def _swapped(terms: Terms, group: Group, donor: IntArray) -> Floats:
    """Predict with the features of a group taken from the donors."""
    touched = _positions(terms, group)
    offset = terms.offset[donor] if DEMOGRAPHICS in touched else terms.offset
    deviations = dict(terms.deviations)
    inputs: dict[str, Floats] = {}
    for name in terms.weights:
        modality = name.split("/")[0]
        if modality not in touched:
            continue
        positions = touched[modality]
        if len(positions) == terms.inputs[modality].shape[1]:
            # A member looks at one modality and one row: all of it swapped is the donor's own.
            deviations[name] = terms.deviations[name][donor]
            continue
        if modality not in inputs:
            inputs[modality] = terms.inputs[modality].copy()
            inputs[modality][:, positions] = terms.inputs[modality][np.ix_(donor, positions)]
        deviations[name] = terms.deviation(name, inputs[modality])
    return terms.total(offset, deviations)


def _positions(terms: Terms, group: Group) -> Mapping[str, IntArray]:
    """Positions of a group's columns in the inputs of each modality that it touches."""
    wanted = set(group.columns)
    positions = {
        modality: np.flatnonzero([column in wanted for column in columns])
        for modality, columns in terms.columns.items()
    }
    touched = {modality: found for modality, found in positions.items() if len(found)}
    known = touched.get(DEMOGRAPHICS)
    if known is not None and len(known) < len(terms.columns[DEMOGRAPHICS]):
        raise ValueError(f"group {group.name}: sex and age can only be swapped together")
    return touched
