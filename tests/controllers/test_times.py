"""Times: RFC 3339 with an offset comes in, UTC with a Z goes out."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.controllers.answers import data_of, page_of, problem_of
from tests.controllers.conftest import Maker
from tests.support.factories import UNKNOWN_ID, slot_body

SHOWN = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z")

TAKEN = {
    "2999-01-31T09:30:00Z": "2999-01-31T09:30:00Z",
    "2999-01-31t09:30:00z": "2999-01-31T09:30:00Z",
    "2999-01-31T09:30:00+00:00": "2999-01-31T09:30:00Z",
    "2999-01-31T09:30:00-00:00": "2999-01-31T09:30:00Z",
    "2999-01-31T09:30:00+05:45": "2999-01-31T03:45:00Z",
    "2999-01-31T23:30:00-12:00": "2999-02-01T11:30:00Z",
    "2999-01-31T09:30:00+23:59": "2999-01-30T09:31:00Z",
    "2996-02-29T00:00:00Z": "2996-02-29T00:00:00Z",
    "2999-01-31T09:30:00.5Z": "2999-01-31T09:30:00.500000Z",
    "2999-01-31T09:30:00.123456Z": "2999-01-31T09:30:00.123456Z",
    "2999-01-31T09:30:00.123456789Z": "2999-01-31T09:30:00.123456Z",
    "2999-01-31T09:30:00.000Z": "2999-01-31T09:30:00Z",
    "9999-12-31T23:59:59.999999Z": "9999-12-31T23:59:59.999999Z",
}

REFUSED = [
    "2999-01-31T09:30:00",
    "2999-01-31 09:30:00Z",
    "2999-01-31",
    "2999-01-31T09:30Z",
    "2999-01-31T09Z",
    "29990131T093000Z",
    "2999-W05-4T09:30:00Z",
    "2999-031T09:30:00Z",
    "2999-13-01T00:00:00Z",
    "2999-00-01T00:00:00Z",
    "2999-02-29T00:00:00Z",
    "2999-01-32T00:00:00Z",
    "2999-01-31T24:00:00Z",
    "2999-01-31T25:00:00Z",
    "2999-01-31T23:60:00Z",
    "2998-12-31T23:59:60Z",
    "2999-01-31T09:30:61Z",
    "2999-01-31T09:30:00.Z",
    "2999-01-31T09:30:00,5Z",
    "2999-01-31T09:30:00+5",
    "2999-01-31T09:30:00+0530",
    "2999-01-31T09:30:00+05",
    "2999-01-31T09:30:00+24:00",
    "2999-01-31T09:30:00+05:60",
    "2999-01-31T09:30:00+05:99",
    "2999-01-31T09:30:00+05:30:15",
    "2999-01-31T09:30:00 Z",
    "2999-01-31T09:30:00Z ",
    " 2999-01-31T09:30:00Z",
    "2999-01-31T09:30:00Z\n",
    "2999-01-31T09:30:00UTC",
    "2999-01-31T09:30:00 Europe/Berlin",
    "2999-01-31T09:30:00Z[Europe/Berlin]",
    "0000-01-01T00:00:00Z",
    "0001-01-01T00:00:00+00:01",
    "9999-12-31T23:59:59-00:01",
    "10000-01-01T00:00:00Z",
    "-2999-01-31T09:30:00Z",
    "+2999-01-31T09:30:00Z",
    "\uff12\uff19\uff19\uff19-01-31T09:30:00Z",
    "2999-01-31T09:30:00\u221205:00",
    "32472144600",
    "tomorrow",
    "now",
    "infinity",
    "epoch",
    "",
]


def test_time_with_an_offset_is_shown_in_utc(client: FlaskClient) -> None:
    for sent, shown in TAKEN.items():
        slot = data_of(client.post("/api/admin/slots", json=slot_body(start_time=sent)), 201)
        assert (sent, slot["start_time"]) == (sent, shown)
        assert data_of(client.get(f"/api/slots/{slot['id']}")) == slot


@pytest.mark.parametrize("sent", [*REFUSED, 32472144600, 3e10, True, None, [], {}], ids=repr)
def test_anything_else_is_refused_in_a_body(offline: FlaskClient, sent: Any) -> None:
    calls = {
        "/api/admin/slots": ("POST", slot_body(start_time=sent)),
        f"/api/admin/slots/{UNKNOWN_ID}": ("PATCH", {"start_time": sent}),
    }
    for path, (method, body) in calls.items():
        response = offline.open(path, method=method, json=body)
        problem_of(response, 422, "VALIDATION_ERROR", "start_time")


@pytest.mark.parametrize("name", ["from", "to"])
@pytest.mark.parametrize("path", ["/api/slots", "/api/admin/slots"])
def test_the_same_holds_in_a_query(client: FlaskClient, path: str, name: str) -> None:
    for sent in REFUSED:
        response = client.get(path, query_string={name: sent})
        problem_of(response, 422, "VALIDATION_ERROR", name)
    for sent in [*TAKEN, "0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z"]:
        page_of(client.get(path, query_string={name: sent}))


def test_bare_plus_of_a_query_is_a_space_and_no_offset(client: FlaskClient) -> None:
    response = client.get("/api/slots?from=2999-01-31T09:30:00+05:30")
    problem_of(response, 422, "VALIDATION_ERROR", "from")


def test_every_time_that_is_shown_is_utc_with_a_z(
    client: FlaskClient,
    new_slot: Maker,
    new_booking: Maker,
    lapse: Callable[[str], None],
) -> None:
    slot = new_slot(start_time="2999-01-31T09:30:00+05:45")
    hold = new_booking(slot["id"], hold=True)
    lapse(hold["id"])
    events, _ = page_of(client.get(f"/api/bookings/{hold['id']}/events"))
    shown = [slot[name] for name in ("start_time", "created_at", "updated_at")]
    shown += [hold[name] for name in ("expires_at", "created_at", "updated_at")]
    shown += [event["at"] for event in events]
    assert len(shown) == 8
    assert [time for time in shown if not SHOWN.fullmatch(time)] == []
