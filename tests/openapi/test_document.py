"""The document is valid, complete and true to the code that it is made from."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from apispec_webframeworks.flask import FlaskPlugin
from flask import Flask
from flask.testing import FlaskClient
from jsonschema_rs import Draft202012Validator
from marshmallow import Schema
from openapi_spec_validator import OpenAPIV31SpecValidator

from booking.app import PROBES, create_app
from booking.config import AuthConfig, AuthMode, Config
from booking.middleware.authentication import Access, access_of
from booking.openapi.answers import ProblemOut
from booking.openapi.converter import is_output
from booking.openapi.descriptions import DESCRIPTIONS, PATH_PARAMETERS, describe
from booking.openapi.document import API_VERSION, build_document
from booking.openapi.headers import REQUEST_HEADERS, RESPONSE_HEADERS
from booking.openapi.operations import OPERATIONS
from booking.openapi.tags import TAGS
from booking.schemas.bookings import BookingCreate
from booking.schemas.slots import SlotChange, SlotCreate
from tests.openapi.documents import operations_of, resolve

ROOT = Path(__file__).resolve().parents[2]
IMPLIED_METHODS = {"HEAD", "OPTIONS"}
COMMAND = "python -m booking openapi > docs/openapi.json"


def routes_of(app: Flask) -> Iterator[tuple[str, str, str]]:
    for rule in app.url_map.iter_rules():
        for method in (rule.methods or set()) - IMPLIED_METHODS:
            yield FlaskPlugin.flaskpath2openapi(rule.rule), method, rule.endpoint


def faults_of(document: dict[str, Any], schema: dict[str, Any], value: Any) -> list[str]:
    """Return what of a value breaks a schema, which may refer into the document."""
    whole = {**schema, "components": document["components"]}
    validator = Draft202012Validator(whole, validate_formats=True)
    return [error.message for error in validator.iter_errors(value)]


def media_of(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return each body that is sent or comes back, and where it stands."""
    for path, method, operation in operations_of(document):
        bodies = {"request": operation.get("requestBody", {}), **operation["responses"]}
        for place, body in bodies.items():
            for media in resolve(document, body).get("content", {}).values():
                yield f"{method} {path} {place}", media


