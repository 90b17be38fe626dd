"""The base learners, and the named regressors that are made of them.

A learner is built for a matrix of a given shape and comes with a small grid of candidates;
which candidate is taken is decided by grouped inner folds (`pallor.models.fusion`), never by
the rows that are scored. The targets that learners see are deviations in g/dL from the mean
or from what sex and age say, so all of them start from zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Candidate = Mapping[str, Any]


@dataclass(frozen=True)
class Size:
    """What a learner may know before it is built.

    Attributes
    ----------
    rows, columns
        Shape of its training matrix after preparation.
    quick
        Fewer trees.
    groups
        How many of the rows are independent of one another: people, not clips. All where None.
    draft
        Whether the fit only serves to weigh learners (inner folds). A forest's mean error
        hardly changes between a hundred trees and more, its time does.
    """

    rows: int
    columns: int
    quick: bool = False
    groups: int | None = None
    draft: bool = False

    @property
    def trees(self) -> int:
        """How many trees a forest gets."""
        if self.quick:
            return 60
        return 100 if self.draft else 300

    @property
    def share(self) -> float:
        """Rows that are worth as many as there are people, relative to all, above 0 up to 1.

        Clips of one person are nearly copies of one another. A tree that draws as many rows as
        there are people sees each about once, learns as much, differs more from the next tree,
        and takes a fraction of the time.
        """
        return 1.0 if self.groups is None else min(1.0, self.groups / self.rows)


@dataclass(frozen=True)
class Learner:
    """A base learner.

    Attributes
    ----------
    preparation
        Name in `pallor.models.preprocessing.PREPARATIONS` of the steps before it.
    build
        ``(size, seed, n_jobs, candidate) -> estimator``, not fitted.
    grid
        Candidates for tuning; the first is the default, which is taken where nothing is tuned.
    most_rows
        The training rows are thinned to about so many, people evenly (`thinned`); None for all.
    core
        Whether it sees the core columns alone (`pallor.models.core`); a modality without core
        columns has no such member.
    """

    preparation: str
    build: Callable[[Size, int, int, Candidate], Any]
    grid: tuple[Candidate, ...]
    core: bool = False
    most_rows: int | None = None


def thinned(groups: NDArray[np.integer], most: int | None, seed: int) -> NDArray[np.intp]:
    """Choose rows so that about ``most`` are left, as many of each group as of any other.

    Parameters
    ----------
    groups
        Whose each row is, ``(rows,)``.
    most
        How many rows; all are kept where there are no more, or it is None. At least one of each
        group is kept.
    seed
        Of the draw among the rows of a group.

    Returns
    -------
    ndarray
        Positions, ascending.
    """
    if most is None or len(groups) <= most:
        return np.arange(len(groups))
    shuffled = np.random.default_rng(seed).permutation(len(groups))
    by_group = shuffled[np.argsort(groups[shuffled], kind="stable")]
    _, first, counts = np.unique(groups[by_group], return_index=True, return_counts=True)
    rank = np.arange(len(groups)) - np.repeat(first, counts)
    each = max(1, most // len(first))
    return np.sort(by_group[rank < each])


def _columns_a_split(size: Size) -> int:
    # A third of the columns (Breiman, Mach Learn 2001;45:5, for regression), but no more than
    # 40: an embedding has thousands, nearly copies of each other, and the time grows with them.
    return max(1, min(40, -(-size.columns // 3)))


def _xgboost(size: Size, seed: int, n_jobs: int, candidate: Candidate) -> Any:
    from xgboost import XGBRegressor

    return XGBRegressor(
        n_estimators=100 if size.quick else 200,
        learning_rate=0.08 if size.quick else 0.06,
        tree_method="hist",
        max_bin=64,
        subsample=0.8 * size.share,
        colsample_bytree=min(0.5, max(150.0, 0.02 * size.columns) / size.columns),
        min_child_weight=3.0,
        reg_lambda=5.0,
        base_score=0.0,
        n_jobs=n_jobs,
        random_state=seed,
        **candidate,
    )


def _random_forest(size: Size, seed: int, n_jobs: int, candidate: Candidate) -> Any:
    from sklearn.ensemble import RandomForestRegressor

    return RandomForestRegressor(
        n_estimators=size.trees,
        max_features=_columns_a_split(size),
        max_samples=None if size.share == 1.0 else size.share,
        n_jobs=n_jobs,
        random_state=seed,
        **candidate,
    )


def _extra_trees(size: Size, seed: int, n_jobs: int, candidate: Candidate) -> Any:
    from sklearn.ensemble import ExtraTreesRegressor

    # Whole trees see all rows, as Geurts et al. have it, unless people have several each.
    return ExtraTreesRegressor(
        n_estimators=size.trees,
        max_features=_columns_a_split(size),
        bootstrap=size.share < 1.0,
        max_samples=None if size.share == 1.0 else size.share,
        n_jobs=n_jobs,
        random_state=seed,
        **candidate,
    )


def _svr(_size: Size, _seed: int, _n_jobs: int, candidate: Candidate) -> Any:
    from sklearn.svm import SVR

    return SVR(kernel="rbf", gamma="scale", epsilon=0.2, **candidate)


def _ridge(size: Size, _seed: int, _n_jobs: int, candidate: Candidate) -> Any:
    from sklearn.linear_model import Ridge

    # The penalty is stated for one row and one column: on standardized columns the
    # eigenvalues of the Gram matrix grow with both.
    shrinkage = float(candidate["shrinkage"])
    return Ridge(alpha=shrinkage * size.rows)


def _pls(size: Size, _seed: int, _n_jobs: int, candidate: Candidate) -> Any:
    from sklearn.cross_decomposition import PLSRegression

    most = min(int(candidate["n_components"]), size.rows - 1, size.columns)
    return PLSRegression(n_components=max(1, most), scale=False)


def _chromophore(size: Size, _seed: int, _n_jobs: int, candidate: Candidate) -> Any:
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    # Few columns: squares and products can be afforded where the grid finds that they help.
    return make_pipeline(
        PolynomialFeatures(degree=int(candidate["degree"]), include_bias=False),
        StandardScaler(),
        Ridge(alpha=float(candidate["shrinkage"]) * size.rows),
    )


WIDE_COLUMNS = 1000
"""Above this a modality's columns are nearly copies of one another (pooled embeddings), and no
learner gets them as they are: trees would search thousands of them at every node."""


def preparation_of(learner: Learner, columns: int) -> str:
    """Name the preparation of a learner for a modality of so many columns.

    Where a modality is wide, what works on single columns works on its principal components,
    as all other learners do.
    """
    single = learner.preparation in ("raw", "imputed")
    return "components" if single and columns > WIDE_COLUMNS else learner.preparation


LEARNERS: dict[str, Learner] = {
    # Half the time of boosting on many clips is sorting them into bins.
    "xgboost": Learner("raw", _xgboost, ({"max_depth": 3}, {"max_depth": 1}), most_rows=1000),
    "random_forest": Learner("imputed", _random_forest, ({"min_samples_leaf": 4},)),
    "extra_trees": Learner("imputed", _extra_trees, ({"min_samples_leaf": 4},)),
    # A kernel machine's time grows with the square of its rows.
    "svr": Learner("components", _svr, ({"C": 1.0}, {"C": 0.3}, {"C": 4.0}), most_rows=1000),
    "ridge": Learner(
        "components",
        _ridge,
        ({"shrinkage": 1.0}, {"shrinkage": 0.01}, {"shrinkage": 0.1}, {"shrinkage": 10.0}),
    ),
    "pls": Learner(
        "standardized",
        _pls,
        ({"n_components": 2}, {"n_components": 1}, {"n_components": 4}, {"n_components": 8}),
    ),
    "chromophore": Learner(
        "standardized",
        _chromophore,
        (
            {"degree": 1, "shrinkage": 0.01},
            {"degree": 1, "shrinkage": 0.001},
            {"degree": 1, "shrinkage": 0.1},
            {"degree": 2, "shrinkage": 0.01},
            {"degree": 2, "shrinkage": 0.1},
            {"degree": 2, "shrinkage": 1.0},
        ),
        core=True,
    ),
}
"""Base learners by name."""

REGRESSORS: dict[str, tuple[str, ...]] = {
    "xgboost": ("xgboost",),
    "random_forest": ("random_forest",),
    "stacking": ("random_forest", "xgboost", "extra_trees", "svr", "ridge", "pls", "chromophore"),
}
"""The regressors that users name: which learners each modality gets."""
