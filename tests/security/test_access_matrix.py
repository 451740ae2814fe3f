"""Every route, every method, every kind of caller: who may call is what the route declares.

The cells are made from the URL map. A route that ``VALID`` does not know fails: whoever adds one
says here how it is called, and every caller is then tried on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import groupby, product
from operator import itemgetter
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from booking.app import create_app
from booking.middleware.authentication import Access, access_of
from tests.controllers.answers import problem_of
from tests.security.callers import ADMIN, Caller, as_user, callers_beside
from tests.support.factories import make_config, slot_body, unique

SAFE = ("GET", "HEAD", "OPTIONS")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
DOCS_FILE = {"name": "docs.css"}


@dataclass(frozen=True)
class World:
    """What stands before a call: a slot with a hold of ``owner``, and a slot that nobody booked."""

    owner: str
    slot_id: str
    empty_slot_id: str
    booking_id: str


@dataclass(frozen=True)
class Valid:
    """A request that succeeds, with ``status``, for whoever may make it."""

    status: int = 200
    path: Callable[[World], dict[str, str]] = lambda _world: {}
    body: Callable[[World], dict[str, Any] | None] = lambda _world: None
    query: dict[str, str] = field(default_factory=dict)


def _slot(world: World) -> dict[str, str]:
    return {"slot_id": world.slot_id}


def _empty_slot(world: World) -> dict[str, str]:
    return {"slot_id": world.empty_slot_id}


def _booking(world: World) -> dict[str, str]:
    return {"booking_id": world.booking_id}


def _docs_rule() -> str:
    [rule] = [rule for rule in RULES if rule.rule.startswith("/docs/")]
    return rule.rule


def _rules(app: Flask) -> list[Rule]:
    return sorted(
        app.url_map.iter_rules(), key=lambda rule: (rule.rule, sorted(rule.methods or ()))
    )


APP = create_app(make_config())
RULES = _rules(APP)

VALID: dict[tuple[str, str], Valid] = {
    ("GET", "/health"): Valid(),
    ("GET", "/ready"): Valid(),
    ("GET", "/openapi.json"): Valid(),
    ("GET", "/docs"): Valid(),
    ("GET", _docs_rule()): Valid(path=lambda _world: DOCS_FILE),
    ("GET", "/api/slots"): Valid(),
    ("GET", "/api/slots/<slot_id>"): Valid(path=_slot),
    ("POST", "/api/bookings"): Valid(
        201, body=lambda world: {"slot_id": world.slot_id, "num_seats": 1}
    ),
    ("GET", "/api/bookings"): Valid(),
    ("GET", "/api/bookings/<booking_id>"): Valid(path=_booking),
    ("POST", "/api/bookings/<booking_id>/confirm"): Valid(path=_booking),
    ("POST", "/api/bookings/<booking_id>/cancel"): Valid(path=_booking),
    ("GET", "/api/bookings/<booking_id>/events"): Valid(path=_booking),
    ("POST", "/api/admin/slots"): Valid(201, body=lambda _world: slot_body()),
    ("GET", "/api/admin/slots"): Valid(query={"limit": "1"}),
    ("GET", "/api/admin/slots/<slot_id>"): Valid(path=_slot),
    ("PATCH", "/api/admin/slots/<slot_id>"): Valid(
        path=_slot, body=lambda _world: {"status": "CLOSED"}
    ),
    ("DELETE", "/api/admin/slots/<slot_id>"): Valid(204, path=_empty_slot),
    ("GET", "/api/admin/bookings"): Valid(query={"limit": "1"}),
    ("POST", "/api/admin/expire-pending"): Valid(),
    ("GET", "/api/admin/audit"): Valid(),
}


def calls_of(app: Flask) -> set[tuple[str, str]]:
    """Return each method and route that a view answers; HEAD and OPTIONS come with them."""
    return {
        (method, rule.rule)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def test_the_matrix_has_every_route() -> None:
    assert calls_of(APP) == set(VALID)


def test_a_new_route_is_missed() -> None:
    app = create_app(make_config())
    app.add_url_rule("/api/new/<slot_id>", "new", lambda _slot_id: "", methods=["PUT"])
    assert calls_of(app) - set(VALID) == {("PUT", "/api/new/<slot_id>")}


@pytest.fixture
def make_world(guarded: FlaskClient) -> Callable[[], World]:
    def make() -> World:
        slots = [
            guarded.post("/api/admin/slots", json=slot_body(), headers=ADMIN).get_json()
            for _ in range(2)
        ]
        owner, slot_id = unique("owner"), slots[0]["data"]["id"]
        hold = guarded.post(
            "/api/bookings",
            json={"slot_id": slot_id, "num_seats": 1, "hold": True},
            headers=as_user(owner),
        )
        return World(owner, slot_id, slots[1]["data"]["id"], hold.get_json()["data"]["id"])

    return make


def _expect(rule: Rule, method: str, caller: Caller, valid: Valid) -> tuple[int, str | None]:
    """Return the status and the problem's code that the route's declaration asks for."""
    if method not in (rule.methods or set()):
        return 405, "METHOD_NOT_ALLOWED"
    if method == "OPTIONS":
        return 200, None
    access = access_of(APP.view_functions[rule.endpoint])
    assert access is not None, f"{rule.rule} does not say who may call it"
    return _refusal(access, caller, names_a_booking="booking_id" in rule.arguments) or (
        valid.status,
        None,
    )


def _refusal(access: Access, caller: Caller, *, names_a_booking: bool) -> tuple[int, str] | None:
    if access is Access.ALL:
        return None
    if not caller.is_known:
        return 401, "UNAUTHENTICATED"
    if access is Access.ADMIN and not caller.is_admin:
        return 403, "FORBIDDEN"
    if names_a_booking and not (caller.is_owner or caller.is_admin):
        return 404, "BOOKING_NOT_FOUND"
    return None


# What a path takes by any of its rules; what it takes by none is tried on its first rule.
TAKEN = {
    path: {method for _, rule in found for method in rule.methods or ()}
    for path, found in groupby(((rule.rule, rule) for rule in RULES), key=itemgetter(0))
}
FIRST = {rule.rule: rule for rule in reversed(RULES)}


def _methods(rule: Rule) -> list[str]:
    mine = set(rule.methods or ())
    if rule is FIRST[rule.rule]:
        mine |= set(METHODS) - TAKEN[rule.rule]
    return [method for method in METHODS if method in mine]


def _valid(rule: Rule, method: str) -> Valid:
    """Return how a route is called; by a method that is not its own, as by one that is."""
    own = sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    return VALID[method if method in own else own[0], rule.rule]


@pytest.mark.parametrize(
    "rule", RULES, ids=[f"{' '.join(sorted(rule.methods or ()))} {rule.rule}" for rule in RULES]
)
def test_the_declaration_decides(
    guarded: FlaskClient,
    make_world: Callable[[], World],
    rows_of: Callable[[str], list[object]],
    rule: Rule,
) -> None:
    world = make_world()
    tried = 0
    for method, position in product(_methods(rule), range(len(callers_beside("")))):
        caller = callers_beside(world.owner)[position]
        cell = f"{method} {rule.rule} by {caller.name}"
        valid = _valid(rule, method)
        status, code = _expect(rule, method, caller, valid)
        path = rule.build(valid.path(world))
        assert path is not None
        before = rows_of(world.slot_id), rows_of(world.empty_slot_id)

        response = guarded.open(
            path[1],
            method=method,
            json=valid.body(world),
            query_string=valid.query,
            headers=caller.headers,
        )

        assert response.status_code == status, (cell, response.get_data(as_text=True))
        assert (response.headers.get("WWW-Authenticate") == "Bearer") is (status == 401), cell
        if code and method != "HEAD":
            problem_of(response, status, code)
        if code or method in SAFE:
            assert (rows_of(world.slot_id), rows_of(world.empty_slot_id)) == before, cell
        else:
            world = make_world()
        tried += 1
    assert tried == len(_methods(rule)) * 6
