"""JSON bodies: read after the door was passed, bounded, and every wrong field named."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request
from pydantic import BaseModel, ValidationError

from pallor.service.refusals import FieldProblem, InvalidFieldsError, InvalidRequestError
from pallor.service.uploads import read_body

MAX_BYTES = 64 * 1024

_CODES = {
    "missing": "required",
    "extra_forbidden": "unknown_field",
    "string_type": "characters",
    "float_type": "not_a_number",
    "bool_type": "unknown_choice",
}


def body_of(words: type[BaseModel]) -> Callable[[Request], Awaitable[dict[str, Any]]]:
    """Return a dependency that gives a body's fields, only those that were sent.

    The framework itself would read a body of any size, before it asks who sends it. Name this
    dependency behind the one that lets in.

    Parameters
    ----------
    words
        What the body may hold.
    """

    async def body(request: Request) -> dict[str, Any]:
        content = await read_body(request, MAX_BYTES)
        try:
            # Strict: true is no age of 1 year, and "no" is no consent.
            body = words.model_validate_json(content, strict=True)
        except ValidationError as error:
            raise _refusal(error) from None
        return body.model_dump(exclude_unset=True)

    return body


def describe(words: type[BaseModel]) -> dict[str, Any]:
    """Return what the OpenAPI description of a route says about its body."""
    schema = words.model_json_schema()
    parts = schema.pop("$defs", {})
    content = {"application/json": {"schema": _whole(schema, parts)}}
    return {"requestBody": {"required": True, "content": content}}


def _whole(schema: Any, parts: dict[str, Any]) -> Any:
    """Put the parts of a schema in their places."""
    if isinstance(schema, list):
        return [_whole(item, parts) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _whole(parts[schema["$ref"].rpartition("/")[2]], parts)
    return {key: _whole(value, parts) for key, value in schema.items()}


def _refusal(error: ValidationError) -> InvalidRequestError:
    problems: dict[str, FieldProblem] = {}
    for found in error.errors(include_url=False, include_context=False, include_input=False):
        name = ".".join(_shown(part) for part in found["loc"])
        if not name:
            return InvalidRequestError("send one JSON object in UTF-8, without anything around it")
        code = _CODES.get(found["type"], "not_understood")
        # The rule, not the value: what was sent is not repeated.
        problems[name] = FieldProblem(code, f"{name}: {found['msg']}")
        if len(problems) == 20:
            break
    return InvalidFieldsError(problems)


def _shown(part: object) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(part)[:40])
