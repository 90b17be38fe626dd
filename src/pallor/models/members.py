"""Members of late fusion: one learner on one modality, and what it says of rows it has not seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pallor.models.meta import Fold
from pallor.models.offset import fit_offset, offset_of, without_gaps
from pallor.models.preprocessing import (
    partial_out,
    prepare,
    varying_columns,
    without_demographics,
)
from pallor.models.regressors import (
    LEARNERS,
    Candidate,
    Learner,
    Size,
    preparation_of,
    thinned,
)

Floats = NDArray[np.float64]
Matrix = NDArray[np.float64] | NDArray[np.float32]

MOST_PREPARED = 1000
"""Medians, scales and principal components are learned from about so many rows, people evenly."""


def grids_of(
    learners: Sequence[str], *, quick: bool, core: bool = True
) -> dict[str, tuple[Candidate, ...]]:
    """Return the candidates of each learner that a modality can have.

    Parameters
    ----------
    learners
        Names in `pallor.models.regressors.LEARNERS`.
    quick
        The default alone.
    core
        Whether the modality has core columns that vary; without, learners that see nothing
        else are left out.
    """
    return {
        name: LEARNERS[name].grid[:1] if quick else LEARNERS[name].grid
        for name in learners
        if core or not LEARNERS[name].core
    }


def fit_learner(
    learner: Learner,
    values: Matrix,
    target: Floats,
    candidate: Candidate,
    groups: NDArray[np.integer],
    seed: int,
    quick: bool,
    *,
    draft: bool,
) -> Any:
    """Build one candidate and fit it to a prepared matrix ``(rows, columns)``.

    ``groups`` says whose each row is, ``(rows,)``; ``draft`` as in `Size`.
    """
    rows = thinned(groups, learner.most_rows, seed)
    size = Size(len(rows), values.shape[1], quick, len(np.unique(groups)), draft)
    # No copy where all rows are taken; sums depend on how a matrix lies in memory, though.
    chosen = values[rows] if len(rows) < len(values) else np.ascontiguousarray(values)
    return learner.build(size, seed, 1, candidate).fit(chosen, target[rows])


def _by_preparation(learners: Iterable[str], columns: int) -> dict[tuple[str, bool], list[str]]:
    """Group learners by what they are shown, so that one such matrix is in memory at a time.

    Returns
    -------
    dict
        Preparation, and whether of the core columns alone, to learners.
    """
    groups: dict[tuple[str, bool], list[str]] = {}
    for name in learners:
        learner = LEARNERS[name]
        groups.setdefault((preparation_of(learner, columns), learner.core), []).append(name)
    return groups


def _prepared(kind: str, values: Matrix, groups: NDArray[np.integer], seed: int) -> Any:
    even = values[thinned(groups, MOST_PREPARED, seed)]
    # What varies may do so in rows that were left out.
    return prepare(kind, _exact(even if varying_columns(even) else values), seed)


def _transformed(kind: str, pipeline: Any, values: Matrix) -> Any:
    # Boosting rounds to float32 anyhow; whatever computes with the numbers does it in float64.
    return pipeline.transform(values if kind == "raw" else _exact(values))


def _exact(values: Matrix) -> Floats:
    return np.asarray(values, dtype=np.float64)


def bounds_of(target: Floats) -> tuple[float, float]:
    """Return the smallest and the largest target, between which members are held.

    A column that hardly varies among the rows of training can throw a linear member to
    hundreds of g/dL on a row where it does. One such row would make every sum of members look
    worse than none.
    """
    return float(target.min()), float(target.max())


def out_of_fold(
    values: Matrix,
    demographics: Floats | None,
    y: Floats,
    fold: Fold,
    grids: Mapping[str, Sequence[Candidate]],
    seed: int,
    quick: bool,
    core: NDArray[np.intp],
    groups: NDArray[np.integer],
) -> dict[str, Floats]:
    """Fit every candidate on the training rows of a fold and predict its test rows.

    Parameters
    ----------
    values
        Features of one modality, ``(rows, columns)``, NaN where undefined; float32 gives the
        same result in less memory, since computation is in float64.
    demographics
        ``(rows, d)``, or None.
    y
        Outcome in g/dL, ``(rows,)``.
    fold
        ``(train, test)`` positions.
    grids
        Candidates of each learner.
    seed, quick
        As in `pallor.models.fusion.FusedRegressor`.
    core
        Positions of the core columns, for learners that see nothing else.
    groups
        Whose each row is, ``(rows,)``: clips of one are not independent of one another.

    Returns
    -------
    dict
        Learner to predicted deviation from the offset in g/dL, ``(test rows, candidates)``,
        within `bounds_of` the training rows; zeros where no column varies among them.
    """
    train, test = fold
    base = fit_offset(demographics, y, train)
    left_over = y[train] - offset_of(base, demographics, train)
    inputs, held_out = values[train], values[test]
    if demographics is not None:
        known = without_gaps(base, demographics)
        inputs, held_out = _exact(inputs), _exact(held_out)
        coefficients = partial_out(inputs, known[train])
        inputs = without_demographics(inputs, known[train], coefficients)
        held_out = without_demographics(held_out, known[test], coefficients)
    if not varying_columns(inputs):
        return {name: np.zeros((len(test), len(grid))) for name, grid in grids.items()}
    result: dict[str, Floats] = {}
    whose = groups[train]
    for key, names in _by_preparation(grids, inputs.shape[1]).items():
        kind, core_alone = key
        shown = inputs[:, core] if core_alone else inputs
        asked = held_out[:, core] if core_alone else held_out
        if not varying_columns(shown):
            result |= {name: np.zeros((len(test), len(grids[name]))) for name in names}
            continue
        pipeline = _prepared(kind, shown, whose, seed)
        seen, unseen = (_transformed(kind, pipeline, part) for part in (shown, asked))
        for name in names:
            columns = [
                fit_learner(
                    LEARNERS[name], seen, left_over, candidate, whose, seed, quick, draft=True
                ).predict(unseen)
                for candidate in grids[name]
            ]
            predicted = np.column_stack(columns).astype(np.float64)
            result[name] = np.clip(predicted, *bounds_of(left_over))
    return {name: result[name] for name in grids}


def fit_members(
    values: Matrix,
    demographics: Floats | None,
    left_over: Floats,
    candidates: Mapping[str, Candidate],
    seed: int,
    quick: bool,
    core: NDArray[np.intp],
    groups: NDArray[np.integer],
) -> tuple[dict[str, Any], Floats]:
    """Fit one candidate of some learners to all rows of one modality.

    Parameters
    ----------
    values, seed, quick, core, groups
        As in `out_of_fold`.
    demographics
        Without gaps, ``(rows, d)``; None where the features stay as they are.
    left_over
        Outcome less the offset in g/dL, ``(rows,)``.
    candidates
        Learner to candidate.

    Returns
    -------
    members : dict
        Learner to a fitted pipeline, which expects the core columns alone where the learner
        does (`pallor.models.regressors.Learner.core`).
    coefficients : ndarray
        What `partial_out` found; empty without demographics.
    """
    from sklearn.pipeline import Pipeline

    inputs = values
    coefficients = np.zeros((0, values.shape[1]))
    if demographics is not None:
        inputs = _exact(values)
        coefficients = partial_out(inputs, demographics)
        inputs = without_demographics(inputs, demographics, coefficients)
    members: dict[str, Any] = {}
    for key, names in _by_preparation(candidates, inputs.shape[1]).items():
        kind, core_alone = key
        shown = inputs[:, core] if core_alone else inputs
        pipeline = _prepared(kind, shown, groups, seed)
        ready = _transformed(kind, pipeline, shown)
        for name in names:
            fitted = fit_learner(
                LEARNERS[name], ready, left_over, candidates[name], groups, seed, quick, draft=False
            )
            # The preparation is shared between members.
            members[name] = Pipeline([("prepare", pipeline), ("learner", fitted)])
    return {name: members[name] for name in candidates}, coefficients


def predict_member(
    learner: str,
    member: Any,
    values: Floats,
    core: NDArray[np.intp],
    bounds: tuple[float, float],
) -> Floats:
    """Predict the deviation from the offset, g/dL, ``(rows,)``, held within the bounds.

    Parameters
    ----------
    learner
        Its name.
    member
        Of `fit_members`.
    values
        Features of the modality, ``(rows, columns)``, without the demographics where the
        member was fitted so.
    core
        Positions of the core columns.
    bounds
        `bounds_of` the training rows.
    """
    shown = values[:, core] if LEARNERS[learner].core else values
    return np.clip(np.asarray(member.predict(shown), dtype=np.float64), *bounds)
