"""Builds the OpenAPI document of an application from its routes (OpenAPI 3.1.0)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from apispec import APISpec
from apispec_webframeworks.flask import FlaskPlugin
from flask import Flask
from werkzeug.routing import Rule

from booking.controllers.problems import Problem
from booking.middleware.authentication import ADMIN_ROLE, Access, access_of
from booking.openapi.converter import Plugin
from booking.openapi.descriptions import PATH_PARAMETERS
from booking.openapi.headers import REQUEST_HEADERS, response_header
from booking.openapi.operation import JSON_TYPE, Operation, Success, examples_of
from booking.openapi.operations import OPERATIONS
from booking.openapi.problems import (
    all_problems,
    example_of,
    meaning_of,
    problems_of,
    response_of,
)
from booking.openapi.tags import TAGS

OPENAPI_VERSION = "3.1.0"
API_VERSION = "0.1.0"
SECURITY_SCHEME = "bearer"
# Every GET answers HEAD as well, and every path OPTIONS: HTTP says so, and the document need not.
_IMPLIED_METHODS = {"HEAD", "OPTIONS"}
_INTRODUCTION = Path(__file__).with_name("introduction.md")
_ORDER_OF_MEMBERS = ("openapi", "info", "servers", "tags", "paths", "components")
_ID = {"type": "string", "format": "uuid"}
# Roles beyond a valid token (OpenAPI 3.1.0, section 4.8.30): an admin is a user as well.
_ROLES: Mapping[Access, list[str]] = {Access.USER: [], Access.ADMIN: [ADMIN_ROLE]}


def write_document(app: Flask) -> str:
    """Return the document as text, the same for the same code."""
    return json.dumps(build_document(app), indent=2, ensure_ascii=False) + "\n"


def build_document(app: Flask) -> dict[str, Any]:
    """Return the document. Raises KeyError for a route that ``operations`` does not describe."""
    spec = APISpec(
        title="Booking API",
        version=API_VERSION,
        openapi_version=OPENAPI_VERSION,
        plugins=[Plugin()],
        info={
            "summary": "Seats, appointments and tickets, sold once each.",
            "description": _introduction(),
            "license": {"name": "MIT License", "identifier": "MIT"},
        },
        servers=[{"url": "/", "description": "The server that serves this document."}],
        tags=[{"name": name, "description": text} for name, text in TAGS.items()],
    )
    spec.components.security_scheme(
        SECURITY_SCHEME,
        {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": (
                "A JSON Web Token of the user, `sub`, with an `exp`; `role: admin` for admins. "
                "`python -m booking token --user NAME [--admin]` makes one for development."
            ),
        },
    )
    for name, header in REQUEST_HEADERS.items():
        spec.components.parameter(name, "header", {"name": name, **header, "required": False})
    for problem in all_problems():
        spec.components.example(problem.code, example_of(problem))
    responses = _Responses(spec)
    for rule, method in sorted(_routes(app), key=_order):
        operation = OPERATIONS[rule.endpoint]
        access = access_of(app.view_functions[rule.endpoint]) or Access.ADMIN
        spec.path(
            FlaskPlugin.flaskpath2openapi(rule.rule),
            operations={method.lower(): _operation(rule, method, operation, access, responses)},
        )
    responses.add_unrouted()
    document = spec.to_dict()
    return {name: document[name] for name in _ORDER_OF_MEMBERS}


def _introduction() -> str:
    rows = "\n".join(
        f"| `{problem.code}` | {problem.status}{', later' if problem.retry_after else ''} "
        f"| {meaning_of(problem)} |"
        for problem in all_problems()
    )
    return _INTRODUCTION.read_text(encoding="utf-8").replace("{problems}", rows)


def _routes(app: Flask) -> Iterator[tuple[Rule, str]]:
    for rule in app.url_map.iter_rules():
        for method in (rule.methods or set()) - _IMPLIED_METHODS:
            yield rule, method


def _order(route: tuple[Rule, str]) -> tuple[int, int]:
    rule, _ = route
    names = list(OPERATIONS)
    return list(TAGS).index(OPERATIONS[rule.endpoint].tag), names.index(rule.endpoint)


def _operation(
    rule: Rule, method: str, operation: Operation, access: Access, responses: _Responses
) -> dict[str, Any]:
    problems = problems_of(
        operation,
        access=access,
        method=method,
        takes_id=bool(rule.arguments),
        uses_database=rule.rule.startswith("/api/"),
    )
    described: dict[str, Any] = {
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.description,
        "operationId": _operation_id(rule.endpoint),
        "security": [{SECURITY_SCHEME: _ROLES[access]}] if access in _ROLES else [],
        "parameters": [*_parameters(rule, operation)],
        "responses": {
            str(operation.success.status): _success(operation.success),
            **_not_modified(operation),
            **responses.of(problems),
        },
    }
    if operation.body:
        described["requestBody"] = {
            "required": True,
            "content": {
                JSON_TYPE: {
                    "schema": operation.body.schema,
                    "examples": examples_of(operation.body.examples),
                }
            },
        }
    return described


def _operation_id(endpoint: str) -> str:
    blueprint, _, view = endpoint.rpartition(".")
    words = view.split("_")
    if blueprint.startswith("admin_"):
        words.insert(0, "admin")
    return words[0] + "".join(word.capitalize() for word in words[1:])


def _parameters(rule: Rule, operation: Operation) -> Iterator[Any]:
    for name in sorted(rule.arguments):
        choices = getattr(rule._converters[name], "items", None)
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "description": PATH_PARAMETERS[name],
            "schema": _ID if choices is None else {"type": "string", "enum": sorted(choices)},
        }
    yield {"in": "query", "schema": operation.query}
    headers = (*operation.headers, *(("If-None-Match",) if operation.is_revalidated else ()))
    yield from (*headers, "X-Request-ID")


def _success(success: Success) -> dict[str, Any]:
    headers = {
        **{name: response_header(name, required=True) for name in success.headers},
        **{name: response_header(name, required=False) for name in success.sometimes},
        "X-Request-ID": response_header("X-Request-ID", required=True),
    }
    described: dict[str, Any] = {"description": success.description, "headers": headers}
    if success.content:
        described["content"] = dict(success.content)
    if success.links:
        described["links"] = dict(success.links)
    return described


def _not_modified(operation: Operation) -> Mapping[str, Any]:
    if not operation.is_revalidated:
        return {}
    headers = {
        "ETag": response_header("ETag", required=True),
        "X-Request-ID": response_header("X-Request-ID", required=True),
    }
    return {"304": {"description": "It is what you have.", "headers": headers}}


class _Responses:
    """The answers to errors: each set of problems of one status stands in the document once."""

    def __init__(self, spec: APISpec) -> None:
        self._spec = spec
        self._names: set[str] = set()
        self._codes: set[str] = set()

    def of(self, problems: Sequence[Problem]) -> dict[str, str]:
        """Return each status with the name of its answer."""
        return {
            str(status): self._name(list(group))
            for status, group in groupby(problems, key=lambda problem: problem.status)
        }

    def add_unrouted(self) -> None:
        """Add the answers that belong to no operation: an unknown path, an unknown method."""
        for problem in all_problems():
            if problem.code not in self._codes:
                self._name([problem])

    def _name(self, problems: list[Problem]) -> str:
        name = ".".join(problem.code for problem in problems)
        self._codes.update(problem.code for problem in problems)
        if name not in self._names:
            self._names.add(name)
            self._spec.components.response(name, response_of(problems))
        return name
