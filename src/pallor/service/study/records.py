"""What a study holds, as the REST interface, the pages and the export see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Consent:
    """What a participant agreed to.

    Attributes
    ----------
    version
        Of the text that was shown.
    language
        It was shown in; ``und`` in older consents where it was not told.
    keeps_video
        Whether clips may be kept. Where not, none is taken.
    given_s
        Seconds since 1970.
    recorded_by
        As in the audit log.
    """

    version: str
    language: str
    keeps_video: bool
    given_s: float
    recorded_by: str | None


@dataclass(frozen=True)
class HemoglobinValue:
    """One reference value.

    Attributes
    ----------
    id
        Of the value.
    value, unit
        As it was entered: ``g/dL``, ``g/L`` or ``mmol/L``.
    hemoglobin_g_dl
        The same in g/dL.
    method
        ``venous_cbc``, ``capillary_poc``, ...: the ``reference_method`` of a cohort table.
    measured_on
        Date, ISO 8601; None where not known.
    """

    id: int
    value: float
    unit: str
    hemoglobin_g_dl: float
    method: str
    measured_on: str | None


@dataclass(frozen=True)
class StudyClip:
    """One clip that the study keeps, and what checking it found.

    Attributes
    ----------
    id
        Of the clip.
    camera
        That recorded it.
    bytes, sha256
        Of the file.
    simulated
        Whether it is no recording of a person.
    created_s
        When it arrived, seconds since 1970.
    state
        Of the check: ``queued``, ``running``, ``done`` or ``failed``.
    share
        Of the check that is done, 0..1.
    check
        Once done: ``usable``, ``reasons``, ``warnings`` (lists of ``code`` and ``text``),
        ``duration_s``, ``fps``, ``frames``, ``face_coverage``, ``heart_rate_bpm``, ``snr_db``,
        ``simulated``.
    code, text
        Why the check failed.
    """

    id: int
    camera: str | None
    bytes: int
    sha256: str
    simulated: bool
    created_s: float
    state: str
    share: float = 0.0
    check: Mapping[str, Any] | None = None
    code: str | None = None
    text: str | None = None

    @property
    def usable(self) -> bool | None:
        """Whether a pulse can be read; None before it is known. A failed check is False."""
        if self.state == "failed":
            return False
        return None if self.check is None else bool(self.check.get("usable"))


@dataclass(frozen=True)
class StudySession:
    """One visit.

    Attributes
    ----------
    name
        Unique to the participant.
    date
        ISO 8601; None where not known.
    site
        Where it was.
    pregnancy
        At this visit; None: as the participant's own entry says.
    hemoglobin, clips
        In the order in which they were entered.
    """

    name: str
    date: str | None
    site: str | None
    pregnancy: str | None
    hemoglobin: tuple[HemoglobinValue, ...] = ()
    clips: tuple[StudyClip, ...] = ()


@dataclass(frozen=True)
class Participant:
    """One person under a code.

    Attributes
    ----------
    id
        Number under which the audit log names the person; never given to another.
    code
        That the study chose.
    sex, age_years, pregnancy, altitude_m, smoking
        As in `pallor.anemia.person.Person`; None where not known.
    note
        Free text of the study team.
    created_s, changed_s
        Seconds since 1970.
    consent
        The latest.
    sessions
        In the order of their dates.
    """

    id: int
    code: str
    sex: str | None
    age_years: float | None
    pregnancy: str | None
    altitude_m: float | None
    smoking: str | None
    note: str | None
    created_s: float
    changed_s: float
    consent: Consent | None
    sessions: tuple[StudySession, ...] = ()

    def session(self, name: str) -> StudySession | None:
        """Return a visit by its name."""
        return next((found for found in self.sessions if found.name == name), None)


@dataclass(frozen=True)
class ParticipantLine:
    """A participant in a list.

    Attributes
    ----------
    code, sex, age_years
        As in `Participant`.
    sessions, clips, usable_clips, hemoglobin_values
        How many.
    sessions_without_hemoglobin
        Visits with a clip whose blood value is still to come.
    keeps_video
        Of the latest consent.
    """

    code: str
    sex: str | None
    age_years: float | None
    sessions: int
    clips: int
    usable_clips: int
    hemoglobin_values: int
    sessions_without_hemoglobin: int
    keeps_video: bool


@dataclass(frozen=True)
class StudySummary:
    """How far a study is.

    Attributes
    ----------
    participants, sessions, clips, usable_clips
        How many.
    sessions_without_hemoglobin
        Visits with a clip whose blood value is still to come.
    participants_without_clip
        Who would be missing in an export.
    simulated_clips
        That are no recordings of people.
    """

    participants: int
    sessions: int
    clips: int
    usable_clips: int
    sessions_without_hemoglobin: int
    participants_without_clip: int
    simulated_clips: int
