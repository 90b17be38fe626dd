"""Out-of-fold predictions of every model: fit on the training part, predict the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pallor.errors import FeatureTableError
from pallor.evaluation.splits import Plan, Split, assert_disjoint

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]
Progress = Callable[[int, int, str], None]
"""Called with what is done, what there is in all, and what was done last."""


class Estimator(Protocol):
    """What is asked of a model."""

    def fit(self, X: pd.DataFrame, y: FloatArray, groups: NDArray[np.integer]) -> Any:
        """Learn from feature columns ``(rows, features)``, g/dL, and component numbers."""

    def predict(self, X: pd.DataFrame) -> FloatArray:
        """Estimate g/dL, ``(rows,)``."""


class ModelFactory(Protocol):
    """Makes a fresh, unfitted model."""

    def __call__(
        self, modalities: tuple[str, ...], learners: tuple[str, ...], seed: int, quick: bool
    ) -> Estimator:
        """Make a model over modalities (fused late) with the named learners."""


def fused_regressor(
    modalities: tuple[str, ...], learners: tuple[str, ...], seed: int, quick: bool
) -> Estimator:
    """Make the default model, ``pallor.models.fusion.FusedRegressor``."""
    from pallor.models.fusion import FusedRegressor

    model: Estimator = FusedRegressor(
        modalities=modalities, learners=learners, seed=seed, quick=quick
    )
    return model


@dataclass(frozen=True)
class Spec:
    """One model of the table.

    Attributes
    ----------
    modalities
        What it looks at.
    regressor
        Name in ``pallor.models.regressors.REGRESSORS``.
    learners
        What that name stands for.
    columns
        Its feature columns.
    """

    modalities: tuple[str, ...]
    regressor: str
    learners: tuple[str, ...]
    columns: tuple[str, ...]

    @property
    def name(self) -> str:
        """Such as ``color+pulse:stacking``; a column of ``predictions.csv``."""
        return f"{'+'.join(self.modalities)}:{self.regressor}"


@dataclass(frozen=True)
class Task:
    """Rows to score and what to score them with; everything a fit needs.

    Attributes
    ----------
    features
        Feature columns of the scored rows, ``(rows, features)``.
    outcome
        Measured hemoglobin, g/dL, ``(rows,)``.
    components
        Component of each row, ``(rows,)``.
    inner_groups
        What the folds inside a training part keep together, ``(rows,)``: components, or
        something coarser.
    plan
        The outer splits.
    specs
        The models.
    factory
        Makes them.
    seed
        Every fit has its own seed, derived from this one, its repeat and its fold.
    quick
        Whether models are to be small.
    """

    features: pd.DataFrame
    outcome: FloatArray
    components: NDArray[np.integer]
    inner_groups: NDArray[np.integer]
    plan: Plan
    specs: tuple[Spec, ...]
    factory: ModelFactory
    seed: int
    quick: bool

    @property
    def jobs(self) -> list[tuple[Spec, Split]]:
        """Every fit, split by split."""
        return [(spec, split) for split in self.plan.splits for spec in self.specs]


def _seed_of(seed: int, split: Split) -> int:
    # All models of one split share a seed, so that they differ in nothing but themselves.
    return int(np.random.SeedSequence([seed, split.repeat, split.fold]).generate_state(1)[0] >> 1)


def _fit_predict(task: Task, spec: Spec, split: Split) -> FloatArray:
    assert_disjoint(split.train, split.test, task.components)
    X = task.features[list(spec.columns)]
    model = task.factory(spec.modalities, spec.learners, _seed_of(task.seed, split), task.quick)
    groups = task.inner_groups[split.train]
    model.fit(X.iloc[split.train], task.outcome[split.train], groups=groups)
    predicted = np.asarray(model.predict(X.iloc[split.test]), dtype=np.float64)
    if predicted.shape != split.test.shape or not np.isfinite(predicted).all():
        raise FeatureTableError(
            f"{spec.name} gave no number for every clip of fold {split.label}: look for features"
            " of these modalities that are not finite, or leave the modality out"
        )
    return predicted


def _results(task: Task, jobs: Sequence[tuple[Spec, Split]], workers: int) -> Iterator[FloatArray]:
    if workers <= 1 or len(jobs) <= 1:
        for spec, split in jobs:
            yield _fit_predict(task, spec, split)
        return
    from sklearn.utils.parallel import Parallel, delayed

    # The default backend shares the cores out, so that threads of workers do not fight.
    yield from Parallel(n_jobs=workers, return_as="generator")(
        delayed(_fit_predict)(task, spec, split) for spec, split in jobs
    )


def out_of_fold(
    task: Task, *, workers: int = 1, done: Callable[[str], None] | None = None
) -> dict[str, FloatArray]:
    """Predict every row by models that never saw its component.

    Parameters
    ----------
    task
        What to fit on what.
    workers
        Processes; the result does not depend on their number.
    done
        Called with a label after each fit.

    Returns
    -------
    For each spec's name ``(repeats, rows)``, g/dL.

    Raises
    ------
    FeatureTableError
        If a model gives something else than finite numbers.
    """
    rows = len(task.outcome)
    predictions = {spec.name: np.full((task.plan.repeats, rows), np.nan) for spec in task.specs}
    jobs = task.jobs
    for (spec, split), predicted in zip(jobs, _results(task, jobs, workers), strict=True):
        predictions[spec.name][split.repeat, split.test] = predicted
        if done is not None:
            done(f"{spec.name} without {split.label}")
    return predictions
