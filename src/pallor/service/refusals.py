"""What the service refuses, each with its HTTP status; the text is safe to show to anybody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from pallor.errors import PallorError


class RefusalError(PallorError):
    """A request that is answered with an error.

    Parameters
    ----------
    message
        One line without a path or another person's data: it goes out as it is.
    headers
        Of the answer, such as ``Retry-After``.
    """

    code = "refused"
    status: ClassVar[int] = 400

    def __init__(self, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.headers: dict[str, str] = dict(headers or {})


class InvalidRequestError(RefusalError):
    """A field, parameter or body that does not make sense."""

    code = "invalid"
    status = 422


@dataclass(frozen=True)
class FieldProblem:
    """Why a field was not taken.

    Attributes
    ----------
    code
        One word for the catalogs of the pages, such as ``required``, ``range``, ``taken``.
    text
        One line in English that names the field and what to enter.
    values
        For the places of a text in a catalog.
    """

    code: str
    text: str
    values: Mapping[str, object] = field(default_factory=dict)


class InvalidFieldsError(InvalidRequestError):
    """Fields of a form that cannot be taken, each with its reason.

    Parameters
    ----------
    problems
        By the name of the field.
    """

    def __init__(self, problems: Mapping[str, FieldProblem]) -> None:
        super().__init__("; ".join(problem.text for problem in problems.values()))
        self.problems = dict(problems)


class MalformedUploadError(RefusalError):
    """The body is not the multipart form that was promised."""

    code = "malformed"


class ClientGoneError(RefusalError):
    """The connection broke before the request was complete; nobody reads the answer."""

    code = "gone"


class NoKeyError(RefusalError):
    """No key, or one that does not exist or was revoked."""

    code = "no_key"
    status = 401

    def __init__(self, message: str) -> None:
        super().__init__(message, {"WWW-Authenticate": "Bearer"})


class RoleError(RefusalError):
    """The key's role does not allow this."""

    code = "role"
    status = 403


class CrossSiteError(RefusalError):
    """The request seems to come from a page of another site."""

    code = "cross_site"
    status = 403


class UnknownError(RefusalError):
    """There is no such thing, or it belongs to somebody else: the answer is the same."""

    code = "unknown"
    status = 404


class NotAcceptableError(RefusalError):
    """No form of the answer is one that the client accepts."""

    code = "not_acceptable"
    status = 406


class NotReadyError(RefusalError):
    """What is asked for does not exist yet."""

    code = "not_ready"
    status = 409


class FailedError(RefusalError):
    """What is asked for will never exist: the job that should have made it failed."""

    code = "failed"
    status = 409


class ConflictError(RefusalError):
    """What is asked for does not go with what is there already."""

    code = "conflict"
    status = 409


class NoConsentError(RefusalError):
    """The participant has not agreed to this."""

    code = "no_consent"
    status = 409


class TooSlowError(RefusalError):
    """The upload stood still, or took longer than is allowed."""

    code = "too_slow"
    status = 408


class TooLargeError(RefusalError):
    """More bytes than the limit."""

    code = "too_large"
    status = 413


class WrongTypeError(RefusalError):
    """The content is of no type that is read here."""

    code = "wrong_type"
    status = 415


class TooManyRequestsError(RefusalError):
    """The rate limit."""

    code = "too_many_requests"
    status = 429

    def __init__(self, wait_s: float) -> None:
        seconds = max(1, round(wait_s + 0.5))
        super().__init__(
            f"too many requests; try again in {seconds} s", {"Retry-After": str(seconds)}
        )


class BusyError(RefusalError):
    """The service cannot take this now."""

    code = "busy"
    status = 503

    def __init__(self, message: str, wait_s: int = 10) -> None:
        super().__init__(message, {"Retry-After": str(wait_s)})


class NoModelError(RefusalError):
    """An estimate was asked for where no model is loaded."""

    code = "no_model"
    status = 409
