"""If-Match on a slot's version, compared as RFC 9110 says (sections 8.8.3 and 13.1.1)."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.controllers.answers import data_of, problem_of
from tests.controllers.conftest import Maker
from tests.support.factories import UNKNOWN_ID


def _change(client: FlaskClient, slot_id: str, *conditions: str) -> tuple[int, str]:
    response = client.patch(
        f"/api/admin/slots/{slot_id}",
        json={"doctor_name": "Dr. Changed"},
        headers=[("If-Match", condition) for condition in conditions],
    )
    if response.status_code != 200:
        problem_of(response, 412, "VERSION_MISMATCH")
    return response.status_code, data_of(client.get(f"/api/slots/{slot_id}"))["doctor_name"]


# Of a slot at version 2.
@pytest.mark.parametrize(
    "conditions",
    [
        ['"2"'],
        ["*"],
        [' "2" '],
        [" * "],
        ['"1", "2"'],
        ['"2","3"'],
        ['"x" , "2" , "y"'],
        ['W/"2", "2"'],
        ['"a,b", "2"'],
        [', "2",,'],
        ['"1"', '"2"'],
        ['"caf\xe9", "2"'],
    ],
)
def test_condition_that_names_the_version_holds(
    client: FlaskClient, new_slot: Maker, new_booking: Maker, conditions: list[str]
) -> None:
    slot = new_slot()
    new_booking(slot["id"])
    assert _change(client, slot["id"], *conditions) == (200, "Dr. Changed")


@pytest.mark.parametrize(
    "conditions",
    [
        ['"1"'],
        ['"3"'],
        ['W/"2"'],
        ['w/"2"'],
        ["2"],
        ["'2'"],
        ['"2'],
        ['2"'],
        ['""'],
        [""],
        ["W/*"],
        ['"*"'],
        ['"02"'],
        ['" 2"'],
        ['"1", "3"'],
        ['W/"2", W/"1"'],
        ['"1,2"'],
        ['"x, "2"'],
        ['"1"', 'W/"2"'],
        ["caf\xe9"],
    ],
)
def test_condition_that_does_not_is_a_mismatch(
    client: FlaskClient, new_slot: Maker, new_booking: Maker, conditions: list[str]
) -> None:
    slot = new_slot()
    new_booking(slot["id"])
    assert _change(client, slot["id"], *conditions) == (412, slot["doctor_name"])


@pytest.mark.parametrize(
    ("conditions", "names_it_weakly"),
    [
        (['W/"1"'], True),
        (['"7", W/"1"'], True),
        (['"7"', 'W/"1"'], True),
        (['W/"7"'], False),
        (['w/"1"'], False),
        (['"7"'], False),
    ],
)
def test_mismatch_of_a_weak_tag_says_so(
    client: FlaskClient, new_slot: Maker, conditions: list[str], names_it_weakly: bool
) -> None:
    path = f"/api/admin/slots/{new_slot()['id']}"
    headers = [("If-Match", condition) for condition in conditions]
    for response in (
        client.patch(path, json={"total_capacity": 20}, headers=headers),
        client.delete(path, headers=headers),
    ):
        detail = problem_of(response, 412, "VERSION_MISMATCH")["detail"]
        assert detail.startswith(
            'The slot has not changed: If-Match names its version by the weak tag W/"1", '
            if names_it_weakly
            else "The slot has changed"
        )
        assert ('Send "1"' in detail) is names_it_weakly


def test_etag_of_each_answer_is_what_the_next_change_must_name(
    client: FlaskClient, new_slot: Maker
) -> None:
    slot = new_slot()
    path = f"/api/admin/slots/{slot['id']}"
    tag = client.get(path).headers["ETag"]
    for number in range(3):
        response = client.patch(
            path, json={"doctor_name": f"Dr. {number}"}, headers={"If-Match": tag}
        )
        assert data_of(response)["doctor_name"] == f"Dr. {number}"
        stale, tag = tag, response.headers["ETag"]
        assert tag == client.get(f"/api/slots/{slot['id']}").headers["ETag"]
        response = client.patch(path, json={"status": "CLOSED"}, headers={"If-Match": stale})
        problem_of(response, 412, "VERSION_MISMATCH")


def test_seats_that_left_make_a_condition_stale(
    client: FlaskClient, new_slot: Maker, new_booking: Maker
) -> None:
    slot = new_slot()
    new_booking(slot["id"])
    assert _change(client, slot["id"], f'"{slot["version"]}"')[0] == 412


def test_a_mismatch_goes_before_what_the_change_would_break(
    client: FlaskClient, new_slot: Maker, new_booking: Maker
) -> None:
    slot = new_slot()
    new_booking(slot["id"], num_seats=5)
    response = client.patch(
        f"/api/admin/slots/{slot['id']}", json={"total_capacity": 1}, headers={"If-Match": '"9"'}
    )
    problem_of(response, 412, "VERSION_MISMATCH")


@pytest.mark.parametrize("condition", ['"2"', 'W/"1"', '"1', ""])
def test_slot_of_another_version_is_not_deleted(
    client: FlaskClient, new_slot: Maker, condition: str
) -> None:
    path = f"/api/admin/slots/{new_slot()['id']}"
    problem_of(client.delete(path, headers={"If-Match": condition}), 412, "VERSION_MISMATCH")
    assert data_of(client.get(path))["version"] == 1


@pytest.mark.parametrize("condition", ["*", '"1"', '"3", "1"'])
def test_slot_of_the_version_that_is_named_is_deleted(
    client: FlaskClient, new_slot: Maker, new_booking: Maker, condition: str
) -> None:
    path = f"/api/admin/slots/{new_slot()['id']}"
    assert client.delete(path, headers={"If-Match": condition}).status_code == 204
    problem_of(client.delete(path, headers={"If-Match": condition}), 404, "SLOT_NOT_FOUND")
    booked = new_slot()["id"]
    new_booking(booked)
    response = client.delete(f"/api/admin/slots/{booked}", headers={"If-Match": "*"})
    problem_of(response, 409, "SLOT_HAS_BOOKINGS")


@pytest.mark.parametrize("condition", ["*", '"1"'])
def test_no_slot_is_not_found_whatever_the_condition(client: FlaskClient, condition: str) -> None:
    response = client.patch(
        f"/api/admin/slots/{UNKNOWN_ID}", json={}, headers={"If-Match": condition}
    )
    problem_of(response, 404, "SLOT_NOT_FOUND")
