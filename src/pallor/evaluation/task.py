"""What is to be fitted and predicted in an evaluation, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pallor.errors import FeatureTableError
from pallor.evaluation.fold_explanation import FoldExplanation
from pallor.evaluation.part_store import OpenStore
from pallor.evaluation.splits import Plan, Split
from pallor.models.preprocessing import DEMOGRAPHICS

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
class Explained:
    """Which model is explained on what was held out from it, in the first repeat.

    Attributes
    ----------
    spec
        The model.
    unit
        Unit of analysis of each row, ``(rows,)``.
    rounds
        How often features are swapped.
    """

    spec: Spec
    unit: NDArray[np.intp]
    rounds: int = 5


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
    open_store
        Where finished parts are kept; None to keep none.
    explained
        What is to be explained; None for nothing.
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

    open_store: OpenStore | None = None
    explained: Explained | None = None

    @property
    def shares_members(self) -> bool:
        """Whether the models are the default ones, whose members are fitted once for all."""
        return self.factory is fused_regressor

    @property
    def steps(self) -> int:
        """How often ``out_of_fold`` reports progress."""
        each = len(self.sources) if self.shares_members else len(self.specs)
        return each * len(self.plan.splits)

    @property
    def sources(self) -> list[tuple[str, bool]]:
        """Every modality that members are fitted to, with sex and age taken out and without."""
        asked = [
            (name, DEMOGRAPHICS in spec.modalities)
            for spec in self.specs
            for name in spec.modalities
            if name != DEMOGRAPHICS
        ]
        return list(dict.fromkeys(asked))


@dataclass(frozen=True)
class OutOfFold:
    """What models that never saw a row's component say of it.

    Attributes
    ----------
    predicted
        For each spec's name ``(repeats, rows)``, g/dL; NaN where a repeat does not test a row.
    residuals
        For each spec's name one entry a split, in the order of the plan: positions of the
        training rows, and measured less the model's own out-of-fold prediction of them, g/dL.
        Empty where the models tell no such thing.
    weights
        For each spec's name one entry a split: the weight of each member.
    explanations
        One entry a split of the first repeat; empty where nothing was to be explained.
    """

    predicted: dict[str, FloatArray]
    residuals: dict[str, list[tuple[NDArray[np.intp], FloatArray]]]
    weights: dict[str, list[dict[str, float]]]
    explanations: list[FoldExplanation]


def seed_of(seed: int, split: Split) -> int:
    """Return the seed of all fits of one split."""
    # All models of one split share a seed, so that they differ in nothing but themselves.
    return int(np.random.SeedSequence([seed, split.repeat, split.fold]).generate_state(1)[0] >> 1)


def checked(predicted: FloatArray, spec: Spec, split: Split) -> FloatArray:
    """Return what a model said of the test part of a split.

    Raises
    ------
    FeatureTableError
        If that is not one finite number for every row.
    """
    if predicted.shape != split.test.shape or not np.isfinite(predicted).all():
        raise FeatureTableError(
            f"{spec.name} gave no number for every clip of fold {split.label}: look for features"
            " of these modalities that are not finite, or leave the modality out"
        )
    return predicted


def nothing_yet(task: Task) -> OutOfFold:
    """Return a result that is to be filled."""
    rows = len(task.outcome)
    return OutOfFold(
        {spec.name: np.full((task.plan.repeats, rows), np.nan) for spec in task.specs}, {}, {}, []
    )


def in_parallel(calls: Sequence[tuple[Callable[..., Any], tuple[Any, ...]]], workers: int) -> Any:
    """Yield results in order, as they are ready."""
    if workers <= 1 or len(calls) <= 1:
        return (function(*arguments) for function, arguments in calls)
    from sklearn.utils.parallel import Parallel, delayed

    # The default backend shares the cores out, so that threads of workers do not fight.
    return Parallel(n_jobs=workers, return_as="generator")(
        delayed(function)(*arguments) for function, arguments in calls
    )
