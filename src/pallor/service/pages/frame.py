"""What stands around the content of every page."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pallor.service.pages.rendering import words_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from pallor.service.pages.settings import PageSources


def frame(
    request: Request,
    sources: PageSources,
    *,
    here: str = "",
    script_texts: tuple[str, ...] = (),
    simulated: bool = False,
) -> dict[str, Any]:
    """Return what ``base.html.j2`` shows beside the content.

    Parameters
    ----------
    request, sources
        Who asks, and where pages read from.
    here
        Path of the link in the navigation that is the present one.
    script_texts
        Beginnings of the keys whose texts a script needs.
    simulated
        Whether what is shown was simulated.
    """
    words = words_of(request)
    return {
        "here": here,
        "csrf": sources.csrf_token(request),
        "may_study": sources.study(request) is not None,
        "simulated": simulated,
        "script_texts": json.dumps(
            {k: v for prefix in script_texts for k, v in words.family(prefix).items()},
            ensure_ascii=False,
        ),
    }
