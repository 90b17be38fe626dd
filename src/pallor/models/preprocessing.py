"""From table columns to matrices, and what is done to a matrix before a learner sees it.

Everything here that learns (medians, variances, components, the regression on sex and age)
is fitted on training rows alone and then applied; nothing looks at a whole table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pallor.errors import FeatureTableError

if TYPE_CHECKING:
    import pandas as pd

DEMOGRAPHICS = "demographics"
DEMOGRAPHIC_COLUMNS = ("demographics.sex", "demographics.age_years", "demographics.sex_x_age")
MAX_COMPONENTS = 64
_ROWS_AT_A_TIME = 4096


def demographic_features(table: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of the ``demographics`` modality.

    Parameters
    ----------
    table
        A feature or cohort table with ``sex`` (``female`` or ``male``) and ``age_years``
        where known.

    Returns
    -------
    pandas.DataFrame
        ``demographics.sex`` (0 female, 1 male), ``demographics.age_years`` and their product
        ``demographics.sex_x_age``, float64, same index; NaN where unknown.

    Raises
    ------
    FeatureTableError
        The table has neither column.
    """
    import pandas as pd

    if "sex" not in table and "age_years" not in table:
        raise FeatureTableError(
            "demographics were asked for, but the table has neither a column sex nor age_years: "
            "add them to the cohort table, or leave demographics out"
        )
    unknown = pd.Series(np.nan, index=table.index)
    sex = table.get("sex", unknown).map({"female": 0.0, "male": 1.0}).astype("float64")
    age = table.get("age_years", unknown).astype("float64")
    columns = dict(zip(DEMOGRAPHIC_COLUMNS, (sex, age, sex * age), strict=True))
    return pd.DataFrame(columns, index=table.index)


