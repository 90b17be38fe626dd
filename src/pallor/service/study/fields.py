"""What may be entered about a participant, a visit, a blood value and a consent.

Texts of forms and values of JSON are read alike; names that are not listed are not looked at.
A problem's ``values`` are ``low``, ``high`` and ``unit`` (``range``), ``most`` (``too_long``),
``choices`` (``unknown_choice``), ``unit`` and ``looks_like`` (``range`` of a blood value), and
``high``, ``unit``, ``g_dl`` and ``looks_like`` (``check_unit``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial as with_arguments
from typing import Any, Final

from pallor.service.study.field_readers import (
    FieldReader,
    ProblemError,
    read_choice,
    read_code,
    read_date,
    read_line,
    read_note,
    read_number,
    read_number_within,
    read_truth,
    read_word,
)

MAX_NOTE: Final = 1000
SEXES: Final = ("female", "male")
HEMOGLOBIN_UNITS: Final = ("g/dL", "g/L", "mmol/L")
HEMOGLOBIN_METHODS: Final = ("venous_cbc", "capillary_poc", "spco_oximeter", "simulated")
"""The words of ``reference_method`` in a cohort table; what looks through the skin is marked as
such in every evaluation."""
_MMOL_L_UP_TO_G_DL: Final = 20.0
"""Hardly anybody has more, and 12.5 to 15.5, which is more in mmol/L, is what most have in g/dL."""


@dataclass(frozen=True)
class ParticipantFields:
    """What is known of a participant; see `pallor.service.study.records.Participant`.

    Attributes
    ----------
    code
        Empty where a change leaves it alone.
    given
        Names of the fields that were there.
    """

    code: str
    sex: str | None
    age_years: float | None
    pregnancy: str | None
    altitude_m: float | None
    smoking: str | None
    note: str | None
    given: frozenset[str]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, partial: bool = False) -> ParticipantFields:
        """Check what was entered.

        Parameters
        ----------
        values
            Name to text or value.
        partial
            Whether absent fields are left alone.

        Raises
        ------
        InvalidFieldsError
            With every problem. Whether a partial change goes with what is there already only
            `contradiction_of` can tell.
        """
        reader = FieldReader(values, partial=partial)
        code = reader.read("code", read_code, required=True) or ""
        sex = reader.read("sex", with_arguments(read_choice, choices=SEXES))
        age_years = reader.read("age_years", read_number_within)
        pregnancy = reader.read("pregnancy", read_pregnancy)
        altitude_m = reader.read("altitude_m", read_number_within)
        smoking = reader.read("smoking", read_smoking)
        note = reader.read("note", with_arguments(read_note, longest=MAX_NOTE))
        if not partial and not {"sex", "age_years", "pregnancy"} & set(reader.problems):
            contradiction = contradiction_of(sex, age_years, pregnancy)
            if contradiction is not None:
                reader.problems["pregnancy"] = contradiction.problem
        reader.finish()
        given = frozenset(reader.given)
        return cls(code, sex, age_years, pregnancy, altitude_m, smoking, note, given)

    def changes(self) -> dict[str, Any]:
        """Return what was given, by the names of the columns."""
        return {name: getattr(self, name) for name in sorted(self.given)}


@dataclass(frozen=True)
class SessionFields:
    """What is known of a visit; see `pallor.service.study.records.StudySession`.

    Attributes
    ----------
    name
        Empty where a change leaves it alone.
    given
        Names of the fields that were there.
    """

    name: str
    date: str | None
    site: str | None
    pregnancy: str | None
    given: frozenset[str]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, partial: bool = False) -> SessionFields:
        """Check what was entered.

        Raises
        ------
        InvalidFieldsError
            With every problem.
        """
        reader = FieldReader(values, partial=partial)
        name = reader.read("name", read_code, required=True) or ""
        day = reader.read("date", read_date)
        site = reader.read("site", read_line)
        pregnancy = reader.read("pregnancy", read_pregnancy)
        reader.finish()
        return cls(name, day, site, pregnancy, frozenset(reader.given))

    def changes(self) -> dict[str, Any]:
        """Return what was given, by the names of the columns."""
        return {name: getattr(self, name) for name in sorted(self.given)}


@dataclass(frozen=True)
class HemoglobinFields:
    """A blood value; see `pallor.service.study.records.HemoglobinValue`.

    Attributes
    ----------
    hemoglobin_g_dl
        The value in g/dL.
    """

    value: float
    unit: str
    hemoglobin_g_dl: float
    method: str
    measured_on: str | None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> HemoglobinFields:
        """Check what was entered; a change gives every field again.

        Raises
        ------
        InvalidFieldsError
            With every problem.
        """
        reader = FieldReader(values)
        value = reader.read("value", read_number, required=True)
        unit = reader.read(
            "unit", with_arguments(read_choice, choices=HEMOGLOBIN_UNITS), required=True
        )
        method = reader.read(
            "method", with_arguments(read_choice, choices=HEMOGLOBIN_METHODS), required=True
        )
        day = reader.read("measured_on", read_date)
        g_dl = None
        if value is not None and unit is not None:
            try:
                g_dl = _plausible_g_dl(value, unit)
            except ProblemError as error:
                reader.problems["value"] = error.problem
        reader.finish()
        if value is None or unit is None or method is None or g_dl is None:
            raise AssertionError("a required field is neither there nor refused")
        return cls(value, unit, g_dl, method, day)


@dataclass(frozen=True)
class ConsentFields:
    """A consent; see `pallor.service.study.records.Consent`."""

    version: str
    language: str
    keeps_video: bool

    @classmethod
    def from_dict(
        cls, values: Mapping[str, Any], languages_of: Callable[[str], tuple[str, ...]]
    ) -> ConsentFields:
        """Check what was entered; ``takes_part`` must be true.

        Parameters
        ----------
        values
            Name to text or value. Without ``language`` it is that of the text.
        languages_of
            Version of a text to the languages that it is there in; none where there is no such
            text. The version is all that tells later what a person agreed to.

        Raises
        ------
        InvalidFieldsError
            With every problem.
        """
        reader = FieldReader(values)
        version = reader.read("version", read_code, required=True) or ""
        languages = languages_of(version) if version else ()
        language = ""
        if languages:
            known = with_arguments(read_choice, choices=languages)
            given = reader.read("language", known, required=len(languages) > 1)
            language = given or languages[0]
        elif version:
            reader.problems["version"] = ProblemError(
                "unknown_version",
                "version: there is no such consent text: GET /v1/study/consent gives those that "
                "there are",
            ).problem
        keeps_video = reader.read("keeps_video", read_truth) or False
        takes_part = reader.read("takes_part", read_truth)
        if not takes_part and "takes_part" not in reader.problems:
            reader.problems["takes_part"] = ProblemError(
                "agree", "takes_part: without this consent nobody takes part"
            ).problem
        reader.finish()
        return cls(version, language, keeps_video)


@dataclass(frozen=True)
class ClipFields:
    """What is known of a clip; see `pallor.service.study.records.StudyClip`."""

    camera: str | None
    simulated: bool

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ClipFields:
        """Check what was entered.

        Raises
        ------
        InvalidFieldsError
            With every problem.
        """
        reader = FieldReader(values)
        camera = reader.read("camera", read_line)
        simulated = reader.read("simulated", read_truth) or False
        reader.finish()
        return cls(camera, simulated)


def contradiction_of(
    sex: str | None, age_years: float | None, pregnancy: str | None
) -> ProblemError | None:
    """Say so if somebody of this sex and age cannot be pregnant as is said."""
    from pallor.anemia.classification import group_of
    from pallor.anemia.person import Person, Unknown

    group = group_of(Person(sex, age_years, pregnancy))
    if isinstance(group, Unknown) and group.code == "pregnancy_contradicted":
        return ProblemError("contradiction", group.text)
    return None


def read_pregnancy(name: str, value: object) -> str | None:
    """Return a word about pregnancy that is understood; None for one such as ``unknown``."""
    from pallor.anemia.person import Unknown, is_not_known, trimesters_of

    if isinstance(value, bool):
        value = "yes" if value else "no"
    word = read_word(name, value)
    if is_not_known(word):
        return None
    if isinstance(trimesters_of(word), Unknown):
        raise ProblemError(
            "not_understood",
            f"{name} is not understood: write no, first trimester, second trimester or third "
            "trimester",
        )
    return word


def read_smoking(name: str, value: object) -> str | None:
    """Return a word about smoking that is understood; None for one such as ``unknown``."""
    from pallor.anemia.person import Unknown, is_not_known, smoking_adjustment_g_l

    if isinstance(value, bool):
        value = "yes" if value else "no"
    word = read_word(name, value)
    if is_not_known(word):
        return None
    if isinstance(smoking_adjustment_g_l(word), Unknown):
        raise ProblemError(
            "not_understood",
            f"{name} is not understood: write no, yes, or cigarettes a day such as 12/day",
        )
    return word


def _plausible_g_dl(value: float, unit: str) -> float:
    from pallor.cohort.hemoglobin_units import PLAUSIBLE_G_DL, UNITS, is_plausible

    units = {known.text: known for known in UNITS.values()}
    g_dl = units[unit].to_g_dl(value)
    highest_g_dl = _MMOL_L_UP_TO_G_DL if unit == "mmol/L" else PLAUSIBLE_G_DL[1]
    if is_plausible(g_dl):
        if g_dl > highest_g_dl:
            raise _looks_like_g_dl(unit, highest_g_dl * units[unit].per_g_dl, highest_g_dl)
        return g_dl
    # g/dL and mmol/L overlap; where both fit, the more central one in g/dL is the likelier.
    fitting = [known for known in units.values() if is_plausible(known.to_g_dl(value))]
    likely = min(fitting, key=lambda known: abs(known.to_g_dl(value) - 13.5), default=None)
    low, high = (limit * units[unit].per_g_dl for limit in (PLAUSIBLE_G_DL[0], highest_g_dl))
    advice = "check the value" if likely is None else f"it looks like {likely.text}"
    raise ProblemError(
        "range",
        f"value lies from {low:.4g} to {high:.4g} {unit}: {advice}",
        low=round(low, 2),
        high=round(high, 2),
        unit=unit,
        looks_like="" if likely is None else likely.text,
    )


def _looks_like_g_dl(unit: str, high: float, high_g_dl: float) -> ProblemError:
    return ProblemError(
        "check_unit",
        f"value: more than {high:.4g} {unit} is more than {high_g_dl:g} g/dL, and looks like g/dL: "
        "check the unit; enter a value that is truly so high in g/dL",
        high=round(high, 2),
        unit=unit,
        g_dl=high_g_dl,
        looks_like="g/dL",
    )
