"""What the OpenAPI description says of who may ask; the door itself is the guard."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from pallor.service.security.origin import SAFE_METHODS

OPEN = frozenset({("get", "/healthz"), ("get", "/readyz"), ("post", "/v1/session")})
"""Method and path of what anybody may ask for."""

_KEY, _SESSION, _CSRF = "key", "session", "csrf"


class DescribedApp(FastAPI):
    """An application whose description says that a key is needed, and where.

    Parameters
    ----------
    cookie
        Name of the cookie of pages.
    settings
        As `FastAPI` takes them.
    """

    def __init__(self, *, cookie: str, **settings: Any) -> None:
        super().__init__(**settings)
        self._cookie = cookie

    def openapi(self) -> dict[str, Any]:
        """Return the description."""
        if self.openapi_schema is None:
            self.openapi_schema = with_security(super().openapi(), self._cookie)
        return self.openapi_schema


def with_security(description: dict[str, Any], cookie: str) -> dict[str, Any]:
    """Return a description that says of each operation what lets one in.

    Parameters
    ----------
    description
        An OpenAPI document.
    cookie
        Name of the cookie of pages.
    """
    paths = {
        path: {
            method: {**operation, "security": _security(method, path)}
            for method, operation in operations.items()
        }
        for path, operations in description["paths"].items()
    }
    components = {**description.get("components", {}), "securitySchemes": _schemes(cookie)}
    return {**description, "paths": paths, "components": components}


def _security(method: str, path: str) -> list[dict[str, list[str]]]:
    if (method, path) in OPEN:
        return []
    changes = method.upper() not in SAFE_METHODS
    session: dict[str, list[str]] = {_SESSION: [], _CSRF: []} if changes else {_SESSION: []}
    return [{_KEY: []}, session]


def _schemes(cookie: str) -> dict[str, dict[str, str]]:
    return {
        _KEY: {
            "type": "http",
            "scheme": "bearer",
            "description": "A key of pallor keys add. On loopback a service that has no keys asks "
            "for none.",
        },
        _SESSION: {
            "type": "apiKey",
            "in": "cookie",
            "name": cookie,
            "description": "Of POST /v1/session: for pages of this service, not for others.",
        },
        _CSRF: {
            "type": "apiKey",
            "in": "header",
            "name": "X-CSRF-Token",
            "description": "The csrf_token of GET or POST /v1/session; a change that comes with "
            "the cookie needs it.",
        },
    }
