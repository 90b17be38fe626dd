"""What every estimate starts from: what sex and age say, or the mean."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def fit_offset(demographics: Floats | None, y: Floats, rows: NDArray[np.intp]) -> Any:
    """Fit the offset on some rows.

    Parameters
    ----------
    demographics
        ``(all rows, d)``, NaN where unknown (the training mean stands in); None for the mean.
    y
        Outcome in g/dL, ``(all rows,)``.
    rows
        Positions to fit on.

    Returns
    -------
    estimator
        Ordinary least squares on the demographics, or the mean of y.
    """
    from sklearn.dummy import DummyRegressor
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline

    if demographics is None:
        return DummyRegressor(strategy="mean").fit(np.zeros((len(rows), 1)), y[rows])
    imputer = SimpleImputer(strategy="mean", keep_empty_features=True)
    return make_pipeline(imputer, LinearRegression()).fit(demographics[rows], y[rows])


def offset_of(base: Any, demographics: Floats | None, rows: NDArray[np.intp]) -> Floats:
    """Return the offset of some rows in g/dL; parameters as in `fit_offset`."""
    values = np.zeros((len(rows), 1)) if demographics is None else demographics[rows]
    return np.asarray(base.predict(values), dtype=np.float64)


def without_gaps(base: Any, demographics: Floats) -> Floats:
    """Return the demographics with gaps filled as the offset fills them."""
    return np.asarray(base[0].transform(demographics), dtype=np.float64)
