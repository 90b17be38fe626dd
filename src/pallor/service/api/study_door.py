"""Who works on the study, for its resources."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import Depends, Path, Request

from pallor.service.api.study_words import LARGEST_ID
from pallor.service.security.guard import allow
from pallor.service.services import services_of

if TYPE_CHECKING:
    from pallor.service.study.study import Study

T = TypeVar("T")


@dataclass(frozen=True)
class StudyUse:
    """A study in somebody's hands.

    Attributes
    ----------
    study
        Of the application.
    who
        For the audit log.
    key_id
        Of the key; None without one.
    """

    study: Study
    who: str
    key_id: str | None

    async def do(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function of the study in a thread: its last argument is who does it."""
        return await asyncio.to_thread(function, self.study, *arguments, self.who)


def use_study(rate: str = "general") -> Callable[[Request], Awaitable[StudyUse]]:
    """Return a dependency that lets in who may work on the study.

    Parameters
    ----------
    rate
        Kind of request, a field of `Rates`.
    """
    admit = allow("study", rate=rate)

    async def use(request: Request) -> StudyUse:
        principal = await admit(request)
        return StudyUse(services_of(request).study, principal.name, principal.key_id)

    return use


Use = Annotated[StudyUse, Depends(use_study())]
Id = Annotated[int, Path(ge=1, le=LARGEST_ID)]