def with_demographics(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with the columns of `demographic_features`, replaced where present."""
    import pandas as pd

    rest = table.drop(columns=[name for name in DEMOGRAPHIC_COLUMNS if name in table.columns])
    joined = pd.concat([rest, demographic_features(table)], axis=1)
    joined.attrs = dict(table.attrs)
    return joined


def columns_of(names: Sequence[str], modality: str) -> list[str]:
    """Return those names that belong to a modality, in the order given."""
    return [str(name) for name in names if str(name).startswith(f"{modality}.")]


def matrix(table: pd.DataFrame, columns: Sequence[str]) -> NDArray[np.float64]:
    """Return columns of a table as ``(rows, columns)`` float64; infinite becomes NaN.

    Raises
    ------
    FeatureTableError
        A column is absent or not numeric.
    """
    return _filled(table, columns, np.float64)


def lean_matrix(
    table: pd.DataFrame, columns: Sequence[str]
) -> NDArray[np.float64] | NDArray[np.float32]:
    """Return what `matrix` does, in float32 where all columns are float32: half the memory."""
    kinds = set(table.dtypes[[name for name in columns if name in table.columns]])
    return _filled(table, columns, np.float32 if kinds == {np.dtype(np.float32)} else np.float64)


def _filled(table: pd.DataFrame, columns: Sequence[str], kind: Any) -> NDArray[Any]:
    absent = [name for name in columns if name not in table.columns]
    if absent:
        raise FeatureTableError(
            f"{len(absent)} of {len(columns)} features are absent, the first is {absent[0]}: "
            "extract the clips with the modalities and settings that the model was trained with"
        )
    values = np.empty((len(table), len(columns)), dtype=kind, order="F")
    # Piece by piece, since each step on the way makes a copy.
    for start in range(0, len(table), _ROWS_AT_A_TIME):
        rows = slice(start, start + _ROWS_AT_A_TIME)
        try:
            piece = table.iloc[rows][list(columns)].to_numpy(dtype=kind, na_value=np.nan)
        except (TypeError, ValueError) as error:
            raise FeatureTableError(f"a feature column does not hold numbers: {error}") from error
        values[rows] = np.where(np.isfinite(piece), piece, np.nan)
    return values


def varying_columns(values: NDArray[np.floating[Any]]) -> int:
    """Count the columns of ``(rows, columns)`` that hold two different numbers (NaN aside)."""
    if values.size == 0:
        return 0
    return int(np.count_nonzero(np.fmax.reduce(values, axis=0) > np.fmin.reduce(values, axis=0)))


def partial_out(
    train: NDArray[np.float64], demographics: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Fit the least-squares regression of every feature on the demographics.

    A target from which sex and age have been removed must be explained by features from
    which they have been removed too; otherwise a feature that mixes blood and sex is diluted
    (Frisch and Waugh, Econometrica 1933;1:387; Lovell, J Am Stat Assoc 1963;58:993).

    Parameters
    ----------
    train
        Features of the training rows, ``(n, p)``; NaN count as the column's median.
    demographics
        Their demographics without gaps, ``(n, d)``.

    Returns
    -------
    ndarray
        Coefficients ``(d + 1, p)``, the intercept first; zeros for a column without values.
    """
    gaps = np.isnan(train)
    filled = np.where(gaps, 0.0, train)
    holed = gaps.any(axis=0) & ~gaps.all(axis=0)
    if holed.any():
        medians = np.nanmedian(train[:, holed], axis=0)
        filled[:, holed] = np.where(gaps[:, holed], medians, train[:, holed])
    return np.asarray(np.linalg.lstsq(_design(demographics), filled, rcond=None)[0], np.float64)


def without_demographics(
    values: NDArray[np.float64],
    demographics: NDArray[np.float64],
    coefficients: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Subtract what `partial_out` found; shapes as there, NaN stays NaN.

    What is left of a column that sex and age determine, or that is constant, is rounding;
    scaling would blow it up to a feature. Below the precision of float32 features it is zero.
    """
    fitted = _design(demographics) @ coefficients
    rest = values - fitted
    rounding = np.abs(rest) < 1e-7 * (np.abs(values) + np.abs(fitted))
    return np.asarray(np.where(rounding, 0.0, rest), dtype=np.float64)


def _design(demographics: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.column_stack([np.ones(len(demographics)), demographics])


def _raw(_train: NDArray[np.float64], _seed: int) -> list[Any]:
    return ["passthrough"]


def _imputed(_train: NDArray[np.float64], _seed: int) -> list[Any]:
    from sklearn.feature_selection import VarianceThreshold
    from sklearn.impute import SimpleImputer

    return [SimpleImputer(strategy="median", keep_empty_features=True), VarianceThreshold()]


def _standardized(train: NDArray[np.float64], seed: int) -> list[Any]:
    from sklearn.preprocessing import StandardScaler

    return [*_imputed(train, seed), StandardScaler()]


def _components(train: NDArray[np.float64], seed: int) -> list[Any]:
    from sklearn.decomposition import PCA

    varying = varying_columns(train)
    most = max(1, min(MAX_COMPONENTS, len(train) // 5))
    steps = _standardized(train, seed)
    return [*steps, PCA(n_components=most, random_state=seed)] if varying > most else steps


PREPARATIONS: dict[str, Callable[[NDArray[np.float64], int], list[Any]]] = {
    "raw": _raw,
    "imputed": _imputed,
    "standardized": _standardized,
    "components": _components,
}
"""Steps before a learner: ``(training matrix, seed) -> [transformer, ...]``, not yet fitted.

``raw`` leaves NaN to the learner; ``imputed`` fills with training medians and drops what is
constant; ``standardized`` also scales; ``components`` then, where columns are many, keeps
``min(64, rows / 5)`` principal components.
"""


def prepare(kind: str, train: NDArray[np.float64], seed: int) -> Any:
    """Fit a preparation on training rows.

    Parameters
    ----------
    kind
        A name in `PREPARATIONS`.
    train
        ``(n, p)``; at least one column must vary (`varying_columns`).
    seed
        For the randomized solver of the principal components.

    Returns
    -------
    sklearn.pipeline.Pipeline
        Fitted; its ``transform`` takes ``(rows, p)``.
    """
    from sklearn.pipeline import make_pipeline

    return make_pipeline(*PREPARATIONS[kind](train, seed)).fit(train)
