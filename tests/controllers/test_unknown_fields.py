"""Nothing that a route does not know is let pass, on any route of the URL map."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from booking.app import create_app
from booking.errors import MAX_TOLD_FAULTS
from tests.controllers.answers import data_of, page_of, problem_of
from tests.controllers.conftest import Maker
from tests.support.factories import UNKNOWN_ID, booking_body, make_config, slot_body

LISTS = {
    "/api/slots",
    "/api/admin/slots",
    "/api/bookings",
    "/api/admin/bookings",
    "/api/bookings/<booking_id>/events",
}


def _calls() -> list[tuple[str, str]]:
    app: Flask = create_app(make_config())
    return sorted(
        (method, rule.rule)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    )


CALLS = _calls()
WITH_BODY = [call for call in CALLS if call[0] in {"POST", "PUT", "PATCH"}]


NOTHING = {"slot_id": UNKNOWN_ID, "booking_id": UNKNOWN_ID}


@pytest.fixture
def things(new_slot: Maker, new_booking: Maker) -> dict[str, str]:
    slot = new_slot()
    booking = new_booking(slot["id"], hold=True)
    return {"slot_id": slot["id"], "booking_id": booking["id"]}


def _path(rule: str, things: dict[str, str]) -> str:
    for name, value in things.items():
        rule = rule.replace(f"<{name}>", value)
    # <any("a","b"):name> is one of the words that it lists.
    rule = re.sub(r'<any\("([^"]+)"[^>]*>', r"\1", rule)
    assert "<" not in rule
    return rule


def _valid_body(rule: str, things: dict[str, str]) -> dict[str, Any]:
    if rule == "/api/admin/slots":
        return slot_body()
    if rule == "/api/bookings":
        return booking_body(things["slot_id"])
    return {}


def test_the_map_is_that_of_the_contract() -> None:
    assert set(CALLS) >= {
        ("GET", "/health"),
        ("GET", "/ready"),
        ("POST", "/api/admin/slots"),
        ("GET", "/api/admin/slots"),
        ("GET", "/api/admin/slots/<slot_id>"),
        ("PATCH", "/api/admin/slots/<slot_id>"),
        ("DELETE", "/api/admin/slots/<slot_id>"),
        ("GET", "/api/admin/bookings"),
        ("POST", "/api/admin/expire-pending"),
        ("GET", "/api/admin/audit"),
        ("GET", "/api/slots"),
        ("GET", "/api/slots/<slot_id>"),
        ("POST", "/api/bookings"),
        ("GET", "/api/bookings/<booking_id>"),
        ("GET", "/api/bookings"),
        ("POST", "/api/bookings/<booking_id>/confirm"),
        ("POST", "/api/bookings/<booking_id>/cancel"),
        ("GET", "/api/bookings/<booking_id>/events"),
    }


@pytest.mark.parametrize(("method", "rule"), CALLS)
def test_unknown_query_parameter_is_refused_by_name(
    offline: FlaskClient, method: str, rule: str
) -> None:
    body = _valid_body(rule, NOTHING) if (method, rule) in WITH_BODY else None
    for name in ("surprise", "Limit", "order", "limit ", "", "limit[]", "😀"):
        query: dict[str, str] = {name: "1"}
        if rule == "/api/bookings" and method == "GET":
            query["user_id"] = "u"
        response = offline.open(_path(rule, NOTHING), method=method, query_string=query, json=body)
        problem_of(response, 422, "VALIDATION_ERROR", name)


@pytest.mark.parametrize(("method", "rule"), CALLS)
def test_repeated_query_parameter_is_refused_by_name(
    offline: FlaskClient, method: str, rule: str
) -> None:
    body = _valid_body(rule, NOTHING) if (method, rule) in WITH_BODY else None
    for name in ("surprise", "limit"):
        query = f"{name}=1&{name}=1"
        if rule == "/api/bookings" and method == "GET":
            query += "&user_id=u"
        response = offline.open(_path(rule, NOTHING), method=method, query_string=query, json=body)
        problem_of(response, 422, "VALIDATION_ERROR", name)


@pytest.mark.parametrize(
    "query", ["user_id=a&user_id=b", "user_id=a&user_id=a", "user_id=&user_id=a"]
)
def test_user_is_named_once(offline: FlaskClient, query: str) -> None:
    problem_of(offline.get(f"/api/bookings?{query}"), 422, "VALIDATION_ERROR", "user_id")


@pytest.mark.parametrize(("method", "rule"), WITH_BODY)
def test_unknown_body_field_is_refused_by_name(
    offline: FlaskClient, method: str, rule: str
) -> None:
    for name in ("surprise", "__class__", "Num_seats", "num_seats ", "", "a.b", "😀"):
        body = {**_valid_body(rule, NOTHING), name: 1}
        response = offline.open(_path(rule, NOTHING), method=method, json=body)
        problem_of(response, 422, "VALIDATION_ERROR", name)


SERVER_SET: list[tuple[str, str, list[str]]] = [
    (
        "POST",
        "/api/admin/slots",
        ["id", "status", "version", "remaining_capacity", "created_at", "updated_at"],
    ),
    (
        "PATCH",
        "/api/admin/slots/<slot_id>",
        ["id", "version", "remaining_capacity", "created_at", "updated_at"],
    ),
    (
        "POST",
        "/api/bookings",
        [
            "id",
            "status",
            "expires_at",
            "failure_reason",
            "created_at",
            "updated_at",
            "idempotency_key",
            "hold_ttl_seconds",
        ],
    ),
    (
        "POST",
        "/api/bookings/<booking_id>/confirm",
        ["id", "status", "user_id", "num_seats", "slot_id", "expires_at"],
    ),
    (
        "POST",
        "/api/bookings/<booking_id>/cancel",
        ["id", "status", "user_id", "num_seats", "slot_id", "expires_at"],
    ),
    ("POST", "/api/admin/expire-pending", ["slot_id", "now", "before"]),
]
SENT = {
    "id": UNKNOWN_ID,
    "slot_id": UNKNOWN_ID,
    "status": "CONFIRMED",
    "version": 7,
    "remaining_capacity": 10,
    "num_seats": 1,
    "hold_ttl_seconds": 1e9,
}


@pytest.mark.parametrize(("method", "rule", "names"), SERVER_SET)
def test_what_the_server_sets_cannot_be_sent(
    client: FlaskClient, things: dict[str, str], method: str, rule: str, names: list[str]
) -> None:
    slot_before = data_of(client.get(f"/api/slots/{things['slot_id']}"))
    for name in names:
        body = {**_valid_body(rule, things), name: SENT.get(name, "2999-01-01T00:00:00Z")}
        response = client.open(_path(rule, things), method=method, json=body)
        problem_of(response, 422, "VALIDATION_ERROR", name)
    assert data_of(client.get(f"/api/slots/{things['slot_id']}")) == slot_before


@pytest.mark.parametrize("rule", sorted(LISTS))
def test_each_list_takes_a_limit(client: FlaskClient, things: dict[str, str], rule: str) -> None:
    query = {"limit": "1"} | ({"user_id": "u"} if rule == "/api/bookings" else {})
    page_of(client.get(_path(rule, things), query_string=query))


def test_a_long_name_is_told_back_in_part(client: FlaskClient) -> None:
    response = client.get("/health", query_string={"x" * 5000: "1"})
    problem_of(response, 422, "VALIDATION_ERROR", "x" * 100)
    response = client.get("/health?" + "&".join(["x" * 5000 + "=1"] * 2))
    problem_of(response, 422, "VALIDATION_ERROR", "x" * 100)


# As many as a request line and a body have room for.
MANY = [f"{number:x}" for number in range(1_800)]
MANY_IN_A_BODY = [f"{number:x}" for number in range(5_000)]


def _is_told_in_part(response: Any) -> None:
    problem = problem_of(
        response, 422, "VALIDATION_ERROR", *(fault["field"] for fault in response.json["errors"])
    )
    assert len(problem["errors"]) == MAX_TOLD_FAULTS
    assert str(MAX_TOLD_FAULTS) in problem["detail"]
    assert problem["errors"][-1]["message"] not in problem["detail"]
    assert len(response.data) < 4_000


@pytest.mark.parametrize(("method", "rule"), CALLS)
def test_of_many_unknown_names_few_are_told(offline: FlaskClient, method: str, rule: str) -> None:
    path, user = _path(rule, NOTHING), "user_id=u&" if "GET" in method else ""
    body = _valid_body(rule, NOTHING) if (method, rule) in WITH_BODY else None
    query = user * (rule == "/api/bookings") + "&".join(MANY)
    _is_told_in_part(offline.open(f"{path}?{query}", method=method, json=body))
    repeated = user * (rule == "/api/bookings") + "&".join(MANY[:900] * 2)
    _is_told_in_part(offline.open(f"{path}?{repeated}", method=method, json=body))


@pytest.mark.parametrize(("method", "rule"), WITH_BODY)
def test_of_many_unknown_fields_few_are_told(offline: FlaskClient, method: str, rule: str) -> None:
    body = {**dict.fromkeys(MANY_IN_A_BODY, 1), **_valid_body(rule, NOTHING)}
    _is_told_in_part(offline.open(_path(rule, NOTHING), method=method, json=body))


def test_faults_of_known_fields_are_told_beside_many_unknown_ones(offline: FlaskClient) -> None:
    """Whoever sends too much learns what else is wrong, wherever it stands."""
    body = {**dict.fromkeys(MANY_IN_A_BODY, 1), "num_seats": -1, "user_id": "u"}
    told = offline.post("/api/bookings", json=body).get_json()["errors"]
    assert {fault["field"] for fault in told} >= {"num_seats", "slot_id"}
    told = offline.get("/api/slots?" + "&".join([*MANY, "limit=0"])).get_json()["errors"]
    assert "limit" in {fault["field"] for fault in told}


def test_a_single_fault_is_the_detail(offline: FlaskClient) -> None:
    problem = offline.get("/health?surprise=1").get_json()
    assert problem["detail"] == "surprise: Unknown field."
    several = offline.get("/health?surprise=1&more=2").get_json()
    assert {fault["field"] for fault in several["errors"]} == {"surprise", "more"}
    assert "surprise" not in several["detail"]
