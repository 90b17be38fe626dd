"""Late fusion: one member for each modality and learner, joined on out-of-fold predictions.

What sex and age say (a straight line, where the ``demographics`` modality is asked for; the
mean otherwise) comes first and always counts in full. Members are fitted to what it leaves
over, from features out of which sex and age have been regressed as well, and their sum is
shrunk toward zero. Modalities of noise therefore leave the estimate where sex and age put it,
and what is gained over sex and age is what the modalities add.

No row is ever judged by something that was fitted on its group: members predict it from the
other inner folds; and for `FusedRegressor.oof_prediction_` the candidate of each member and
the weights are chosen without its fold, too. (Those weights rest on out-of-fold predictions of
other rows, whose members have seen it. This second-order trace of it is common to every
cross-fitted stack; scores that are quoted come from an outer cross-validation.)

Importing this module imports scikit-learn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin

from pallor.errors import FeatureTableError, UsageError
from pallor.models.core import core_columns
from pallor.models.joining import join_members
from pallor.models.members import (
    Matrix,
    bounds_of,
    fit_members,
    grids_of,
    out_of_fold,
    predict_member,
)
from pallor.models.meta import Fold
from pallor.models.offset import fit_offset, offset_of, without_gaps
from pallor.models.preprocessing import (
    DEMOGRAPHICS,
    columns_of,
    lean_matrix,
    matrix,
    varying_columns,
    without_demographics,
)
from pallor.models.regressors import LEARNERS, Candidate

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
_ROWS_AT_A_TIME = 4096


class FusedRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Regression of hemoglobin on the features of several modalities, fused late.

    Parameters
    ----------
    modalities
        Names of modalities; their features are the columns ``modality.*``. ``demographics``
        stands for sex and age (`pallor.models.preprocessing.demographic_features`).
    learners
        Names in `pallor.models.regressors.LEARNERS`; every modality gets each of them.
    inner_splits
        Grouped folds inside the rows given to `fit`; fewer where there are fewer groups.
    seed
        Of folds and learners.
    quick
        No tuning and fewer trees.
    n_jobs
        Threads; the result does not depend on it.

    Attributes
    ----------
    columns_ : dict of str to list of str
        Columns of each modality in the order of training.
    core_ : dict of str to ndarray
        Positions of each modality's core columns among its own (`pallor.models.core`).
    member_names_ : list of str
        ``modality/learner``; a modality without a column that varies has no member.
    candidates_ : dict of str to dict
        Which candidate of its learner's grid each member took.
    weights_ : ndarray
        Weight of each member; not negative.
    intercept_ : float
        Added to the weighted sum, g/dL.
    members_ : dict of str to Pipeline
        Members of positive weight, refitted on all rows.
    bounds_ : tuple of float
        Smallest and largest deviation from the offset in training, g/dL; no member leaves it.
    offset_ : estimator
        Linear regression on the demographics, or the mean.
    inner_folds_ : list of (train, test)
        Row positions. No group straddles a fold.
    oof_ : ndarray
        Out-of-fold prediction of every member in g/dL, ``(rows, members)``.
    oof_prediction_ : ndarray
        Out-of-fold prediction of the fused regressor in g/dL, ``(rows,)``.
    """

    inner_folds_: list[Fold]
    oof_: Floats
    oof_prediction_: Floats
    partial_: dict[str, Floats]
    members_: dict[str, Any]
    bounds_: tuple[float, float]

    def __init__(
        self,
        modalities: Sequence[str] = ("color",),
        learners: Sequence[str] = ("xgboost",),
        inner_splits: int = 5,
        seed: int = 0,
        quick: bool = False,
        n_jobs: int = 1,
    ) -> None:
        self.modalities = modalities
        self.learners = learners
        self.inner_splits = inner_splits
        self.seed = seed
        self.quick = quick
        self.n_jobs = n_jobs

    def fit(
        self,
        X: pd.DataFrame,
        y: Any,
        groups: Any,
        progress: Callable[[int, int, str], None] | None = None,
        people: Any = None,
    ) -> FusedRegressor:
        """Fit on rows of a feature table.

        Parameters
        ----------
        X
            Table with the modalities' columns, one row a clip; NaN where undefined.
        y
            Hemoglobin in g/dL, ``(rows,)``.
        groups
            What must stay together, ``(rows,)``: `pallor.cohort.folds.components`.
        progress
            Called with ``(done, total, what)``, one step a modality and fold.
        people
            Whose each row is, ``(rows,)``, where groups are something larger (sites, say).

        Returns
        -------
        FusedRegressor
            Itself. The order of the rows does not matter.

        Raises
        ------
        FeatureTableError
            A modality has no columns, or y or groups do not fit.
        UsageError
            A modality or learner is named twice, unknown, or none is named.
        """
        self._check_parameters()
        target = np.asarray(y, dtype=np.float64)
        labels = np.asarray(groups)
        if target.shape != (len(X),) or labels.shape != (len(X),):
            raise FeatureTableError(
                f"{len(X)} rows need as many outcomes and groups, got {target.shape} and "
                f"{labels.shape}"
            )
        if not np.isfinite(target).all():
            raise FeatureTableError("the outcome holds gaps: leave those rows out before fitting")
        self.columns_ = {name: columns_of(list(X.columns), name) for name in self.modalities}
        for name, columns in self.columns_.items():
            if not columns:
                raise FeatureTableError(
                    f"the table has no features of modality {name}: extract it, or leave it out"
                )
        self.core_ = {name: core_columns(name, names) for name, names in self.columns_.items()}
        data = {name: lean_matrix(X, columns) for name, columns in self.columns_.items()}

        from pallor.cohort.folds import in_order_of_appearance

        order = _canonical_order(data, target)
        whose = labels if people is None else np.asarray(people)
        numbers = in_order_of_appearance(labels[order]), in_order_of_appearance(whose[order])
        back = np.argsort(order)
        # One after another, so that there are never two copies of all.
        ordered = {name: data.pop(name)[order] for name in list(data)}
        self._fit_ordered(ordered, target[order], *numbers, progress or (lambda *_: None))
        self.inner_folds_ = [(np.sort(order[a]), np.sort(order[b])) for a, b in self.inner_folds_]
        self.oof_ = self.oof_[back]
        self.oof_prediction_ = self.oof_prediction_[back]
        return self

    def _check_parameters(self) -> None:
        unknown = [name for name in self.learners if name not in LEARNERS]
        if unknown:
            raise UsageError(f"unknown learner {unknown[0]}: choose from {', '.join(LEARNERS)}")
        if not self.modalities or not self.learners:
            raise UsageError("name at least one modality and one learner")
        for names in (self.modalities, self.learners):
            if len(set(names)) != len(names):
                raise UsageError(f"a name is given twice: {', '.join(names)}")

    def _fit_ordered(
        self,
        data: dict[str, Matrix],
        y: Floats,
        groups: NDArray[np.intp],
        people: NDArray[np.intp],
        progress: Callable[[int, int, str], None],
    ) -> None:
        from joblib import Parallel, delayed  # type: ignore[import-untyped]

        from pallor.cohort.folds import grouped_folds

        known = data.pop(DEMOGRAPHICS, None)
        demographics = None if known is None else known.astype(np.float64, copy=False)
        usable = {name: values for name, values in data.items() if varying_columns(values)}
        splits = min(self.inner_splits, len(np.unique(groups)))
        folds = grouped_folds(groups, y, splits, self.seed)
        self.inner_folds_ = folds
        grids = {name: self._grids(name, values) for name, values in usable.items()}
        jobs = [(name, fold) for name in usable for fold in folds]
        # Threads: the learners' compiled code releases the lock, and each runs on one thread.
        predictions = Parallel(n_jobs=self.n_jobs, prefer="threads", return_as="generator")(
            delayed(out_of_fold)(
                usable[name],
                demographics,
                y,
                fold,
                grids[name],
                self.seed,
                self.quick,
                self.core_[name],
                people,
            )
            for name, fold in jobs
        )
        offset = np.empty_like(y)
        for train, test in folds:
            base = fit_offset(demographics, y, train)
            offset[test] = offset_of(base, demographics, test)
        tried: dict[str, Floats] = {}  # member -> (rows, candidates)
        for name in usable:
            for learner, grid in grids[name].items():
                tried[f"{name}/{learner}"] = np.empty((len(y), len(grid)))
        total = len(jobs) + 1
        for done, ((name, (_, test)), of_learner) in enumerate(
            zip(jobs, predictions, strict=True), start=1
        ):
            progress(done, total, name)
            for learner, values in of_learner.items():
                tried[f"{name}/{learner}"][test] = values
        self.member_names_ = list(tried)
        self._join(tried, offset, y)
        self._refit(usable, demographics, y, people)
        progress(total, total, "all rows")

    def _grids(self, modality: str, values: Matrix) -> dict[str, tuple[Candidate, ...]]:
        core = varying_columns(values[:, self.core_[modality]]) > 0
        return grids_of(self.learners, quick=self.quick, core=core)

    def _join(self, tried: Mapping[str, Floats], offset: Floats, y: Floats) -> None:
        """Choose candidates and weights; the cross-fitted ones for the out-of-fold prediction."""
        joined = join_members(
            tried,
            y - offset,
            self.inner_folds_,
            trust_one=DEMOGRAPHICS not in self.modalities,
        )
        self.oof_prediction_ = offset + joined.deviation
        self.oof_ = joined.members + offset[:, None]
        self.weights_, self.intercept_ = joined.weights, joined.intercept
        self.candidates_ = {
            name: dict(LEARNERS[name.split("/")[1]].grid[index])
            for name, index in joined.best.items()
        }

    def _refit(
        self,
        usable: Mapping[str, Matrix],
        demographics: Floats | None,
        y: Floats,
        people: NDArray[np.intp],
    ) -> None:
        everything = np.arange(len(y))
        self.offset_ = fit_offset(demographics, y, everything)
        left_over = y - offset_of(self.offset_, demographics, everything)
        known = None if demographics is None else without_gaps(self.offset_, demographics)
        self.bounds_ = bounds_of(left_over)
        self.partial_ = {}
        self.members_ = {}
        positive: dict[str, dict[str, Candidate]] = {}
        for name, weight in zip(self.member_names_, self.weights_, strict=True):
            if weight > 0.0:
                modality, learner = name.split("/")
                positive.setdefault(modality, {})[learner] = self.candidates_[name]
        for modality, candidates in positive.items():
            members, coefficients = fit_members(
                usable[modality], known, left_over, candidates, self.seed, self.quick,
                self.core_[modality], people,
            )  # fmt: skip
            if known is not None:
                self.partial_[modality] = coefficients
            self.members_ |= {f"{modality}/{name}": member for name, member in members.items()}

    def predict(self, X: pd.DataFrame) -> Floats:
        """Predict hemoglobin in g/dL for rows of a feature table.

        Parameters
        ----------
        X
            Table with the columns of training; others are ignored.

        Returns
        -------
        ndarray
            ``(rows,)``.

        Raises
        ------
        FeatureTableError
            A column of training is absent or not numeric.
        """
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(self, "weights_")
        demographics = None
        if DEMOGRAPHICS in self.columns_:
            demographics = matrix(X, self.columns_[DEMOGRAPHICS])
        rows = np.arange(len(X))
        total = offset_of(self.offset_, demographics, rows) + self.intercept_
        weights = dict(zip(self.member_names_, self.weights_, strict=True))
        inputs: dict[str, Floats] = {}
        for name, member in self.members_.items():
            modality = name.split("/")[0]
            if modality not in inputs:
                inputs[modality] = matrix(X, self.columns_[modality])
                if demographics is not None:
                    inputs[modality] = without_demographics(
                        inputs[modality],
                        without_gaps(self.offset_, demographics),
                        self.partial_[modality],
                    )
            deviation = predict_member(
                name.split("/")[1], member, inputs[modality], self.core_[modality], self.bounds_
            )
            total = total + weights[name] * deviation
        return np.asarray(total, dtype=np.float64)

    def without_training_rows(self) -> FusedRegressor:
        """Return a copy that predicts the same and holds no value of a single training row.

        Left out are `inner_folds_`, `oof_` and `oof_prediction_`, and the scores of rows and
        outcomes that partial least squares keeps. (A support vector machine still holds some
        of its training rows, as standardized components.)
        """
        from sklearn.pipeline import Pipeline

        lean: FusedRegressor = _without(self, "inner_folds_", "oof_", "oof_prediction_")
        lean.members_ = {}
        for name, member in self.members_.items():
            (_, prepared), (_, learner) = member.steps
            slim = _without(learner, "_x_scores", "_y_scores", "x_scores_", "y_scores_")
            lean.members_[name] = Pipeline([("prepare", prepared), ("learner", slim)])
        return lean


def _canonical_order(data: Mapping[str, Matrix], y: Floats) -> NDArray[np.intp]:
    """Order rows by a hash of what they hold, so that the order of the file cannot matter."""
    digests: list[bytes] = []
    for start in range(0, len(y), _ROWS_AT_A_TIME):
        rows = slice(start, start + _ROWS_AT_A_TIME)
        table = np.column_stack([y[rows], *(values[rows] for values in data.values())])
        digests += [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in table]
    return np.asarray(sorted(range(len(y)), key=digests.__getitem__), dtype=np.intp)


def _without(fitted: Any, *names: str) -> Any:
    from copy import copy

    lean = copy(fitted)
    for name in names:
        lean.__dict__.pop(name, None)
    return lean
