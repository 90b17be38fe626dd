"""Group, adjustment, threshold and severity of one person.

The guideline subtracts the adjustment from the measured hemoglobin, or adds it to the cutoff,
which is the same. Here it is added: measured and predicted hemoglobin stay as they are, and
both are judged by one threshold.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pallor.anemia.person import (
    Person,
    Unknown,
    is_not_known,
    smoking_adjustment_g_l,
    trimesters_of,
)
from pallor.anemia.who2024 import (
    ADULT_YEARS,
    ALTITUDE_ADJUSTMENTS_G_L,
    ALTITUDE_BAND_M,
    CHILDREN,
    GROUPS,
    OLDEST_YEARS,
    YOUNGEST_YEARS,
    Group,
    Severity,
)

_TRIMESTERS: Final = {
    1: GROUPS["pregnancy_first_trimester"],
    2: GROUPS["pregnancy_second_trimester"],
    3: GROUPS["pregnancy_third_trimester"],
}
_TRIMESTER_UNKNOWN: Final = Unknown(
    "trimester_unknown",
    "the cutoff in pregnancy depends on the trimester: write first trimester, second trimester or"
    " third trimester",
)
_MENARCHE_YEARS: Final = 10.0
_MENOPAUSE_YEARS: Final = 50.0
_LOWEST_M: Final = -500.0
_TOLERANCE_G_DL: Final = 1e-9


def below(hemoglobin_g_dl: ArrayLike, threshold_g_dl: ArrayLike) -> NDArray[np.bool_]:
    """Whether hemoglobin lies below a threshold, element by element.

    A billionth of a g/dL is allowed for: the mean of three equal values may come out one
    rounding below them, and that is no anemia.

    Parameters
    ----------
    hemoglobin_g_dl, threshold_g_dl
        g/dL, of shapes that broadcast.

    Returns
    -------
    The broadcast shape; False where either is NaN.
    """
    hemoglobin = np.asarray(hemoglobin_g_dl, dtype=np.float64)
    threshold = np.asarray(threshold_g_dl, dtype=np.float64)
    return np.asarray(hemoglobin < threshold - _TOLERANCE_G_DL)


def _number(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(value)


def _possible_groups(person: Person) -> tuple[Group, ...] | Unknown:
    """Every group that the person can belong to: one, or three where the trimester is open."""
    age = _number(person.age_years)
    trimesters = (
        frozenset[int]()
        if person.pregnancy is None or is_not_known(person.pregnancy)
        else trimesters_of(person.pregnancy)
    )
    if isinstance(trimesters, Unknown):
        return trimesters
    if trimesters:
        if person.sex == "male" or (age is not None and age < _MENARCHE_YEARS):
            return Unknown(
                "pregnancy_contradicted",
                "pregnancy does not go with this sex or age: correct one of them",
            )
        return tuple(_TRIMESTERS[number] for number in sorted(trimesters))
    if age is None or age < 0:
        return Unknown("age_unknown", "the cutoff depends on age: give age_years")
    if age < YOUNGEST_YEARS:
        return Unknown(
            "younger_than_6_months",
            "there is no cutoff under 6 months of age: check age_years",
        )
    for limit, name in CHILDREN:
        if age < limit:
            return (GROUPS[name],)
    if person.sex not in {"female", "male"}:
        return Unknown(
            "sex_unknown", "the cutoff depends on sex from 15 years on: give female or male"
        )
    return (GROUPS["women" if person.sex == "female" else "men"],)


def group_of(person: Person) -> Group | Unknown:
    """Say which cutoffs apply.

    Parameters
    ----------
    person
        Below 15 years sex may be open, in pregnancy age and sex may be. Adults over 65 years get
        the cutoffs of adults, which the guideline states for 15 to 65 years (see
        ``assumptions``).

    Returns
    -------
    The group, or ``Unknown`` with code ``age_unknown``, ``younger_than_6_months``, ``sex_unknown``
    (from 15 years on), ``trimester_unknown``, ``pregnancy_contradicted`` (of a male, or under
    10 years) or ``pregnancy_not_understood``.
    """
    groups = _possible_groups(person)
    if isinstance(groups, Unknown):
        return groups
    return groups[0] if len(groups) == 1 else _TRIMESTER_UNKNOWN


def adjustment_g_l(altitude_m: float | None = None, smoking: str | None = None) -> float | Unknown:
    """Say what residence at altitude and smoking add to every cutoff.

    Parameters
    ----------
    altitude_m
        Altitude of residence, m. From -500 to 500 m nothing is added: the guideline adds nothing
        from 1 to 499 m, and hardly anyone lives below -400 m. From 5000 m on its table ends.
    smoking
        See ``smoking_adjustment_g_l``. The two adjustments add up.

    Returns
    -------
    g/L, 0 for what is not known; ``Unknown`` with code ``altitude_outside_table`` or
    ``smoking_not_understood``.
    """
    altitude = _number(altitude_m)
    added = 0
    if altitude is not None:
        highest = ALTITUDE_BAND_M * len(ALTITUDE_ADJUSTMENTS_G_L)
        if not _LOWEST_M <= altitude < highest:
            return Unknown(
                "altitude_outside_table",
                f"the adjustment is known from {_LOWEST_M:g} to below {highest:g} m, not for "
                f"{altitude:g} m: check altitude_m",
            )
        added = ALTITUDE_ADJUSTMENTS_G_L[max(0, math.floor(altitude / ALTITUDE_BAND_M))]
    if smoking is None or is_not_known(smoking):
        return float(added)
    smoked = smoking_adjustment_g_l(smoking)
    return smoked if isinstance(smoked, Unknown) else float(added + smoked)


def anemia_threshold_g_dl(person: Person) -> float | Unknown:
    """Hemoglobin below which a person counts as anemic, as the laboratory gives it (unadjusted).

    Parameters
    ----------
    person
        See ``group_of`` and ``adjustment_g_l``.

    Returns
    -------
    Cutoff plus adjustment, g/dL, or why it is not known.
    """
    group = group_of(person)
    if isinstance(group, Unknown):
        return group
    added = adjustment_g_l(person.altitude_m, person.smoking)
    return added if isinstance(added, Unknown) else (group.none_from_g_l + added) / 10.0


def _severity(hemoglobin_g_dl: float, group: Group, added_g_l: float) -> Severity:
    # Bounds are divided, not hemoglobin multiplied: 12.3 g/dL is the double next to 123 / 10,
    # so a value that equals a bound on paper equals it here.
    for bound, severity in (
        (group.moderate_from_g_l, Severity.SEVERE),
        (group.mild_from_g_l, Severity.MODERATE),
        (group.none_from_g_l, Severity.MILD),
    ):
        if below(hemoglobin_g_dl, (bound + added_g_l) / 10.0):
            return severity
    return Severity.NONE


def classify(hemoglobin_g_dl: float, person: Person) -> Severity | Unknown:
    """How severe the anemia is, if it is one.

    Parameters
    ----------
    hemoglobin_g_dl
        As measured or predicted, not adjusted, g/dL.
    person
        Where the trimester of a pregnancy is open, the answer is given if it is the same in
        all three (10.4 is mild, 11.0 is none, 10.7 is ``trimester_unknown``).

    Returns
    -------
    The severity, or why it is not known: the codes of ``group_of`` and ``adjustment_g_l``, and
    ``hemoglobin_unknown`` for a value that is not finite.
    """
    if not math.isfinite(hemoglobin_g_dl):
        return Unknown("hemoglobin_unknown", "the hemoglobin is not a number: give it in g/dL")
    groups = _possible_groups(person)
    if isinstance(groups, Unknown):
        return groups
    added = adjustment_g_l(person.altitude_m, person.smoking)
    if isinstance(added, Unknown):
        return added
    answers = {_severity(hemoglobin_g_dl, group, added) for group in groups}
    return answers.pop() if len(answers) == 1 else _TRIMESTER_UNKNOWN


def assumptions(person: Person) -> tuple[str, ...]:
    """Name what the threshold of a person takes for granted.

    Returns
    -------
    Codes, in this order: ``older_than_65_years`` (the guideline ends at 65),
    ``taken_as_not_pregnant`` (a female of 10 to 49 years whose pregnancy is not known),
    ``taken_as_below_500_m``, ``taken_as_non_smoker`` (from 15 years on).
    """
    age = _number(person.age_years)
    fertile = person.sex == "female" and (
        age is not None and _MENARCHE_YEARS <= age < _MENOPAUSE_YEARS
    )
    return tuple(
        code
        for code, holds in (
            ("older_than_65_years", age is not None and age >= OLDEST_YEARS),
            ("taken_as_not_pregnant", fertile and is_not_known(person.pregnancy)),
            ("taken_as_below_500_m", _number(person.altitude_m) is None),
            (
                "taken_as_non_smoker",
                is_not_known(person.smoking) and (age is None or age >= ADULT_YEARS),
            ),
        )
        if holds
    )
