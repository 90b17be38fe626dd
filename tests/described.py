"""Holds what is served against the OpenAPI description."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

from pallor.service.app import create_app
from pallor.service.settings import ServiceSettings


@cache
def schemas() -> dict[str, Any]:
    """Return the named schemas of the description."""
    with tempfile.TemporaryDirectory() as folder:
        return create_app(ServiceSettings(Path(folder) / "data")).openapi()["components"]["schemas"]


def hold_against(value: object, name: str) -> None:
    """Fail where a value is not as described, or has a field that is not described."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": _closed()}}
    jsonschema_rs.validator_for(schema).validate(value)


@cache
def _closed() -> dict[str, Any]:
    """Return the schemas without the permission to hold more than they tell."""
    return {
        name: {**schema, "additionalProperties": False} if "properties" in schema else schema
        for name, schema in schemas().items()
    }
