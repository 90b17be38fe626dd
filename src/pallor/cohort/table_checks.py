"""Whether the rows of a cohort table agree with one another."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from pallor.cohort.address import shown
from pallor.cohort.table_columns import clip_identity

if TYPE_CHECKING:
    import pandas as pd

_MAX_AGE_SPREAD_YEARS = 2.0
_SAME_HEMOGLOBIN_G_DL = 1e-6


def contradictions(frame: pd.DataFrame, row_numbers: list[int]) -> list[tuple[int, str]]:
    """Find rows that cannot all be true.

    Parameters
    ----------
    frame
        Parsed cohort rows; missing cells are NaN.
    row_numbers
        Row of each as in a spreadsheet.

    Returns
    -------
    list of (int, str)
        First row concerned and one sentence each: a clip listed twice, a participant of two
        sexes, two ages (more than two years apart) or two hemoglobin values within one
        participant and session.
    """
    problems = _repeated_clips(frame["clip"].tolist(), row_numbers)
    people = frame["participant_id"].tolist()
    sessions = _known(frame, "session")
    within = [
        (person, sessions.get(index, "")) if person else None for index, person in enumerate(people)
    ]
    if "sex" in frame:
        problems += _two_sexes(people, _known(frame, "sex"), row_numbers)
    if "age_years" in frame:
        problems += _spread(
            within,
            _known(frame, "age_years"),
            row_numbers,
            "age_years",
            _MAX_AGE_SPREAD_YEARS,
            "one person, one age a session",
        )
    if "hemoglobin_g_dl" in frame:
        problems += _spread(
            within,
            _known(frame, "hemoglobin_g_dl"),
            row_numbers,
            "hemoglobin_g_dl",
            _SAME_HEMOGLOBIN_G_DL,
            "separate blood samples by the column session",
        )
    return problems


def _known(frame: pd.DataFrame, column: str) -> dict[int, object]:
    """Return position to value, for the cells that are not missing."""
    if column not in frame:
        return {}
    known = frame[column].notna().tolist()
    values = frame[column].tolist()
    return {index: values[index] for index in range(len(values)) if known[index]}


def _repeated_clips(clips: list[str], row_numbers: list[int]) -> list[tuple[int, str]]:
    first: dict[str, int] = {}
    problems = []
    for clip, row in zip(clips, row_numbers, strict=True):
        if not clip:
            continue
        identity = clip_identity(clip)
        if identity in first:
            problems.append((row, f"clip {shown(clip)!r} is in row {first[identity]} already"))
        else:
            first[identity] = row
    return problems


def _two_sexes(
    people: list[str], sexes: dict[int, object], row_numbers: list[int]
) -> list[tuple[int, str]]:
    first: dict[str, int] = {}
    problems = []
    for index, sex in sexes.items():
        person = people[index]
        if not person:
            continue
        earlier = first.setdefault(person, index)
        if sexes[earlier] != sex:
            problems.append(
                (
                    row_numbers[index],
                    f"participant {person!r} is {sex} here and {sexes[earlier]} in row "
                    f"{row_numbers[earlier]}: two people with one participant_id?",
                )
            )
    return problems


def _spread(
    within: list[tuple[str, object] | None],
    values: dict[int, object],
    row_numbers: list[int],
    column: str,
    most: float,
    advice: str,
) -> list[tuple[int, str]]:
    groups: dict[tuple[str, object], list[int]] = defaultdict(list)
    for index in values:
        key = within[index]
        if key is not None:
            groups[key].append(index)
    problems = []
    for (person, session), members in groups.items():
        numbers = {index: float(str(values[index])) for index in members}
        low = min(members, key=numbers.__getitem__)
        high = max(members, key=numbers.__getitem__)
        if numbers[high] - numbers[low] > most:
            first, second = sorted((low, high))
            where = f" in session {session!r}" if session != "" else ""
            problems.append(
                (
                    row_numbers[second],
                    f"{column} of participant {person!r}{where} is {numbers[second]:g} here and "
                    f"{numbers[first]:g} in row {row_numbers[first]}: {advice}",
                )
            )
    return problems
