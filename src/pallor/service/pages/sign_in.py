"""The page that asks for a key; the application decides who has to see it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pallor.service.pages.rendering import answer, words_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import HTMLResponse


def sign_in_page(
    request: Request,
    action: str,
    *,
    to: str = "",
    kept: str = "",
    code: str | None = None,
    text: str = "",
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """Answer the form that asks for a key.

    Parameters
    ----------
    request
        Tells the language.
    action
        Path that the form posts its field ``key`` to.
    to
        Path of the page that was asked for, which the form gives back as ``next``.
    kept
        A form that was sent there after its session had ended, percent-encoded: it was not saved,
        and comes back as ``kept``.
    code, text
        Why a key was not taken: the code of an error, and its text for codes without one here.
    status, headers
        Of the answer.
    """
    t = words_of(request)
    problem = "" if code is None else t.first(f"sign_in.{code}", otherwise=text)
    stranger = {"here": "", "simulated": False, "csrf": "", "may_study": False}
    values = {**stranger, "action": action, "problem": problem, "to": to, "kept": kept}
    return answer(request, "sign_in.html.j2", values, status=status, headers=headers)


def signed_in_page(
    request: Request, to: str, kept: Mapping[str, str], csrf_token: str
) -> HTMLResponse:
    """Answer a page that sends a form again that was kept over the end of a session.

    Parameters
    ----------
    request
        Tells the language.
    to
        Path of the form.
    kept
        Its fields.
    csrf_token
        Of the new session.
    """
    stranger = {"here": "", "simulated": False, "csrf": "", "may_study": False}
    values = {**stranger, "to": to, "kept": kept, "token": csrf_token}
    return answer(request, "signed_in.html.j2", values)
