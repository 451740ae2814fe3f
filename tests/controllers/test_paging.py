"""Lists: limits, cursors that cannot be forged, and pages that neither repeat nor skip a row."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.controllers.answers import data_of, page_of, problem_of
from tests.controllers.conftest import Maker
from tests.support.factories import booking_body, slot_body, unique

LISTS = ["/api/slots", "/api/admin/slots", "/api/bookings", "/api/admin/bookings", "events"]
# More than any list of these tests has: one that repeats its rows must not run on.
MAX_PAGES = 30
URL_SAFE = string.ascii_letters + string.digits + "-_"


@pytest.fixture(scope="module")
def rows(worker_app: Flask) -> dict[str, dict[str, Any]]:
    """Seven slots of one doctor and seven bookings of one user: the filters that show them."""
    client = worker_app.test_client()
    doctor, user = unique("Dr. Pages"), unique("pages")

    def post(path: str, body: dict[str, Any]) -> str:
        return str(data_of(client.post(path, json=body), 201)["id"])

    for number in range(7):
        # Some starts are equal: the id decides.
        start = f"2100-01-0{1 + number // 3}T00:00:00Z"
        post("/api/admin/slots", slot_body(doctor_name=doctor, start_time=start))
    slot_id = post("/api/admin/slots", slot_body())
    for _ in range(7):
        booking_id = post("/api/bookings", booking_body(slot_id, user_id=user))
    hold_id = post("/api/bookings", booking_body(slot_id, hold=True))
    for verb in ("confirm", "cancel"):
        data_of(client.post(f"/api/bookings/{hold_id}/{verb}"))
    return {
        "/api/slots": {"doctor_name": doctor},
        "/api/admin/slots": {"doctor_name": doctor},
        "/api/bookings": {"user_id": user},
        "/api/admin/bookings": {"user_id": user},
        "events": {"path": f"/api/bookings/{hold_id}/events"},
        "other events": {"path": f"/api/bookings/{booking_id}/events"},
    }


def _get(client: FlaskClient, rows: dict[str, dict[str, Any]], name: str, **more: Any) -> Any:
    filters = dict(rows[name])
    path = filters.pop("path", name)
    return client.get(path, query_string={**filters, **more})


def _pages(
    client: FlaskClient, rows: dict[str, dict[str, Any]], name: str, limit: int
) -> Iterator[list[Any]]:
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        more = {"cursor": cursor} if cursor else {}
        page, cursor = page_of(_get(client, rows, name, limit=limit, **more))
        yield page
        if cursor is None:
            return
    pytest.fail("the list has no end")


@pytest.mark.parametrize("name", LISTS)
def test_pages_are_the_list_in_pieces(
    client: FlaskClient, rows: dict[str, dict[str, Any]], name: str
) -> None:
    whole, cursor = page_of(_get(client, rows, name))
    assert cursor is None
    assert len(whole) == (3 if name == "events" else 7)
    for limit in (1, 2, 3, 6, 7, 8, 200):
        pages = list(_pages(client, rows, name, limit))
        assert [row for page in pages for row in page] == whole
        assert all(len(page) == limit for page in pages[:-1])
        assert len(pages) == -(-len(whole) // limit)


@pytest.mark.parametrize("name", LISTS)
def test_link_leads_to_the_next_page(
    client: FlaskClient, rows: dict[str, dict[str, Any]], name: str
) -> None:
    first = _get(client, rows, name, limit=2)
    _, cursor = page_of(first)
    link = first.headers["Link"]
    assert link.startswith("<http://localhost/")
    assert link.endswith('>; rel="next"')
    url = urlsplit(link[1 : link.index(">")])
    assert parse_qs(url.query)["cursor"] == [cursor]
    assert parse_qs(url.query)["limit"] == ["2"]
    followed, _ = page_of(client.get(f"{url.path}?{url.query}"))
    by_hand, _ = page_of(_get(client, rows, name, limit=2, cursor=cursor))
    assert followed == by_hand
    assert followed[0] != page_of(first)[0][0]


@pytest.mark.parametrize("name", LISTS)
def test_limit_is_fifty_unless_told(
    client: FlaskClient, rows: dict[str, dict[str, Any]], name: str
) -> None:
    assert _get(client, rows, name).get_json()["meta"] == {"next_cursor": None, "limit": 50}
    assert _get(client, rows, name, limit=200).get_json()["meta"]["limit"] == 200


def test_default_page_holds_fifty_rows(client: FlaskClient, new_slot: Maker) -> None:
    slot, user = new_slot(total_capacity=51), unique("fifty")
    for _ in range(51):
        response = client.post("/api/bookings", json=booking_body(slot["id"], user_id=user))
        data_of(response, 201)
    page, cursor = page_of(client.get("/api/bookings", query_string={"user_id": user}))
    assert (len(page), cursor is None) == (50, False)


@pytest.mark.parametrize("name", LISTS)
def test_limit_has_bounds(client: FlaskClient, rows: dict[str, dict[str, Any]], name: str) -> None:
    for limit in ("0", "201", "-1", "", "1.0", "ten", "1e1", "\uff10\uff11", "9" * 30):
        problem_of(_get(client, rows, name, limit=limit), 422, "VALIDATION_ERROR", "limit")


def _cursor(client: FlaskClient, rows: dict[str, dict[str, Any]], name: str, **more: Any) -> str:
    _, cursor = page_of(_get(client, rows, name, limit=2, **more))
    assert cursor is not None
    return cursor


def _changed_by_one(cursor: str) -> Iterator[str]:
    for place, letter in enumerate(cursor):
        # The last letters of base64 bear fewer bits than they could: all others are tried there.
        is_last = place + 1 in {len(cursor), cursor.index(".")}
        others = URL_SAFE if is_last else [URL_SAFE[URL_SAFE.find(letter) - 1], "~", "."]
        for other in others:
            if other != letter:
                yield cursor[:place] + other + cursor[place + 1 :]
        yield cursor[:place] + letter.swapcase() + cursor[place + 1 :]
        yield cursor[:place] + cursor[place + 1 :]
        yield cursor[:place] + letter + cursor[place:]
    yield from (cursor + end for end in ("=", "==", "\n", " ", ".", "\x00"))
    yield from (start + cursor for start in (".", " ", "=", "\n"))


@pytest.mark.parametrize("name", ["/api/slots", "/api/bookings", "events"])
def test_cursor_changed_by_one_character_is_refused(
    client: FlaskClient, rows: dict[str, dict[str, Any]], name: str
) -> None:
    cursor = _cursor(client, rows, name)
    tried = {changed for changed in _changed_by_one(cursor) if changed != cursor}
    assert len(tried) > 4 * len(cursor)
    taken = [
        changed
        for changed in sorted(tried)
        if _get(client, rows, name, limit=2, cursor=changed).status_code != 422
    ]
    assert taken == []


@pytest.mark.parametrize("name", LISTS)
def test_cursor_that_was_never_made_is_refused(
    client: FlaskClient, rows: dict[str, dict[str, Any]], name: str
) -> None:
    made_up = ["", "x", "null", "eyJhIjoxfQ", ".", "..", ".x.y", "a.b.c", "😀", "\x00"]
    for cursor in [*made_up, "x" * 1000, "x" * 1001]:
        response = _get(client, rows, name, cursor=cursor)
        problem_of(response, 422, "VALIDATION_ERROR", "cursor")


@pytest.mark.parametrize("made", LISTS)
def test_cursor_of_another_list_is_refused(
    client: FlaskClient, rows: dict[str, dict[str, Any]], made: str
) -> None:
    cursor = _cursor(client, rows, made)
    page_of(_get(client, rows, made, cursor=cursor))
    for used in {*LISTS, "other events"} - {made}:
        response = _get(client, rows, used, cursor=cursor)
        problem_of(response, 422, "VALIDATION_ERROR", "cursor")


OTHER_FILTERS: list[tuple[str, dict[str, str]]] = [
    ("/api/slots", {"min_seats": "2"}),
    ("/api/slots", {"specialization": "x"}),
    ("/api/slots", {"from": "2000-01-01T00:00:00Z"}),
    ("/api/slots", {"to": "2999-01-01T00:00:00Z"}),
    ("/api/slots", {"doctor_name": "Dr."}),
    ("/api/admin/slots", {"status": "OPEN"}),
    ("/api/admin/slots", {"to": "2999-01-01T00:00:00Z"}),
    ("/api/bookings", {"status": "CONFIRMED"}),
    ("/api/bookings", {"user_id": "another"}),
    ("/api/admin/bookings", {"status": "CONFIRMED"}),
    ("/api/admin/bookings", {"slot_id": "00000000-0000-7000-8000-000000000000"}),
    # Text of a filter must not pass for another filter.
    ("/api/admin/bookings", {"user_id": "x&status=CONFIRMED"}),
]


@pytest.mark.parametrize(("name", "filters"), OTHER_FILTERS)
def test_cursor_with_other_filters_is_refused(
    client: FlaskClient, rows: dict[str, dict[str, Any]], name: str, filters: dict[str, str]
) -> None:
    response = _get(client, rows, name, cursor=_cursor(client, rows, name), **filters)
    problem_of(response, 422, "VALIDATION_ERROR", "cursor")


def test_cursor_takes_another_limit(client: FlaskClient, rows: dict[str, dict[str, Any]]) -> None:
    cursor = _cursor(client, rows, "/api/slots")
    page, _ = page_of(_get(client, rows, "/api/slots", cursor=cursor, limit=5))
    assert len(page) == 5


def test_cursor_outlives_the_process(
    client: FlaskClient,
    rows: dict[str, dict[str, Any]],
    make_client: Callable[..., FlaskClient],
) -> None:
    cursor = _cursor(client, rows, "/api/bookings")
    page_of(_get(make_client(), rows, "/api/bookings", cursor=cursor))


def test_cursor_tells_nothing_in_the_clear_that_a_url_cannot_hold(
    client: FlaskClient, rows: dict[str, dict[str, Any]]
) -> None:
    for name in LISTS:
        cursor = _cursor(client, rows, name)
        assert quote(cursor, safe="") == cursor


def test_slots_made_and_deleted_between_pages_neither_repeat_nor_hide_another(
    client: FlaskClient, new_slot: Maker
) -> None:
    doctor = unique("Dr. Moving")
    times = [f"2100-01-{day:02}T00:00:00Z" for day in (5, 5, 5, 10, 10, 10, 15, 15, 15, 20)]
    standing = [new_slot(doctor_name=doctor, start_time=time)["id"] for time in times]
    doomed = [new_slot(doctor_name=doctor, start_time=time)["id"] for time in times]
    filters = {"doctor_name": doctor, "limit": "3"}
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        more = {"cursor": cursor} if cursor else {}
        page, cursor = page_of(client.get("/api/slots", query_string={**filters, **more}))
        seen += [row["id"] for row in page]
        if cursor is None:
            break
        # One row that was shown, and one that was not.
        for slot_id in (doomed.pop(), doomed.pop(0)) if doomed else ():
            assert client.delete(f"/api/admin/slots/{slot_id}").status_code == 204
        for time in ("2100-01-01T00:00:00Z", page[-1]["start_time"], "2100-01-30T00:00:00Z"):
            if len(seen) < 15:
                body = slot_body(doctor_name=doctor, start_time=time)
                data_of(client.post("/api/admin/slots", json=body), 201)
    assert cursor is None
    assert len(seen) == len(set(seen))
    assert set(standing) <= set(seen)


def test_bookings_made_between_pages_neither_repeat_nor_hide_another(
    client: FlaskClient, new_slot: Maker, new_booking: Maker
) -> None:
    slot, user = new_slot(total_capacity=100), unique("moving")
    standing = [new_booking(slot["id"], user_id=user)["id"] for _ in range(9)]
    filters = {"user_id": user, "limit": "2"}
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        more = {"cursor": cursor} if cursor else {}
        page, cursor = page_of(client.get("/api/bookings", query_string={**filters, **more}))
        seen += [row["id"] for row in page]
        if cursor is None:
            break
        new_booking(slot["id"], user_id=user)
        # A row that changes where it stands does not move.
        data_of(client.post(f"/api/bookings/{standing[0]}/cancel"))
    assert cursor is None
    assert seen == standing[::-1]
