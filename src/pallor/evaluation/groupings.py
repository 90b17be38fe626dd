"""Groups among which a model is compared: sex, age, skin tone, camera, site.

Nobody is dropped: who cannot be placed is in the group ``unknown``, so the units of the
groups of one grouping add up to all.
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
Labels = NDArray[np.object_]

UNKNOWN: Final = "unknown"
SEVERAL: Final = "several"
"""Where the clips of one unit differ (two cameras in one session)."""
UNPLACED: Final = (UNKNOWN, SEVERAL)
"""Labels that name no group of people; never compared with others."""

AGE_BANDS: Final = ((18.0, "<18"), (40.0, "18-39"), (60.0, "40-59"), (np.inf, ">=60"))
"""Upper bound in years (exclusive) and name."""

ITA_COLUMN: Final = "ita_deg"
ITA_PLACES: Final[tuple[tuple[str, ...], ...]] = (
    ("left_cheek", "right_cheek"),
    ("forehead",),
    ("left_cheek",),
    ("right_cheek",),
    ("chin",),
    ("nose",),
)
"""Where the skin tone of a clip is taken from, in this order; of several places the mean.

Both cheeks first: light from one side moves the angle of each by more than a class, in
opposite directions. Lips, lids, sclera and region stills (conjunctiva, nail) have no skin
tone in this sense.
"""


@dataclass(frozen=True)
class Grouping:
    """One way of dividing the units.

    Attributes
    ----------
    name
        In the results.
    column
        Column of the units that it looks at.
    label
        Values of that column to group names, ``(units,)``.
    order
        Names in the order in which they are listed; others follow in alphabetical order.
    note
        What a reader must know about it.
    title
        In sentences; the name where empty.
    """

    name: str
    column: str
    label: Callable[[pd.Series], Labels]
    order: tuple[str, ...] = ()
    note: str = ""
    title: str = ""


def _numbers(values: pd.Series) -> FloatArray:
    return np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan))


def label_sex(values: pd.Series) -> Labels:
    """``female`` or ``male``; ``unknown`` for anything else."""
    known = values.isin(["female", "male"]).to_numpy(dtype=np.bool_)
    return np.where(known, values.astype(object).to_numpy(), UNKNOWN).astype(object)


def label_age(values: pd.Series) -> Labels:
    """Age band of `AGE_BANDS` from years; ``unknown`` where missing."""

    def band(years: float) -> str:
        return next((name for bound, name in AGE_BANDS if years < bound), UNKNOWN)

    return np.array([band(years) for years in _numbers(values)], dtype=object)


def label_ita(values: pd.Series) -> Labels:
    """Skin tone class from an individual typology angle in degrees; ``unknown`` where NaN.

    Classes of Chardon et al. (Int J Cosmet Sci 1991;13:191) in the version with six of Del
    Bino and Bernerd (Br J Dermatol 2013;169 s3:33), see ``ita_category``.
    """
    from pallor.features.colorspace import ita_category

    return np.array([ita_category(degrees) or UNKNOWN for degrees in _numbers(values)], object)


def label_text(values: pd.Series) -> Labels:
    """Return the value itself as text; ``unknown`` where missing or empty."""
    missing = values.isna().to_numpy(dtype=np.bool_) | (values.astype(str) == "").to_numpy()
    return np.where(missing, UNKNOWN, values.astype(str).to_numpy(dtype=object)).astype(object)


GROUPINGS: Mapping[str, Grouping] = MappingProxyType(
    {
        grouping.name: grouping
        for grouping in (
            Grouping("sex", "sex", label_sex, ("female", "male")),
            Grouping("age", "age_years", label_age, tuple(name for _, name in AGE_BANDS)),
            Grouping(
                "ita",
                ITA_COLUMN,
                label_ita,
                ("very_light", "light", "intermediate", "tan", "brown", "dark"),
                "The individual typology angle comes from uncalibrated pixels: it is the"
                " camera's and the light's as much as the skin's. Groups may be shifted by one"
                " class or more, and paler blood looks like lighter skin.",
                "skin tone",
            ),
            Grouping("camera", "camera", label_text),
            Grouping("site", "site", label_text),
        )
    }
)
"""Groupings by name; a new one is one entry here."""


def labels_of(grouping: Grouping, units: pd.DataFrame) -> Labels:
    """Name the group of each unit.

    Parameters
    ----------
    grouping
        One of `GROUPINGS`.
    units
        One row a unit. Without the grouping's column all are ``unknown``.

    Returns
    -------
    ``(units,)`` of str.
    """
    if grouping.column not in units.columns:
        return np.full(len(units), UNKNOWN, dtype=object)
    return grouping.label(units[grouping.column])


def group_names(grouping: Grouping, labels: Labels) -> list[str]:
    """List the groups that occur, in the grouping's order, those not placed last."""
    place = {name: index for index, name in enumerate(grouping.order)}
    return sorted(
        {str(label) for label in labels},
        key=lambda name: (name in UNPLACED, place.get(name, len(place)), name),
    )


def ita_of_rows(table: pd.DataFrame) -> FloatArray:
    """Individual typology angle of each clip, from the camera's pixels.

    Parameters
    ----------
    table
        Feature table; its columns ``color.{region}.ita.of_means`` are medians over the
        samples of a clip.

    Returns
    -------
    Degrees, ``(rows,)``: the first of `ITA_PLACES` that is known; NaN where none is.
    """

    def angle(region: str) -> FloatArray:
        column = f"color.{region}.ita.of_means"
        if column not in table.columns:
            return np.full(len(table), np.nan)
        return _numbers(table[column])

    degrees = np.full(len(table), np.nan)
    for places in ITA_PLACES:
        mean = np.mean([angle(region) for region in places], axis=0)
        degrees = np.where(np.isnan(degrees), mean, degrees)
    return degrees


def unit_attributes(table: pd.DataFrame, unit: NDArray[np.intp]) -> pd.DataFrame:
    """Gather what the groupings need beyond ``units_of_table``.

    Parameters
    ----------
    table
        Feature or cohort table, one row a clip.
    unit
        Unit of each row, ``(rows,)`` of ``unit_of_rows``.

    Returns
    -------
    One row a unit: ``camera`` and ``site`` where the table has them (``several`` where the
    clips of a unit differ, missing where none is known), and ``ita_deg``, the mean of
    `ita_of_rows` over the clips of which it is known.
    """
    import pandas as pd

    def common(values: pd.Series) -> object:
        known = values.dropna().unique()
        return SEVERAL if len(known) > 1 else known[0] if len(known) else None

    columns: dict[str, pd.Series] = {
        name: table[name].astype(object).groupby(unit, sort=True).agg(common)
        for name in ("camera", "site")
        if name in table.columns
    }
    columns[ITA_COLUMN] = pd.Series(ita_of_rows(table)).groupby(unit, sort=True).mean()
    return pd.DataFrame(columns).reset_index(drop=True)
