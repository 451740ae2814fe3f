"""What an operation says of itself beyond what its route, its access and its schemas say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from marshmallow import Schema

from booking.errors import DomainError
from booking.schemas.pagination import NoQuery

JSON_TYPE = "application/json"


@dataclass(frozen=True)
class Example:
    """A body to show, under a name that is unique in its list."""

    name: str
    summary: str
    body: Mapping[str, Any]


@dataclass(frozen=True)
class Body:
    """What is sent: one JSON object."""

    schema: type[Schema]
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class Success:
    """What comes back when it is done. ``headers`` are always there, ``sometimes`` where their
    description says so; ``links`` lead to operations that take the answer's id.
    """

    description: str
    content: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    headers: tuple[str, ...] = ()
    sometimes: tuple[str, ...] = ()
    links: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Operation:
    """One method of one route.

    ``problems`` are the errors of its own. Those that follow from what it is (who may call it, that
    it takes a body, an id, the database) are added by ``problems``. ``takes_no_body``: a body is
    read, but must be empty or an empty object. ``is_probe``: it is never turned away for load.
    ``is_revalidated``: it honours If-None-Match.
    """

    tag: str
    summary: str
    description: str
    success: Success
    query: type[Schema] = NoQuery
    body: Body | None = None
    headers: tuple[str, ...] = ()
    problems: tuple[type[DomainError], ...] = ()
    takes_no_body: bool = False
    is_probe: bool = False
    is_revalidated: bool = False


def one(
    schema: type[Schema],
    description: str,
    *examples: Example,
    status: int = 200,
    headers: tuple[str, ...] = (),
    sometimes: tuple[str, ...] = (),
    links: Mapping[str, Any] | None = None,
) -> Success:
    """Return the success that carries one object."""
    content = _content(
        schema,
        {"type": "object", "description": "Empty for a single object.", "maxProperties": 0},
        [Example(each.name, each.summary, {"data": each.body, "meta": {}}) for each in examples],
    )
    return Success(description, content, status, headers, sometimes, links or {})


def page(
    schema: type[Schema],
    meta: type[Schema],
    description: str,
    *examples: Example,
) -> Success:
    """Return the success that carries some rows of a list; the examples' bodies are whole."""
    content = _content({"type": "array", "items": schema}, meta, examples)
    return Success(description, content, sometimes=("Link",))


def examples_of(examples: tuple[Example, ...] | list[Example]) -> dict[str, Any]:
    """Return examples in the form of the document (OpenAPI 3.1.0, section 4.8.19)."""
    return {each.name: {"summary": each.summary, "value": each.body} for each in examples}


def _content(data: Any, meta: Any, examples: Any) -> dict[str, Any]:
    schema = {
        "type": "object",
        "required": ["data", "meta"],
        "properties": {"data": data, "meta": meta},
    }
    return {JSON_TYPE: {"schema": schema, "examples": examples_of(examples)}}


def link(operation_id: str, parameter: str, description: str) -> dict[str, Any]:
    """Return the link from an answer with one object to an operation that takes its id."""
    return {
        "operationId": operation_id,
        "parameters": {parameter: "$response.body#/data/id"},
        "description": description,
    }
