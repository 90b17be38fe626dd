"""What looks too good to be blood: labels among the features, and labels of a doubtful kind.

A label that has found its way into the features (hemoglobin itself, its rank, a code of it, the
row number of a file sorted by it) makes every score worthless, and no split shows it. It can
be told by being too good: two laboratory analyzers of the same blood hardly agree better than
`TOO_GOOD`, so no property of skin can.

What is found here is said and nothing else: no column is dropped and no model is changed, since
that would be a choice made with the outcomes of those who are scored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

TOO_GOOD: Final = 0.98
"""Correlation with hemoglobin, or R2, above which a single column or a model is not believed."""
MIN_COMPONENTS: Final = 20
"""With fewer independent participants who have a value nothing is said of a column."""
OPTICAL_METHODS: Final = ("spco_oximeter",)
"""Reference methods that look through the skin themselves."""
_NAMED: Final = 5
_COLUMNS_AT_ONCE: Final = 256


def suspicious_columns(
    table: pd.DataFrame, outcome: ArrayLike, components: ArrayLike
) -> tuple[str, ...]:
    """List the columns that alone tell hemoglobin implausibly well.

    Parameters
    ----------
    table
        Feature columns, ``(rows, columns)``; NaN where undefined.
    outcome
        Hemoglobin, g/dL, ``(rows,)``.
    components
        Component of each row, ``(rows,)``; clips of one component with the same outcome are
        averaged, so that no participant vouches for themselves.

    Returns
    -------
    Names in the order of the table. A column is named if, over at least `MIN_COMPONENTS`
    components, one of these correlations with hemoglobin is above `TOO_GOOD`: that of its values
    or that of their ranks (either sign), or that of an estimate from the others nearest to each
    value. The last finds functions that are not monotone, and codes.
    """
    y, group = np.asarray(outcome, dtype=np.float64), np.asarray(components)
    _, component = np.unique(group, return_inverse=True)
    pairs = np.column_stack([component.astype(np.float64), y])
    _, first, unit = np.unique(pairs, axis=0, return_index=True, return_inverse=True)
    unit = np.asarray(unit, dtype=np.intp).reshape(-1)
    y, component = y[first], np.asarray(component[first], dtype=np.intp)
    names = [str(name) for name in table.columns]
    found = []
    for start in range(0, len(names), _COLUMNS_AT_ONCE):
        block = table.iloc[:, start : start + _COLUMNS_AT_ONCE]
        means = _means(block.to_numpy(dtype=np.float64, na_value=np.nan), unit)
        found += [
            name
            for name, values in zip(names[start:], means.T, strict=False)
            if _gives_away(values, y, component)
        ]
    return tuple(found)


def _means(values: FloatArray, unit: IntArray) -> FloatArray:
    """Average the finite values of each unit, ``(units, columns)``."""
    order = np.argsort(unit, kind="stable")
    starts = np.searchsorted(unit[order], np.arange(int(unit.max(initial=-1)) + 1))
    known = np.isfinite(values)
    total = np.add.reduceat(np.where(known, values, 0.0)[order], starts)
    number = np.add.reduceat(known[order].astype(np.float64), starts)
    return np.asarray(total / np.where(number > 0, number, np.nan))


def _gives_away(values: FloatArray, y: FloatArray, component: IntArray) -> bool:
    known = np.isfinite(values)
    x, y, component = values[known], y[known], component[known]
    if _different(component) < MIN_COMPONENTS:
        return False
    order, code = _sorted(x)
    if max(abs(_r(x, y)), abs(_r(_midranks(code), _midranks(_sorted(y)[1])))) > TOO_GOOD:
        return True
    near, has_equal = _from_others(order, code, y, component)
    if _r(near, y) > TOO_GOOD:
        return True
    enough = _different(component[has_equal]) >= MIN_COMPONENTS
    return enough and _r(near[has_equal], y[has_equal]) > TOO_GOOD


def _different(component: IntArray) -> int:
    return int(np.count_nonzero(np.bincount(component)))


def _sorted(x: FloatArray) -> tuple[IntArray, IntArray]:
    """Return the order of the values, and the number of each value among the different ones."""
    order = np.argsort(x, kind="stable")
    code = np.zeros(len(x), dtype=np.intp)
    code[order[1:]] = np.cumsum(np.diff(x[order]) > 0)
    return order, code


def _midranks(code: IntArray) -> FloatArray:
    number = np.bincount(code)
    return np.asarray((np.cumsum(number) - (number - 1) / 2)[code], dtype=np.float64)


def _from_others(
    order: IntArray, code: IntArray, y: FloatArray, component: IntArray
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Estimate each outcome from those of other components with the nearest values.

    Returns
    -------
    The mean outcome of the others that share the value, or else of the next below and the next
    above; and who shares it with others.
    """
    # Of neighbors in order of value, runs of one component count as one place.
    ranked, who, size = y[order], component[order], len(y)
    place = np.arange(size)
    starts = np.concatenate([[True], who[1:] != who[:-1]])
    ends = np.concatenate([starts[1:], [True]])
    before = np.maximum.accumulate(np.where(starts, place, 0)) - 1
    after = np.minimum.accumulate(np.where(ends, place, size)[::-1])[::-1] + 1
    below = np.where(before >= 0, before, np.minimum(after, size - 1))
    above = np.where(after < size, after, np.maximum(before, 0))
    near = np.empty_like(y)
    near[order] = (ranked[below] + ranked[above]) / 2.0
    if int(code[order[-1]]) == size - 1:
        return near, np.zeros(size, dtype=np.bool_)
    own = np.unique(code * (int(component.max()) + 1) + component, return_inverse=True)[1]
    total = np.bincount(code, weights=y)[code] - np.bincount(own, weights=y)[own]
    number = np.bincount(code)[code] - np.bincount(own)[own]
    return np.where(number > 0, total / np.maximum(number, 1), near), number > 0


