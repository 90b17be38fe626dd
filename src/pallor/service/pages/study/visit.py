"""One request to a page of the study, and what a page answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pallor.service.pages.language import Texts
from pallor.service.pages.settings import PageSettings
from pallor.service.pages.study.forms import Form
from pallor.service.refusals import UnknownError
from pallor.service.study import participants

if TYPE_CHECKING:
    from starlette.requests import Request

    from pallor.service.study.records import Participant, StudySession
    from pallor.service.study.study import Study

_LARGEST_ID = 2**31 - 1
# No more digits: Python refuses to read numbers of some thousand.
_ID = re.compile(r"\d{1,10}", re.ASCII)


@dataclass(frozen=True)
class Visit:
    """One request to a page of the study.

    Attributes
    ----------
    request, study
        What is asked for, and of which study.
    who
        For the audit log.
    t
        Texts.
    settings
        Of the pages.
    posted
        Fields of the form that was sent; empty where the page is only looked at.
    """

    request: Request
    study: Study
    who: str
    t: Texts
    settings: PageSettings
    posted: Mapping[str, str] = field(default_factory=dict)

    @property
    def code(self) -> str:
        """Code of the participant whose page it is."""
        return str(self.request.path_params["code"])

    @property
    def session_name(self) -> str:
        """Name of the session whose page it is."""
        return str(self.request.path_params["name"])

    def id(self, name: str) -> int:
        """Return a number of the address.

        Raises
        ------
        UnknownError
            If it is none, or larger than any that was given out.
        """
        text = str(self.request.path_params[name])
        if _ID.fullmatch(text) is None or not 0 < int(text) <= _LARGEST_ID:
            raise UnknownError("there is no such page")
        return int(text)

    @cached_property
    def participant(self) -> Participant:
        """The participant whose page it is, read once: every reading stands in the audit log.

        Raises
        ------
        UnknownError
            There is none.
        """
        return participants.get(self.study, self.code, self.who)

    def session(self) -> tuple[Participant, StudySession]:
        """Return the session whose page it is, and its participant.

        Raises
        ------
        UnknownError
            There is none.
        """
        participant = self.participant
        found = participant.session(self.session_name)
        if found is None:
            raise UnknownError("there is no such session")
        return participant, found


@dataclass(frozen=True)
class Shown:
    """What a page shows.

    Attributes
    ----------
    template
        Name of a file in ``templates``.
    values
        For it.
    script_texts
        Beginnings of the keys whose texts its script needs.
    simulated
        Whether any of it was simulated.
    moved, parameters
        Another path that shows it, and what its address says; nothing else counts then.
    """

    template: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    script_texts: tuple[str, ...] = ()
    simulated: bool = False
    moved: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Saved:
    """Where to go after something was saved.

    Attributes
    ----------
    path
        Of a page.
    notice
        What was saved: a text ``study.saved.NOTICE`` on that page.
    part
        Of the page, where it matters.
    """

    path: str
    notice: str
    part: str = ""


def _nothing(visit: Visit) -> Mapping[str, str]:  # noqa: ARG001
    return {}


@dataclass(frozen=True)
class Page:
    """One page.

    Attributes
    ----------
    show
        What it shows, with its form.
    save
        What its form does; None for a page that is only looked at. It raises
        `InvalidFieldsError` and others of `pallor.service.refusals`.
    start
        What the form holds before anybody wrote into it.
    """

    show: Callable[[Visit, Form], Shown]
    save: Callable[[Visit], Saved] | None = None
    start: Callable[[Visit], Mapping[str, str]] = _nothing


def participant_path(code: str, *more: str) -> str:
    """Return the path of a participant's page, or of one below it."""
    return "/".join(["/study/participants", *(quote(part, safe="") for part in (code, *more))])


def session_path(code: str, name: str, *more: str) -> str:
    """Return the path of a session's page, or of one below it."""
    return participant_path(code, "sessions", name, *more)


def today() -> str:
    """Return today's date, ISO 8601, where the service stands."""
    return date.today().isoformat()
