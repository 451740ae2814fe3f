"""Every field of every route against values that a hostile client would think of."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from marshmallow import Schema

from booking.schemas.bookings import BookingCreate, BookingListQuery
from booking.schemas.fields import parse_uuid
from booking.schemas.pagination import ListQuery
from booking.schemas.slots import AdminSlotListQuery, PublicSlotListQuery, SlotChange, SlotCreate
from tests.controllers.answers import problem_of
from tests.controllers.conftest import Maker
from tests.support.factories import UNKNOWN_ID, booking_body, slot_body

# As they stand in the JSON, so that what Python cannot write is among them.
TOKENS = [
    "null",
    "true",
    "false",
    "0",
    "-0",
    "-1",
    "1",
    "1.0",
    "1.5",
    "1e2",
    "-1e-2",
    "1e400",
    "-1e400",
    "2147483648",
    "-9223372036854775809",
    "1" + "0" * 30,
    "9" * 4000,
    '""',
    '" "',
    '"0"',
    '"1"',
    '"2"',
    '"true"',
    '"null"',
    '"NaN"',
    '"OPEN"',
    '"open"',
    '"CONFIRMED"',
    '"\\u0000"',
    '"a\\u0000b"',
    '"\\ufeff"',
    '"\\ufffe\\uffff"',
    '"\\u202etxt.exe"',
    '"\\ud83d\\ude00"',
    '"' + "x" * 200 + '"',
    '"' + "x" * 201 + '"',
    '"' + "x" * 50_000 + '"',
    '"\'; DROP TABLE slots; --"',
    '"1 OR 1=1"',
    '"%"',
    '"%s%(x)s%%"',
    '"{0.__class__} ${7*7} {{7*7}}"',
    '"\\\\"',
    '"\\""',
    '"\\r\\nSet-Cookie: a=b"',
    '"../../etc/passwd"',
    '"<script>alert(1)</script>"',
    '"2999-01-31T09:30:00Z"',
    '"9999-12-31T23:59:59-23:59"',
    '"2999-01-31T09:30:00"',
    f'"{UNKNOWN_ID}"',
    '"00000000-0000-0000-0000-000000000000"',
    "[]",
    "{}",
    "[1]",
    '["x"]',
    '[["x"]]',
    '{"$gt": ""}',
    '{"a": {"b": [null]}}',
]


def _is_text(minimum: int) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, str)
        and minimum <= len(value) <= 200
        and "\x00" not in value
        # A blank and a mark of byte order show nothing.
        and value not in (" ", "\ufeff")
    )


def _is_number(maximum: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and 1 <= value <= maximum


def _or_null(rule: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or rule(value)


RULES: dict[str, Callable[[Any], bool]] = {
    "doctor_name": _is_text(1),
    "specialization": _or_null(_is_text(0)),
    "start_time": lambda value: value == "2999-01-31T09:30:00Z",
    "duration_minutes": _or_null(_is_number(10_080)),
    "total_capacity": _is_number(1_000_000),
    "max_seats_per_user": _or_null(_is_number(1_000_000)),
    "status": lambda value: value in ("OPEN", "CLOSED"),
    "slot_id": lambda value: isinstance(value, str) and parse_uuid(value) is not None,
    "user_id": _is_text(1),
    "num_seats": _is_number(1000),
    "hold": lambda value: isinstance(value, bool),
}
SCHEMAS: dict[str, Schema] = {
    "POST slots": SlotCreate(),
    "PATCH slots": SlotChange(),
    "POST bookings": BookingCreate(),
}
FIELDS = [(route, name) for route, schema in SCHEMAS.items() for name in schema.fields]


@pytest.mark.parametrize(("route", "field"), FIELDS)
def test_field_takes_what_its_rule_allows_and_names_what_it_does_not(
    client: FlaskClient, new_slot: Maker, route: str, field: str
) -> None:
    slot = new_slot(total_capacity=100_000)
    calls: dict[str, tuple[str, str, dict[str, Any], int]] = {
        "POST slots": ("POST", "/api/admin/slots", slot_body(), 201),
        "PATCH slots": ("PATCH", f"/api/admin/slots/{slot['id']}", {}, 200),
        "POST bookings": ("POST", "/api/bookings", booking_body(slot["id"]), 201),
    }
    method, path, body, success = calls[route]
    body.pop(field, None)
    others = json.dumps(body)[1:-1]
    for token in TOKENS:
        sent = "{" + ", ".join(part for part in (others, f'"{field}": {token}') if part) + "}"
        response = client.open(path, method=method, data=sent, content_type="application/json")
        value = json.loads(token)
        if not RULES[field](value):
            problem_of(response, 422, "VALIDATION_ERROR", field)
        elif field == "slot_id":
            problem_of(response, 404, "SLOT_NOT_FOUND")
        else:
            assert response.status_code == success, (token, response.get_data(as_text=True))
            if field != "hold":
                shown = response.get_json()["data"]
                if field == "max_seats_per_user":
                    shown.setdefault(field, None)
                assert shown[field] == value, token


QUERIES: dict[str, ListQuery] = {
    "/api/slots": PublicSlotListQuery(),
    "/api/admin/slots": AdminSlotListQuery(),
    "/api/bookings": BookingListQuery(),
    "/api/admin/bookings": BookingListQuery(),
}
RAW_TEXTS = [
    "%00",
    "%",
    "%zz",
    "%25",
    "_",
    "%5c",
    "%27",
    "%22",
    "%0d%0aX:1",
    "1",
    "1.5",
    "1e400",
    "-1",
    "9" * 30,
    "NaN",
    "true",
    "null",
    "[]",
    "{}",
    "%F0%9F%98%80",
    "%D9%A1",
    "OPEN",
    "FAILED",
    "2999-01-31T09:30:00Z",
    UNKNOWN_ID,
    "x" * 201,
    "+",
    "",
]


@pytest.mark.parametrize(
    ("path", "field"),
    [
        (path, field.data_key or name)
        for path, schema in QUERIES.items()
        for name, field in schema.fields.items()
    ],
)
def test_query_is_a_list_or_a_refusal_that_names_the_field(
    client: FlaskClient, path: str, field: str
) -> None:
    statuses = set()
    for raw in RAW_TEXTS:
        query = f"{field}={raw}"
        if path == "/api/bookings" and field != "user_id":
            query += "&user_id=u"
        response = client.get(f"{path}?{query}")
        statuses.add(response.status_code)
        if response.status_code != 200:
            problem_of(response, 422, "VALIDATION_ERROR", field)
    assert statuses == ({422} if field == "cursor" else {200, 422})


@pytest.mark.parametrize(
    "header",
    ["Idempotency-Key", "If-Match", "X-Request-ID", "Content-Type", "Authorization", "Host"],
)
def test_header_with_any_byte_is_never_a_defect(
    client: FlaskClient, new_slot: Maker, header: str
) -> None:
    slot = new_slot(total_capacity=100_000)
    texts = [
        "",
        " ",
        "\t",
        "\x01",
        "\x1b[31m",
        '"',
        "'",
        "*",
        ",",
        ";",
        "\\",
        "\x7f",
        "\x80",
        "\xff",
    ]
    texts += ["x" * 8000, "\xed\xa0\x80", "a,b,,c", "; ;=;", '"' * 100, "W/" * 100, "\\" * 99]
    for text in texts:
        booked = client.post("/api/bookings", json=booking_body(slot["id"]), headers={header: text})
        # A Host that is not loopback's is forbidden without tokens.
        statuses = {403} if header == "Host" else {201, 400, 415, 404}
        assert booked.status_code in statuses, (text, booked.get_data(as_text=True))
        changed = client.patch(
            f"/api/admin/slots/{slot['id']}", json={"status": "OPEN"}, headers={header: text}
        )
        assert changed.status_code in statuses | {200, 412}, text
