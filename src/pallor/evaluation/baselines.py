"""What is known without looking: predictions from sex, age and body mass index alone.

A measured face is worth what it adds to these. Each baseline learns from the units of
the training part alone. Where single units lack sex or age, the training part fills them:
an unknown sex gets the mean of all (``sex``) or the training share of men (``sex_age``), an
unknown age or body mass index the training median.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Baseline:
    """A prediction that needs no clip.

    Attributes
    ----------
    name
        ``mean``, ``sex``, ``sex_age`` or ``sex_age_bmi``.
    needs
        Columns without which it is left out.
    description
        For tables and reports.
    predict
        ``(training units, their hemoglobin, test units) -> predictions`` in g/dL.
    """

    name: str
    needs: tuple[str, ...]
    description: str
    predict: Callable[[pd.DataFrame, FloatArray, pd.DataFrame], FloatArray]


def male(units: pd.DataFrame) -> FloatArray:
    """0 for female, 1 for male, NaN where sex is neither or unknown, ``(units,)``."""
    return np.asarray(
        units["sex"].map({"female": 0.0, "male": 1.0}).to_numpy(dtype=np.float64, na_value=np.nan)
    )


def age(units: pd.DataFrame) -> FloatArray:
    """Age in years as float64, NaN where unknown, ``(units,)``."""
    return np.asarray(units["age_years"].to_numpy(dtype=np.float64, na_value=np.nan))


def bmi(units: pd.DataFrame) -> FloatArray:
    """Body mass index in kg/m2 as float64, NaN where unknown, ``(units,)``."""
    return np.asarray(units["bmi"].to_numpy(dtype=np.float64, na_value=np.nan))


def predict_mean(train: pd.DataFrame, outcome: FloatArray, test: pd.DataFrame) -> FloatArray:
    """Predict the mean of the training part for everyone."""
    del train
    return np.full(len(test), outcome.mean())


def predict_sex(train: pd.DataFrame, outcome: FloatArray, test: pd.DataFrame) -> FloatArray:
    """Predict the training mean of the same sex, of all where sex is unknown or unseen."""
    known, asked = male(train), male(test)
    predicted = np.full(len(test), outcome.mean())
    for value in (0.0, 1.0):
        if np.any(known == value):
            predicted[asked == value] = outcome[known == value].mean()
    return predicted


def predict_sex_age(train: pd.DataFrame, outcome: FloatArray, test: pd.DataFrame) -> FloatArray:
    """Least squares on sex, age and their product, with an intercept."""
    return _least_squares(train, outcome, test, ())


def predict_sex_age_bmi(train: pd.DataFrame, outcome: FloatArray, test: pd.DataFrame) -> FloatArray:
    """Least squares on sex, age, their product and the body mass index, with an intercept."""
    return _least_squares(train, outcome, test, (bmi,))


def _least_squares(
    train: pd.DataFrame,
    outcome: FloatArray,
    test: pd.DataFrame,
    others: tuple[Callable[[pd.DataFrame], FloatArray], ...],
) -> FloatArray:
    # Where the training part cannot tell the terms apart (one sex only, say), the solution of
    # least norm is taken.
    known_sex = male(train)
    fill_sex = float(np.nanmean(known_sex)) if np.isfinite(known_sex).any() else 0.5
    numbers = (age, *others)
    fills = [_median(number(train)) for number in numbers]

    def design(units: pd.DataFrame) -> FloatArray:
        known = male(units)
        sex = np.where(np.isfinite(known), known, fill_sex)
        # Tens about the training median: the columns stay well conditioned.
        tens = []
        for number, fill in zip(numbers, fills, strict=True):
            values = number(units)
            tens.append((np.where(np.isfinite(values), values, fill) - fill) / 10.0)
        return np.stack([np.ones_like(sex), sex, *tens, sex * tens[0]], axis=1)

    weights = np.linalg.lstsq(design(train), outcome, rcond=None)[0]
    return np.asarray(design(test) @ weights, dtype=np.float64)


def _median(values: FloatArray) -> float:
    return float(np.nanmedian(values)) if np.isfinite(values).any() else 0.0


BASELINES: Mapping[str, Baseline] = MappingProxyType(
    {
        baseline.name: baseline
        for baseline in (
            Baseline("mean", (), "mean of the training part", predict_mean),
            Baseline("sex", ("sex",), "mean of the same sex in the training part", predict_sex),
            Baseline(
                "sex_age",
                ("sex", "age_years"),
                "linear in sex, age and sex x age",
                predict_sex_age,
            ),
            Baseline(
                "sex_age_bmi",
                ("sex", "age_years", "bmi"),
                "linear in sex, age, sex x age and body mass index",
                predict_sex_age_bmi,
            ),
        )
    }
)
"""Baselines by name, in order of what they know."""

REFERENCE: Final = "baseline:sex_age"
"""Among the predictions of an evaluation, what a face must add to."""


def lacking(baseline: Baseline, units: pd.DataFrame) -> list[str]:
    """Columns that the baseline needs and that are absent or hold nothing usable."""
    usable = {
        "sex": lambda: bool(np.isfinite(male(units)).any()),
        "age_years": lambda: bool(np.isfinite(age(units)).any()),
        "bmi": lambda: bool(np.isfinite(bmi(units)).any()),
    }
    return [name for name in baseline.needs if name not in units.columns or not usable[name]()]
