"""Thresholds of everyone in a cohort table, and what they rest on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from pallor.anemia.classification import anemia_threshold_g_dl, assumptions
from pallor.anemia.person import Person, Unknown, is_not_known, smoking_adjustment_g_l
from pallor.anemia.who2024 import ALTITUDE_BAND_M

if TYPE_CHECKING:
    import pandas as pd

_ASSUMED: Mapping[str, str] = MappingProxyType(
    {
        "older_than_65_years": "older than 65 years, for whom the guideline states no cutoff of"
        " their own; that of adults is used",
        "taken_as_not_pregnant": "women whose pregnancy is not known, taken as not pregnant",
        "taken_as_below_500_m": "without altitude, taken as living below 500 m",
        "taken_as_non_smoker": "whose smoking is not known, taken as non-smokers",
    }
)
UNKNOWN: Final = "unknown"


@dataclass(frozen=True)
class Thresholds:
    """Thresholds of the rows of a table.

    Attributes
    ----------
    threshold_g_dl
        Raw hemoglobin below which each counts as anemic, ``(rows,)``, g/dL; NaN where unknown.
    unknown
        Code of a reason to the number of rows without threshold because of it.
    texts
        Code of a reason to its text, that of the first row it concerns.
    assumed
        Code of ``assumptions`` to the number of rows with threshold that it concerns.
    """

    threshold_g_dl: NDArray[np.float64]
    unknown: Mapping[str, int]
    texts: Mapping[str, str]
    assumed: Mapping[str, int]

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about the rows without threshold and about what was assumed."""
        rows = len(self.threshold_g_dl)
        return (
            *(
                f"{count} of {rows} have no anemia threshold: {self.texts[code]}."
                for code, count in self.unknown.items()
            ),
            *(f"{count} of {rows} {_ASSUMED[code]}." for code, count in self.assumed.items()),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return counts and notes, ready for JSON."""
        return {
            "rows": len(self.threshold_g_dl),
            "with_threshold": int(np.isfinite(self.threshold_g_dl).sum()),
            "unknown": dict(self.unknown),
            "assumed": dict(self.assumed),
            "notes": list(self.notes),
        }


def _cells(frame: pd.DataFrame, column: str) -> list[Any]:
    if column not in frame.columns:
        return [None] * len(frame)
    values = frame[column].astype(object)
    return list(values.where(values.notna(), None))


def _text(cell: object) -> str | None:
    return None if cell is None else str(cell)


def _people(frame: pd.DataFrame) -> Iterator[Person]:
    names = ("sex", "age_years", "pregnancy", "altitude_m", "smoking")
    for sex, age, pregnancy, altitude, smoking in zip(
        *(_cells(frame, name) for name in names), strict=True
    ):
        yield Person(
            sex=_text(sex),
            age_years=None if age is None else float(age),
            pregnancy=_text(pregnancy),
            altitude_m=None if altitude is None else float(altitude),
            smoking=_text(smoking),
        )


def thresholds_of_table(frame: pd.DataFrame) -> Thresholds:
    """Anemia threshold of every row.

    Parameters
    ----------
    frame
        Columns as the cohort table yields them, each of which may be absent: ``sex``
        (``female``, ``male``), ``age_years`` and ``altitude_m`` (numbers), ``pregnancy`` and
        ``smoking`` (text, see ``Person``).

    Returns
    -------
    One threshold a row, NaN where unknown, with the reasons and assumptions counted.
    """
    thresholds = np.full(len(frame), np.nan)
    unknown: Counter[str] = Counter()
    assumed: Counter[str] = Counter()
    texts: dict[str, str] = {}
    for row, person in enumerate(_people(frame)):
        threshold = anemia_threshold_g_dl(person)
        if isinstance(threshold, Unknown):
            unknown[threshold.code] += 1
            texts.setdefault(threshold.code, threshold.text)
        else:
            thresholds[row] = threshold
            assumed.update(assumptions(person))
    ordered = {code: assumed[code] for code in _ASSUMED if assumed[code]}
    return Thresholds(thresholds, dict(unknown), texts, ordered)


def adjustment_strata(frame: pd.DataFrame) -> dict[str, NDArray[np.object_]]:
    """Label rows by what the cutoffs are adjusted for.

    Parameters
    ----------
    frame
        As in ``thresholds_of_table``.

    Returns
    -------
    ``altitude`` (``below 500 m``, ``500 m or higher``) and ``smoking`` (``non-smoker``,
    ``smoker``), ``(rows,)`` each, with ``unknown`` where it is not known; a column that the table
    lacks, or in which nothing is known, is left out.
    """
    altitude: list[str] = []
    smoking: list[str] = []
    for person in _people(frame):
        if person.altitude_m is None:
            altitude.append(UNKNOWN)
        else:
            low = person.altitude_m < ALTITUDE_BAND_M
            altitude.append("below 500 m" if low else "500 m or higher")
        added = (
            None
            if person.smoking is None or is_not_known(person.smoking)
            else smoking_adjustment_g_l(person.smoking)
        )
        if added is None or isinstance(added, Unknown):
            smoking.append(UNKNOWN)
        else:
            smoking.append("smoker" if added else "non-smoker")
    return {
        name: np.array(labels, dtype=object)
        for name, labels in (("altitude", altitude), ("smoking", smoking))
        if any(label != UNKNOWN for label in labels)
    }
