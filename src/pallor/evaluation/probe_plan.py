"""Who takes part in the sex probe of each modality, and which fits it needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from pallor.evaluation.baselines import male
from pallor.evaluation.request import DEMOGRAPHICS, columns_of_modalities
from pallor.evaluation.splits import Plan, Split
from pallor.evaluation.unit import unit_of_rows

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

MIN_PARTICIPANTS: Final = 5
"""Of either sex; with fewer there is no AUC."""
MOST_REPEATS: Final = 2


@dataclass(frozen=True)
class Probe:
    """What is to be probed for one modality.

    Attributes
    ----------
    modality
        Its name.
    columns
        Its feature columns.
    rows
        Positions of the rows that take part, in an order that does not depend on the table's.
    male
        Sex of these rows, ``(rows,)``.
    person, unit
        Participant and unit of each, ``(rows,)``, numbered 0, 1, ...
    splits
        The splits to fit, as positions in ``rows``; none where there is no AUC.
    participants
        Those who take part, by sex; all of them are scored where there is an AUC.
    left_out
        Those who take no part, by reason.
    note
        Why there is no AUC, or not one of every repeat; or None.
    """

    modality: str
    columns: tuple[str, ...]
    rows: IntArray
    male: BoolArray
    person: IntArray
    unit: IntArray
    splits: tuple[Split, ...]
    participants: dict[str, int]
    left_out: dict[str, int]
    note: str | None


def _numbered(values: NDArray[Any]) -> IntArray:
    return np.asarray(np.unique(values, return_inverse=True)[1], dtype=np.intp)


def _by_sex(is_male: BoolArray, person: IntArray) -> dict[str, int]:
    return {
        "female": len(np.unique(person[~is_male])),
        "male": len(np.unique(person[is_male])),
    }


def sex_of_rows(table: pd.DataFrame) -> FloatArray:
    """Sex of the participant of each row: 0 female, 1 male, ``(rows,)``.

    A participant's rows tell one another; NaN where none knows, or where they contradict.
    """
    import pandas as pd

    if "sex" not in table.columns:
        return np.full(len(table), np.nan)
    known = pd.Series(male(table)).groupby(table["participant_id"].astype(str).to_numpy())
    low, high = known.transform("min").to_numpy(), known.transform("max").to_numpy()
    return np.where(low == high, low, np.nan)


def _canonical_order(table: pd.DataFrame) -> IntArray:
    keys = [
        table[name].astype(str).to_numpy(dtype=object)
        for name in ("clip", "session", "participant_id")
        if name in table.columns
    ]
    return np.lexsort([_numbered(key) for key in keys])


def _restated(splits: Sequence[Split], rows: IntArray, total: int) -> list[Split]:
    """Restate splits for the rows that take part; those that test none of them drop out."""
    position = np.full(total, -1, dtype=np.intp)
    position[rows] = np.arange(len(rows))
    restated = []
    for split in splits:
        train, test = (np.sort(position[part]) for part in (split.train, split.test))
        train, test = train[train >= 0], test[test >= 0]
        if len(test):
            restated.append(Split(split.repeat, split.fold, split.label, train, test))
    return restated


def _what_to_fit(
    splits: Sequence[Split], is_male: BoolArray, count: dict[str, int]
) -> tuple[list[Split], str | None]:
    """Return the splits that can be fitted, and what must be said of it.

    A training part of one sex only has the whole other sex in its test part, where nothing
    can score it: such a repeat has no AUC.
    """
    if min(count.values()) < MIN_PARTICIPANTS:
        return [], (
            f"the table tells the sex of {count['female']} female and {count['male']} male"
            f" participants with features, and at least {MIN_PARTICIPANTS} of each are needed"
        )
    repeats = {split.repeat for split in splits}
    bad = {split.repeat for split in splits if len(np.unique(is_male[split.train])) < 2}
    if not bad:
        return list(splits), None
    why = "one fold holds all participants of one sex, which leaves one sex only to train on"
    if bad == repeats:
        return [], why
    kept = [split for split in splits if split.repeat not in bad]
    return kept, f"{len(bad)} of {len(repeats)} repeats are left out, because {why}"


def plan_probes(
    table: pd.DataFrame,
    plan: Plan,
    modalities: Sequence[str],
    *,
    unit: str = "participant_session",
    quick: bool = False,
) -> tuple[Probe, ...]:
    """Settle who takes part in the probe of each modality, and what there is to fit.

    Parameters
    ----------
    table
        One row a clip, as the plan was made for.
    plan
        The splits of the evaluation.
    modalities
        Those of the evaluation; ``demographics``, which holds sex itself, is passed over.
    unit
        Unit of analysis, see ``pallor.evaluation.unit``.
    quick
        The first repeat only, where a repeat tests everybody; `MOST_REPEATS` otherwise, since
        more would tell the same.

    Returns
    -------
    One probe a modality. Rows take part that hold a feature of it and whose sex is known.
    """
    from pallor.models.preprocessing import matrix

    sex, order = sex_of_rows(table), _canonical_order(table)
    names = table["participant_id"].astype(str).to_numpy(dtype=object)
    units = unit_of_rows(table, unit)
    everybody, known = np.unique(names), np.unique(names[np.isfinite(sex)])
    most = plan.repeats if plan.protocol == "holdout" else 1 if quick else MOST_REPEATS
    splits = [split for split in plan.splits if split.repeat < most]
    probes = []
    for modality in modalities:
        if modality == DEMOGRAPHICS:
            continue
        columns = columns_of_modalities(table, [modality])
        held = np.isfinite(matrix(table, columns)).any(axis=1)
        rows = order[(held & np.isfinite(sex))[order]]
        is_male, person = sex[rows] == 1.0, _numbered(names[rows])
        count = _by_sex(is_male, person)
        fitted, note = _what_to_fit(_restated(splits, rows, len(table)), is_male, count)
        left_out = {
            "sex_unknown": len(everybody) - len(known),
            "no_features": len(np.setdiff1d(known, names[rows])),
        }
        probes.append(
            Probe(
                modality, columns, rows, is_male, person, _numbered(units[rows]), tuple(fitted),
                count, left_out, note,
            )
        )  # fmt: skip
    return tuple(probes)
