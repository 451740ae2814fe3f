"""What a request body must be before any field of it is looked at."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from booking.controllers.parsing import MAX_BODY_BYTES
from tests.controllers.answers import data_of, problem_of
from tests.controllers.conftest import Maker
from tests.support.factories import UNKNOWN_ID, booking_body, slot_body

Send = Callable[..., Any]


CALLS = {
    "create_slot": ("POST", "/api/admin/slots"),
    "change_slot": ("PATCH", f"/api/admin/slots/{UNKNOWN_ID}"),
    "book": ("POST", "/api/bookings"),
    "confirm": ("POST", f"/api/bookings/{UNKNOWN_ID}/confirm"),
    "cancel": ("POST", f"/api/bookings/{UNKNOWN_ID}/cancel"),
    "expire": ("POST", "/api/admin/expire-pending"),
}
ROUTES = list(CALLS)
TAKE_NO_BODY = ["confirm", "cancel", "expire"]
MARK = b"\xef\xbb\xbf"


@pytest.fixture
def send(offline: FlaskClient) -> Send:
    """Sends bytes as the body of one of the routes that take one."""

    def do(route: str, body: bytes, content_type: str | None = "application/json") -> Any:
        method, path = CALLS[route]
        return offline.open(path, method=method, data=body, content_type=content_type)

    return do


NESTED_IN_A_LIST = b'{"doctor_name": ' + b"[" * 40 + b"]" * 40 + b"}"
MALFORMED: dict[str, bytes] = {
    "not JSON": b"doctor_name=x",
    "cut off": b'{"num_seats": 1',
    "two objects": b"{} {}",
    "trailing comma": b'{"num_seats": 1,}',
    "comment": b"{} // a comment",
    "single quotes": b"{'num_seats': 1}",
    "NaN": b'{"num_seats": NaN}',
    "Infinity": b'{"num_seats": Infinity}',
    "-Infinity": b'{"num_seats": -Infinity}',
    "NaN in the deep": b'{"x": [{"y": NaN}]}',
    "a field twice": b'{"num_seats": 1, "num_seats": 2}',
    "a field twice alike": b'{"num_seats": 1, "num_seats": 1}',
    "a field twice, escaped": b'{"hold": true, "h\\u006fld": false}',
    "a field twice in the deep": b'{"x": [{"y": {"z": 1, "z": 2}}]}',
    "true": b"true",
    "a number": b"1",
    "a string": b'"{}"',
    "a list": b"[]",
    "a list of an object": b"[{}]",
    "blank": b"  \n",
    "UTF-8 with two marks": MARK + MARK + b"{}",
    "nothing but a mark": MARK,
    "a mark at the end": b"{}" + MARK,
    "UTF-16": json.dumps({"num_seats": 1}).encode("utf-16"),
    "UTF-16 without a mark": json.dumps({"num_seats": 1}).encode("utf-16-le"),
    "UTF-32": json.dumps({"num_seats": 1}).encode("utf-32"),
    "latin-1": b'{"doctor_name": "caf\xe9"}',
    "overlong UTF-8": b'{"doctor_name": "\xc0\xaf"}',
    "surrogate in UTF-8": b'{"doctor_name": "\xed\xa0\x80"}',
    "half a surrogate pair": b'{"doctor_name": "\\ud800"}',
    "the other half": b'{"doctor_name": "x\\udc00"}',
    "halves the wrong way": b'{"doctor_name": "\\udc00\\ud800"}',
    "half a pair in a name": b'{"\\ud800": 1}',
    "NUL byte": b'{"doctor_name": "a\x00b"}',
    "raw newline in a string": b'{"doctor_name": "a\nb"}',
    "leading zero": b'{"num_seats": 01}',
    "plus": b'{"num_seats": +1}',
    "hexadecimal": b'{"num_seats": 0x1}',
    "bare point": b'{"num_seats": 1.}',
    "deep lists": NESTED_IN_A_LIST,
    "deep objects": b'{"a":' * 40 + b"1" + b"}" * 40,
    "as deep as fits": b"[" * (MAX_BODY_BYTES // 2 - 1) + b"]" * (MAX_BODY_BYTES // 2 - 1),
    "deep and never closed": b"[" * (MAX_BODY_BYTES - 1),
    "deep objects, never closed": b'{"a":' * 13_000,
    "compressed": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
    "XML": b"<?xml version='1.0'?><a/>",
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_body_that_is_not_one_json_object_is_malformed(send: Send, body: bytes) -> None:
    for route in ROUTES:
        problem_of(send(route, body), 400, "MALFORMED_REQUEST")


@pytest.mark.parametrize("route", ["create_slot", "change_slot", "book"])
def test_null_is_no_object(send: Send, route: str) -> None:
    problem_of(send(route, b"null"), 400, "MALFORMED_REQUEST")


@pytest.mark.parametrize("body", [b"null", b" null\n", MARK + b"null", MARK + b"{}", b"{}"])
def test_null_is_no_body_where_none_is_taken(
    client: FlaskClient, new_slot: Maker, body: bytes
) -> None:
    hold = booking_body(new_slot()["id"], hold=True)
    booking_id = data_of(client.post("/api/bookings", json=hold), 201)["id"]
    sent = {"data": body, "content_type": "application/json"}
    for call, status in (("confirm", "CONFIRMED"), ("cancel", "CANCELLED")):
        answer = client.post(f"/api/bookings/{booking_id}/{call}", **sent)
        assert data_of(answer)["status"] == status
    data_of(client.post("/api/admin/expire-pending", **sent))


@pytest.mark.parametrize("route", TAKE_NO_BODY)
def test_null_has_to_be_json_too(send: Send, route: str) -> None:
    problem_of(send(route, b"null", "text/plain"), 415, "UNSUPPORTED_MEDIA_TYPE")


def test_mark_before_the_json_is_passed_over(client: FlaskClient) -> None:
    body = MARK + json.dumps(slot_body(doctor_name="Dr. \ufeff Mark")).encode()
    response = client.post("/api/admin/slots", data=body, content_type="application/json")
    assert data_of(response, 201)["doctor_name"] == "Dr. \ufeff Mark"


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "br", "deflate, gzip", "identity, gzip", "x"])
def test_body_in_a_coding_is_not_taken(offline: FlaskClient, coding: str) -> None:
    compressed = gzip.compress(b"{}")
    for method, path in CALLS.values():
        for body in (compressed, b"{}"):
            response = offline.open(
                path,
                method=method,
                data=body,
                content_type="application/json",
                headers={"Content-Encoding": coding},
            )
            told = problem_of(response, 415, "UNSUPPORTED_MEDIA_TYPE")
            assert "Content-Encoding" in told["detail"]
            assert response.headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("coding", ["", "identity", "Identity", "identity, identity"])
def test_body_as_it_is_is_taken(client: FlaskClient, coding: str) -> None:
    headers = {"Content-Encoding": coding}
    data_of(client.post("/api/admin/slots", json=slot_body(), headers=headers), 201)


def test_coding_of_no_body_is_none(client: FlaskClient) -> None:
    headers = {"Content-Encoding": "gzip"}
    data_of(client.post("/api/admin/expire-pending", headers=headers))


@pytest.mark.parametrize("number", ["9" * 5_000, "-" + "9" * 60_000], ids=["5 kB", "60 kB"])
def test_long_number_is_well_formed(send: Send, number: str) -> None:
    body = b'{"num_seats": %s}' % number.encode()
    required = ("slot_id", "user_id", "num_seats")
    problem_of(send("book", body), 422, "VALIDATION_ERROR", *required)


@pytest.mark.parametrize("route", ["create_slot", "change_slot", "book"])
@pytest.mark.parametrize("content_type", [None, "application/json"])
def test_no_body_where_one_is_needed_is_malformed(
    send: Send, route: str, content_type: str | None
) -> None:
    problem_of(send(route, b"", content_type), 400, "MALFORMED_REQUEST")


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "APPLICATION/JSON;Charset=UTF-8",
        'application/json; charset="utf-8"',
        " application/json",
        "application/merge-patch+json",
        "application/vnd.booking.v1+json",
    ],
)
def test_types_of_json_are_taken(client: FlaskClient, content_type: str) -> None:
    body = json.dumps(slot_body()).encode()
    data_of(client.post("/api/admin/slots", data=body, content_type=content_type), 201)


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
        "application/jsonp",
        "application/json/extra",
        "application/json, text/plain",
        "json",
        "application/json; charset=utf-16",
        "application/json; charset=iso-8859-1",
        "*/*",
    ],
)
def test_other_types_are_not(send: Send, content_type: str | None) -> None:
    for route in ROUTES:
        problem_of(send(route, b"{}", content_type), 415, "UNSUPPORTED_MEDIA_TYPE")


def _padded(body: dict[str, Any], size: int) -> bytes:
    text = json.dumps(body).encode()
    return text + b" " * (size - len(text))


def test_body_may_have_64_kib_and_not_a_byte_more(client: FlaskClient, new_slot: Maker) -> None:
    body = booking_body(new_slot()["id"])
    for size, status in ((MAX_BODY_BYTES, 201), (MAX_BODY_BYTES + 1, 413)):
        response = client.post(
            "/api/bookings", data=_padded(body, size), content_type="application/json"
        )
        if status == 201:
            data_of(response, 201)
        else:
            problem_of(response, 413, "PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize("route", ROUTES)
def test_body_over_the_limit_is_too_large_on_every_route(send: Send, route: str) -> None:
    problem_of(send(route, b" " * (MAX_BODY_BYTES + 1)), 413, "PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_body_over_the_limit_is_too_large_where_none_is_read(
    client: FlaskClient, new_slot: Maker, method: str
) -> None:
    path = f"/api/admin/slots/{new_slot()['id']}"
    response = client.open(path, method=method, data=b"x" * (MAX_BODY_BYTES + 1))
    problem_of(response, 413, "PAYLOAD_TOO_LARGE")
    assert client.get(path).status_code == 200


def test_nesting_within_reason_is_judged_by_the_schema(client: FlaskClient) -> None:
    body = slot_body(doctor_name=[[[[["x"]]]]])
    response = client.post("/api/admin/slots", json=body)
    problem_of(response, 422, "VALIDATION_ERROR", "doctor_name")


def test_escapes_of_whole_pairs_are_characters(client: FlaskClient) -> None:
    body = json.dumps(slot_body(doctor_name="Dr. 😀 é")).encode()
    assert b"\\ud83d\\ude00" in body
    response = client.post("/api/admin/slots", data=body, content_type="application/json")
    assert data_of(response, 201)["doctor_name"] == "Dr. 😀 é"