def test_it_is_valid(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(document).validate()


def test_the_committed_copy_is_what_is_served(client: FlaskClient) -> None:
    committed = (ROOT / "docs" / "openapi.json").read_bytes()
    assert client.get("/openapi.json").get_data() == committed, f"run: {COMMAND}"


def test_both_modes_serve_the_same(config: Config, client: FlaskClient) -> None:
    auth = AuthConfig(AuthMode.JWT, jwt_algorithm="HS256", jwt_secret="s" * 32)
    app = create_app(replace(config, auth=auth))
    try:
        served = app.test_client().get("/openapi.json").get_data()
    finally:
        app.extensions["booking"].pool.close()
    assert served == client.get("/openapi.json").get_data()


def test_every_route_is_in_it_and_nothing_else(
    client: FlaskClient, document: dict[str, Any]
) -> None:
    routes = {(path, method) for path, method, _ in routes_of(client.application)}
    assert {(path, method) for path, method, _ in operations_of(document)} == routes
    assert {endpoint for _, _, endpoint in routes_of(client.application)} == set(OPERATIONS)


def test_a_route_without_its_entry_is_an_error(client: FlaskClient) -> None:
    client.application.add_url_rule("/forgotten", "forgotten", lambda: "")
    with pytest.raises(KeyError, match="forgotten"):
        build_document(client.application)


def test_security_is_what_each_view_declares(client: FlaskClient, document: dict[str, Any]) -> None:
    wanted: dict[Access | None, list[Any]] = {
        Access.ALL: [],
        Access.USER: [{"bearer": []}],
        Access.ADMIN: [{"bearer": ["admin"]}],
    }
    scheme = document["components"]["securitySchemes"]["bearer"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    for path, method, endpoint in routes_of(client.application):
        operation = document["paths"][path][method.lower()]
        access = access_of(client.application.view_functions[endpoint])
        assert operation["security"] == wanted[access], (method, path)
        assert ("401" in operation["responses"]) is (access is not Access.ALL)


def test_every_operation_says_what_it_is(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, _, operation in operations_of(document)]
    assert len(ids) == len(set(ids))
    assert [tag["name"] for tag in document["tags"]] == list(TAGS)
    for path, method, operation in operations_of(document):
        assert operation["summary"], (method, path)
        assert operation["description"].endswith("."), (method, path)
        assert set(operation["tags"]) < set(TAGS)
        for parameter in operation["parameters"]:
            assert resolve(document, parameter)["description"], (method, path)


def test_every_body_has_examples_that_validate(document: dict[str, Any]) -> None:
    seen = 0
    for place, media in media_of(document):
        is_prose = media["schema"].get("type") == "string" or media["schema"] == {"type": "object"}
        assert media.get("examples") or is_prose, f"{place}: no example"
        for name, example in media.get("examples", {}).items():
            value = resolve(document, example)["value"]
            assert faults_of(document, media["schema"], value) == [], f"{place} {name}"
            assert faults_of(document, media["schema"], "no object"), f"{place} {name}"
            seen += 1
    assert seen > 100


def test_examples_of_requests_are_what_the_schemas_load(document: dict[str, Any]) -> None:
    schemas: dict[tuple[str, str], Schema] = {
        ("/api/bookings", "POST"): BookingCreate(),
        ("/api/admin/slots", "POST"): SlotCreate(),
        ("/api/admin/slots/{slot_id}", "PATCH"): SlotChange(),
    }
    with_body = {
        (path, method): operation["requestBody"]["content"]["application/json"]["examples"]
        for path, method, operation in operations_of(document)
        if "requestBody" in operation
    }
    assert set(with_body) == set(schemas)
    for route, examples in with_body.items():
        for example in examples.values():
            assert schemas[route].load(example["value"])


def test_every_description_is_used(document: dict[str, Any]) -> None:
    """A sentence about a field that has gone is as wrong as none about one that came."""
    used = {describe(schema, name) for schema, name in _fields()}
    assert set(DESCRIPTIONS.values()) == used
    path_parameters = {
        parameter["name"]
        for _, _, operation in operations_of(document)
        for parameter in operation["parameters"]
        if parameter.get("in") == "path"
    }
    assert path_parameters == set(PATH_PARAMETERS)


def _fields() -> Iterator[tuple[type[Schema], str]]:
    for schema in _subclasses(Schema):
        if schema.__module__.startswith(("booking.schemas", "booking.openapi")):
            for name, field in schema().fields.items():
                yield schema, field.data_key or name


def _subclasses(kind: type[Schema]) -> Iterator[type[Schema]]:
    for each in kind.__subclasses__():
        yield each
        yield from _subclasses(each)


def test_what_goes_out_is_whole_and_what_comes_in_is_closed(document: dict[str, Any]) -> None:
    kinds = {schema.__name__: schema for schema in _subclasses(Schema)}
    for name, schema in document["components"]["schemas"].items():
        if f"{name}Out" in kinds:
            assert is_output(kinds[f"{name}Out"]())
            optional = set(schema["properties"]) - set(schema["required"])
            assert optional == ({"max_seats_per_user"} if name == "Slot" else set()), name
            assert "additionalProperties" not in schema
        else:
            assert schema["additionalProperties"] is False, name


@pytest.mark.parametrize(
    ("schema", "field", "wanted"),
    [
        ("SlotCreate", "doctor_name", {"type": "string", "minLength": 1, "maxLength": 200}),
        ("SlotCreate", "specialization", {"type": ["string", "null"], "maxLength": 200}),
        ("SlotCreate", "start_time", {"type": "string", "format": "date-time"}),
        (
            "SlotCreate",
            "duration_minutes",
            {"type": ["integer", "null"], "minimum": 1, "maximum": 10_080},
        ),
        ("SlotCreate", "total_capacity", {"type": "integer", "minimum": 1, "maximum": 1_000_000}),
        ("SlotChange", "status", {"type": "string", "enum": ["OPEN", "CLOSED"]}),
        ("BookingCreate", "slot_id", {"type": "string", "format": "uuid"}),
        ("BookingCreate", "num_seats", {"type": "integer", "minimum": 1, "maximum": 1000}),
        ("BookingCreate", "hold", {"type": "boolean", "default": False}),
        ("Booking", "failure_reason", {"type": ["string", "null"], "enum": ["EXPIRED", None]}),
        ("Booking", "expires_at", {"type": ["string", "null"], "format": "date-time"}),
        ("Slot", "remaining_capacity", {"type": "integer", "minimum": 0, "maximum": 1_000_000}),
    ],
)
def test_fields_have_the_contracts_bounds(
    document: dict[str, Any], schema: str, field: str, wanted: dict[str, Any]
) -> None:
    found = document["components"]["schemas"][schema]["properties"][field]
    assert wanted.items() <= found.items()


@pytest.mark.parametrize(
    ("key", "is_fit"),
    [
        ("a", True),
        ("x" * 255, True),
        ("x" * 256, False),
        ("", False),
        ('"quoted"', True),
        (r'"with \" and \\"', False),
        (r'"with\"and\\"', True),
        ('"', False),
        ('""', False),
        ('"x', False),
        ("with space", False),
        ("ü", False),
        ('in"side', True),
    ],
)
def test_the_keys_pattern_is_the_servers_rule(
    client: FlaskClient, key: str, *, is_fit: bool
) -> None:
    pattern = REQUEST_HEADERS["Idempotency-Key"]["schema"]["pattern"]
    assert bool(re.search(pattern, key)) is is_fit
    answer = client.post("/api/bookings", json={}, headers={"Idempotency-Key": key})
    assert (answer.get_json()["code"] != "IDEMPOTENCY_KEY_INVALID") is is_fit


def test_every_header_is_documented_where_it_is_sent(document: dict[str, Any]) -> None:
    found: dict[str, set[str]] = {name: set() for name in RESPONSE_HEADERS}
    for path, method, operation in operations_of(document):
        for status, reference in operation["responses"].items():
            headers = resolve(document, reference)["headers"]
            assert headers["X-Request-ID"]["required"] is True, (method, path, status)
            for name in headers:
                found[name].add(f"{method} {path} {status}")
            is_later = status in {"429", "503"}
            assert ("Retry-After" in headers) is (is_later or _may_wait(document, reference))
            assert not is_later or headers["Retry-After"]["required"]
            assert ("WWW-Authenticate" in headers) is (status == "401")
    one_slot = {
        "GET /api/slots/{slot_id} 200",
        "GET /api/admin/slots/{slot_id} 200",
        "POST /api/admin/slots 201",
        "PATCH /api/admin/slots/{slot_id} 200",
    }
    assert {place for place in found["ETag"] if "/api/" in place} == one_slot
    assert found["Location"] == {"POST /api/admin/slots 201", "POST /api/bookings 201"}
    assert found["Idempotency-Replayed"] == {"POST /api/bookings 201"}
    assert found["Link"] == {
        "GET /api/slots 200",
        "GET /api/bookings 200",
        "GET /api/bookings/{booking_id}/events 200",
        "GET /api/admin/slots 200",
        "GET /api/admin/bookings 200",
    }
    assert document["components"]["responses"]["METHOD_NOT_ALLOWED"]["headers"]["Allow"]["required"]


def _may_wait(document: dict[str, Any], reference: Any) -> bool:
    content = resolve(document, reference).get("content", {})
    examples = content.get("application/problem+json", {}).get("examples", {})
    return any(resolve(document, each)["value"]["retryable"] for each in examples.values())


def test_the_version_is_the_projects() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["version"] == API_VERSION


def test_probes_are_never_turned_away(document: dict[str, Any]) -> None:
    marked = {endpoint for endpoint, operation in OPERATIONS.items() if operation.is_probe}
    assert marked == {"health.get_health", "health.get_readiness"}
    assert {"/health", "/ready"} == PROBES
    assert "503" not in document["paths"]["/health"]["get"]["responses"]


def test_problem_schema_is_the_problems_shape(
    client: FlaskClient, document: dict[str, Any]
) -> None:
    answer = client.get("/nowhere").get_json()
    assert set(answer) == set(ProblemOut().fields)
    schema = document["components"]["responses"]["NOT_FOUND"]["content"][
        "application/problem+json"
    ]["schema"]
    assert faults_of(document, schema, answer) == []
    assert faults_of(document, schema, {**answer, "code": "SLOT_FULL"})
