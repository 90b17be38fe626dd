"""How well one model serves each group of people, and how far the groups lie apart.

A model that is right on average may be wrong for those of one sex, age, skin tone, camera or
site. Groups of fewer than 20 participants are listed with their size and without a score:
a number from so few would be read, and it would not hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pallor.evaluation.group_scores import Scored, mean_absolute_error, scores_of
from pallor.evaluation.groupings import (
    GROUPINGS,
    UNPLACED,
    Grouping,
    group_names,
    labels_of,
)
from pallor.evaluation.metrics import Interval
from pallor.evaluation.resampling import MIN_PARTICIPANTS, Counts, Resampled

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]


@dataclass(frozen=True)
class Group:
    """One group.

    Attributes
    ----------
    label
        Its name; ``unknown`` for those who cannot be placed.
    participants, units
        How many. A participant whose units lie in several groups counts in each of them;
        units add up to all.
    too_few
        Fewer than 20 participants: nothing is concluded.
    anemic_participants, other_participants
        Participants with a unit whose measured value lies below its threshold, or not below;
        None without thresholds.
    scores
        ``mae``, ``bias`` (predicted minus measured), ``limit_low_g_dl``, ``limit_high_g_dl``
        (limits of agreement), ``r2``, and with thresholds ``sensitivity`` and ``specificity``;
        empty where there are too few.
    """

    label: str
    participants: int
    units: int
    too_few: bool
    anemic_participants: int | None
    other_participants: int | None
    scores: Mapping[str, Interval]

    def as_dict(self) -> dict[str, Any]:
        """Return plain numbers and words for JSON.

        ``too_few_anemic`` says that the sensitivity rests on fewer than 20 participants.
        """
        anemic = self.anemic_participants
        return {
            "group": self.label,
            "participants": self.participants,
            "units": self.units,
            "too_few": self.too_few,
            "anemic_participants": anemic,
            "other_participants": self.other_participants,
            "too_few_anemic": None if anemic is None else anemic < MIN_PARTICIPANTS,
            "scores": {name: score.as_dict() for name, score in self.scores.items()},
        }


@dataclass(frozen=True)
class Difference:
    """Largest minus smallest mean absolute error among the groups that are large enough.

    Attributes
    ----------
    largest, smallest
        Names of the two groups.
    mae
        The difference in g/dL, with a 95 % interval that holds for all pairs of groups at
        once (`largest_difference`).
    """

    largest: str
    smallest: str
    mae: Interval

    def as_dict(self) -> dict[str, Any]:
        """Return plain numbers and words for JSON."""
        return {"largest": self.largest, "smallest": self.smallest, "mae": self.mae.as_dict()}


@dataclass(frozen=True)
class Subgroups:
    """The groups of one grouping.

    Attributes
    ----------
    grouping
        Its name in `GROUPINGS`.
    groups
        Every group that occurs.
    difference
        None where fewer than two groups can be compared.
    sentence
        What may be said of it, for a report.
    note
        What a reader must know about the grouping.
    """

    grouping: str
    groups: tuple[Group, ...]
    difference: Difference | None
    sentence: str
    note: str

    def as_dict(self) -> dict[str, Any]:
        """Return plain numbers and words for JSON."""
        return {
            "grouping": self.grouping,
            "groups": [group.as_dict() for group in self.groups],
            "difference": None if self.difference is None else self.difference.as_dict(),
            "sentence": self.sentence,
            "note": self.note,
        }


def largest_difference(scores: Mapping[str, Resampled]) -> Difference | None:
    """Compare the group with the largest score with that of the smallest.

    The two are picked because they lie far apart, so the percentile interval of their
    difference would leave out 0 by chance alone, the more often the more groups there are
    (and that of the range itself never holds 0). The interval is therefore simultaneous for
    all pairs: the difference plus and minus the 95 % quantile, over the resamples, of the
    range of the groups' deviations from their own scores; the bootstrap form of Tukey's
    range. Where groups differ in size it is wider than it need be for the larger ones.

    Parameters
    ----------
    scores
        Score of each group, on the same resamples.

    Returns
    -------
    None for fewer than two groups. The ends are NaN where a score is undefined in more than
    5 % of the resamples, or there are none.
    """
    if len(scores) < 2:
        return None
    largest = max(scores, key=lambda name: scores[name].value)
    smallest = min(scores, key=lambda name: scores[name].value)
    value = scores[largest].value - scores[smallest].value
    deviations = np.stack([score.replicates - score.value for score in scores.values()])
    spread = np.ptp(deviations, axis=0)
    spread = spread[np.isfinite(spread)]
    if spread.size == 0 or spread.size < 0.95 * deviations.shape[1]:
        return Difference(largest, smallest, Interval(value))
    half = float(np.quantile(spread, 0.95))
    return Difference(largest, smallest, Interval(value, value - half, value + half))


def _sentence(name: str, groups: tuple[Group, ...], difference: Difference | None) -> str:
    small = [
        f"{group.label} ({group.participants})"
        for group in groups
        if group.too_few and group.label not in UNPLACED
    ]
    lost = [f"{group.label} ({group.participants})" for group in groups if group.label in UNPLACED]
    rest = f" Not judged, fewer than {MIN_PARTICIPANTS} participants: {', '.join(small)}."
    tail = (rest if small else "") + (f" Not compared: {', '.join(lost)}." if lost else "")
    if difference is None:
        return (
            f"No conclusion by {name}: fewer than two groups have"
            f" {MIN_PARTICIPANTS} participants.{tail}"
        )
    found = {group.label: group for group in groups}
    high, low = found[difference.largest], found[difference.smallest]
    interval = difference.mae
    numbers = (
        f"{high.scores['mae'].value:.2f} g/dL for {high.label} ({high.participants}"
        f" participants), {low.scores['mae'].value:.2f} for {low.label} ({low.participants});"
        f" difference {interval.value:.2f}"
    )
    if not np.isfinite(interval.low):
        return f"Mean absolute error by {name}: {numbers}, without an interval.{tail}"
    numbers += f" [{interval.low:.2f}, {interval.high:.2f}]"
    if interval.low > 0:
        return f"The mean absolute error differs by {name}: {numbers}.{tail}"
    return (
        f"No difference of the mean absolute error by {name} is shown, which does not show"
        f" that there is none: {numbers}.{tail}"
    )


def _group(label: str, scored: Scored) -> Group:
    too_few = scored.participants < MIN_PARTICIPANTS
    anemic, other = scored.participants_by_anemia() or (None, None)
    return Group(
        label,
        scored.participants,
        len(scored.measured),
        too_few,
        anemic,
        other,
        {} if too_few else scores_of(scored),
    )


def _subgroups(scored: Scored, grouping: Grouping, units: pd.DataFrame) -> Subgroups:
    labels = labels_of(grouping, units)
    parts = {
        name: scored.part(np.asarray(labels == name, dtype=np.bool_))
        for name in group_names(grouping, labels)
    }
    groups = tuple(_group(name, part) for name, part in parts.items())
    difference = largest_difference(
        {
            group.label: mean_absolute_error(parts[group.label])
            for group in groups
            if not group.too_few and group.label not in UNPLACED
        }
    )
    title = grouping.title or grouping.name
    sentence = (
        _sentence(title, groups, difference)
        if grouping.column in units.columns
        else f"No conclusion by {title}: the table has no {grouping.column}."
    )
    return Subgroups(grouping.name, groups, difference, sentence, grouping.note)


def subgroup_scores(
    units: pd.DataFrame,
    measured: FloatArray,
    predicted: FloatArray,
    participant: IntArray,
    counts: Counts,
    *,
    thresholds_g_dl: FloatArray | None = None,
    groupings: Mapping[str, Grouping] = GROUPINGS,
) -> tuple[Subgroups, ...]:
    """Score one model in every group of every grouping.

    Parameters
    ----------
    units
        One row a unit: ``sex``, ``age_years``, ``camera``, ``site``, ``ita_deg`` where known
        (``unit_attributes`` makes the last three).
    measured
        Hemoglobin, g/dL, ``(units,)``.
    predicted
        Out of fold, g/dL, ``(repeats, units)``. Scores are averaged over repeats, never
        predictions.
    participant
        Index of each unit's participant, ``(units,)``.
    counts
        ``(resamples, participants)`` of ``resample_counts``, the same for every model.
    thresholds_g_dl
        Hemoglobin below which each unit's person is anemic, ``(units,)``, NaN where that is
        not known; measured and predicted values are held against the same one. None for no
        sensitivity and specificity.
    groupings
        Groupings by name.

    Returns
    -------
    One entry a grouping, also where the units lack its column.

    Raises
    ------
    ValueError
        If the arrays do not fit one another.

    Notes
    -----
    The mean absolute error depends on the spread of hemoglobin in a group as well as on the
    model: a group that holds more anemic people is harder. The R2 beside it is relative to
    that spread.
    """
    scored = Scored(measured, predicted, participant, counts, thresholds_g_dl)
    if len(units) != len(measured):
        raise ValueError(f"{len(units)} units and {len(measured)} measured values differ")
    return tuple(_subgroups(scored, grouping, units) for grouping in groupings.values())
