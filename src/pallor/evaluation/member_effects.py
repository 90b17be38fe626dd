"""What the members of one modality say of held-out rows, as they are and with features swapped.

Nothing here depends on the weights that a model gives its members, so one reckoning serves
every model that joins them, and it can be made where the members were fitted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pallor.evaluation.places import Group
from pallor.evaluation.shapley import LEARNER, TreeContributions, tree_contributions
from pallor.models.members import predict_member

Floats = NDArray[np.float64]
IntArray = NDArray[np.intp]


@dataclass(frozen=True)
class MemberEffects:
    """What the members of one modality say of held-out rows.

    Attributes
    ----------
    modality
        Its name.
    columns
        Names of its columns.
    deviations
        Learner to deviations from the offset, g/dL, ``(rows,)``.
    swapped
        Learner to group to the deviations with the group's features swapped, ``(rounds,
        rows)``; only groups that hold some but not all of the columns. A member looks at one
        modality and one row, so that with all columns swapped it says what it says of the donor.
    trees
        Contributions to what boosted trees say, by learner.
    """

    modality: str
    columns: tuple[str, ...]
    deviations: Mapping[str, Floats]
    swapped: Mapping[str, Mapping[tuple[str, str], Floats]]
    trees: Mapping[str, TreeContributions]

    def as_arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything but the names of the columns as arrays, to be kept in a file."""
        arrays: dict[str, NDArray[Any]] = {}
        for learner, values in self.deviations.items():
            arrays[f"deviations/{learner}"] = values
        for learner, of_group in self.swapped.items():
            for (kind, name), values in of_group.items():
                arrays[f"swapped/{learner}/{kind}/{name}"] = values
        for learner, found in self.trees.items():
            for field, value in vars(found).items():
                arrays[f"trees/{learner}/{field}"] = np.asarray(value)
        return arrays


def effects_from_arrays(
    modality: str, columns: Sequence[str], arrays: Mapping[str, NDArray[Any]]
) -> MemberEffects:
    """Undo `MemberEffects.as_arrays`; arrays under other names are left alone."""
    deviations: dict[str, Floats] = {}
    trees: dict[str, dict[str, NDArray[Any]]] = {}
    for key, values in arrays.items():
        part, _, rest = key.partition("/")
        if part == "deviations":
            deviations[rest] = values
        elif part == "trees":
            learner, field = rest.split("/")
            trees.setdefault(learner, {})[field] = values
    swapped: dict[str, dict[tuple[str, str], Floats]] = {name: {} for name in deviations}
    for key, values in arrays.items():
        part, _, rest = key.partition("/")
        if part == "swapped":
            learner, kind, name = rest.split("/", 2)
            swapped[learner][kind, name] = values
    found = {
        learner: TreeContributions(
            features=tuple(map(str, fields["features"])),
            places=tuple(map(str, fields["places"])),
            shares=fields["shares"],
            bias=float(fields["bias"]),
            sign=fields["sign"],
            clipped=fields["clipped"],
        )
        for learner, fields in trees.items()
    }
    return MemberEffects(modality, tuple(columns), deviations, swapped, found)


def positions_of(group: Group, columns: Sequence[str]) -> IntArray:
    """Return the positions of a group's features among some columns, ``(k,)``."""
    wanted = set(group.columns)
    return np.flatnonzero([column in wanted for column in columns])


def effects_of(
    modality: str,
    columns: Sequence[str],
    inputs: Floats,
    members: Mapping[str, Any],
    core: IntArray,
    bounds: tuple[float, float],
    groups: Sequence[Group],
    donors: IntArray,
) -> MemberEffects:
    """Let the members of one modality speak of held-out rows.

    Parameters
    ----------
    modality, columns
        Its name and those of its columns.
    inputs
        The held-out rows, ``(rows, columns)``, without sex and age where the members were
        fitted so.
    members
        Learner to fitted pipeline, see `pallor.models.members.fit_members`.
    core, bounds
        As in `pallor.models.members.predict_member`.
    groups
        What is to be swapped; features of other modalities count for nothing here.
    donors
        From which row each row gets its features, ``(rounds, rows)``:
        `pallor.evaluation.permutation_importance.donors_of`.
    """

    def say(shown: Floats) -> dict[str, Floats]:
        return {
            name: predict_member(name, member, shown, core, bounds)
            for name, member in members.items()
        }

    swapped: dict[str, dict[tuple[str, str], Floats]] = {name: {} for name in members}
    for group in groups if members else ():
        positions = positions_of(group, columns)
        if not 0 < len(positions) < len(columns):
            continue
        said = []
        for donor in donors:
            shown = inputs.copy()
            shown[:, positions] = inputs[np.ix_(donor, positions)]
            said.append(say(shown))
        for name in members:
            rounds = [deviations[name] for deviations in said]
            swapped[name][group.kind, group.name] = np.reshape(rounds, donors.shape)
    trees = {
        name: tree_contributions(member, modality, columns, inputs, bounds)
        for name, member in members.items()
        if name == LEARNER
    }
    return MemberEffects(modality, tuple(columns), say(inputs), swapped, trees)