def _r(a: FloatArray, b: FloatArray) -> float:
    """Pearson correlation; 0 where a side does not vary."""
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / norm if norm > 0.0 else 0.0


def suspicion_notes(
    columns: Sequence[str], models: Iterable[Mapping[str, Any]], table: pd.DataFrame
) -> list[str]:
    """Say what makes the scores doubtful, one sentence or two each.

    Parameters
    ----------
    columns
        Of `suspicious_columns`.
    models
        Entries of the table of models, with ``name`` and ``r2``.
    table
        The rows that are scored, with the cohort's columns.
    """
    notes = []
    if columns:
        named = ", ".join(columns[:_NAMED])
        more = f" and {len(columns) - _NAMED} more" if len(columns) > _NAMED else ""
        notes.append(
            f"Warning: {named}{more} alone tell hemoglobin better than two laboratory analyzers"
            f" agree (correlation above {TOO_GOOD}). A label has probably found its way into the"
            " features: find out where these columns come from, and believe no score before."
        )
    good = [str(entry["name"]) for entry in models if entry["r2"]["value"] > TOO_GOOD]
    if good:
        more = f" and {len(good) - 1} more" if len(good) > 1 else ""
        notes.append(
            f"Warning: the R2 of {good[0]}{more} is above {TOO_GOOD}. Look for a label among the"
            " features, in one column or in several together."
        )
    return notes + _label_notes(table)


def _label_notes(table: pd.DataFrame) -> list[str]:
    if "reference_method" not in table.columns:
        return []
    counted = {str(k): int(n) for k, n in table["reference_method"].value_counts().items()}
    notes = []
    optical = sum(counted.get(name, 0) for name in OPTICAL_METHODS)
    if optical:
        notes.append(
            f"Hemoglobin of {optical} of {len(table)} clips comes from a pulse CO-oximeter, itself"
            " an estimate from light through the skin (standard deviation of its differences from"
            " a laboratory 1.4 g/dL, Hiscock et al. 2015): models may agree with its errors rather"
            " than with blood."
        )
    if len(counted) > 1:
        methods = ", ".join(f"{name} {count}" for name, count in sorted(counted.items()))
        notes.append(
            f"Hemoglobin was measured by several methods (clips: {methods}). What they differ by"
            " counts as error, or is learned where the method goes with site, camera or light."
        )
    return notes
