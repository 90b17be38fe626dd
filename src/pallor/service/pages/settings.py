"""What the pages are told by the application that they are attached to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from starlette.requests import Request

    from pallor.service.security.principal import Principal
    from pallor.service.study.study import Study


@dataclass(frozen=True)
class PageSettings:
    """How the pages behave.

    Attributes
    ----------
    recording_s
        Length of a recording in the browser, s. A pulse needs at least 10 s; tests record shorter.
    bits_per_second
        Asked of the browser's encoder. Default rates of browsers (2.5 Mbit/s) destroy the pulse.
    hint_interval_s
        Time between two small pictures that are sent for live hints, s.
    max_bytes
        Largest upload; the page refuses larger files before they are sent.
    """

    recording_s: float = 30.0
    bits_per_second: int = 10_000_000
    hint_interval_s: float = 0.5
    max_bytes: int = 500 * 1024 * 1024

    def __post_init__(self) -> None:
        if self.bits_per_second < 8_000_000:
            raise ValueError("bits_per_second is below 8 Mbit/s, at which the pulse is lost")


class PageSources(Protocol):
    """Where the pages read from.

    ``job`` and ``models`` may block: pages run in worker threads. The others answer at once.
    """

    def job(self, request: Request, job_id: str) -> Mapping[str, Any] | None:
        """Return what ``GET /v1/estimates/{id}`` answers, or None where there is no such job.

        Read are ``id``, ``state``, ``stage``, ``share``, ``code``, ``text``, ``result`` and
        ``options`` (``sex``, ``age_years``, ``pregnancy``, ``altitude_m``, ``smoking``). A job
        of somebody else is None too.
        """
        ...

    def models(self, request: Request) -> Sequence[Mapping[str, Any]]:
        """Return the cards of the loaded models: the metadata of a model file, and ``name``."""
        ...

    def csrf_token(self, request: Request) -> str:
        """Return the token that scripts send back as ``X-CSRF-Token``; empty where none is used."""
        ...

    def principal(self, request: Request) -> Principal:
        """Return who asks."""
        ...

    def study(self, request: Request) -> Study | None:
        """Return the study; None for a reader who may not see it."""
        ...

    async def take_clip(self, request: Request, code: str, session_name: str) -> None:
        """Take the clip of a form into the study; its field ``csrf`` holds the token.

        Raises
        ------
        RefusalError
            Why not.
        """
        ...
