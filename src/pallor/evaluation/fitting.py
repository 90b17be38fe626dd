"""Out-of-fold predictions of every model: fit on the training part, predict the rest."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pallor.evaluation.shared_fitting import fit_shared
from pallor.evaluation.splits import Split, assert_disjoint
from pallor.evaluation.task import (
    FloatArray,
    OutOfFold,
    Spec,
    Task,
    checked,
    in_parallel,
    nothing_yet,
    seed_of,
)


def out_of_fold(
    task: Task, *, workers: int = 1, done: Callable[[str], None] | None = None
) -> OutOfFold:
    """Predict every row by models that never saw its component.

    Parameters
    ----------
    task
        What to fit on what.
    workers
        Processes; the result does not depend on their number.
    done
        Called with a label after each step.

    Raises
    ------
    FeatureTableError
        If a model gives something else than finite numbers.
    """
    said = done or (lambda _: None)
    return (
        fit_shared(task, workers, said) if task.shares_members else _one_by_one(task, workers, said)
    )


def _fit_predict(task: Task, spec: Spec, split: Split) -> FloatArray:
    assert_disjoint(split.train, split.test, task.components)
    X = task.features[list(spec.columns)]
    model = task.factory(spec.modalities, spec.learners, seed_of(task.seed, split), task.quick)
    groups = task.inner_groups[split.train]
    model.fit(X.iloc[split.train], task.outcome[split.train], groups=groups)
    return np.asarray(model.predict(X.iloc[split.test]), dtype=np.float64)


def _one_by_one(task: Task, workers: int, done: Callable[[str], None]) -> OutOfFold:
    result = nothing_yet(task)
    jobs = [(spec, split) for split in task.plan.splits for spec in task.specs]
    calls = [(_fit_predict, (task, spec, split)) for spec, split in jobs]
    for (spec, split), predicted in zip(jobs, in_parallel(calls, workers), strict=True):
        result.predicted[spec.name][split.repeat, split.test] = checked(predicted, spec, split)
        done(f"{spec.name} without {split.label}")
    return result
