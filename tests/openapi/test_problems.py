"""Every problem code stands at each operation that can answer it, and at no other."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from booking.controllers.problems import HTTP_PROBLEMS, INTERNAL_ERROR, PROBLEMS
from booking.openapi.problems import meaning_of
from tests.openapi.documents import operations_of, resolve

# The contract's column "its own errors", and what "Who may do what" and "Idempotency" add to it.
OWN = {
    ("GET", "/api/slots/{slot_id}"): {"SLOT_NOT_FOUND"},
    ("POST", "/api/bookings"): {
        "IDEMPOTENCY_KEY_INVALID",
        "FORBIDDEN",
        "SLOT_NOT_FOUND",
        "SLOT_FULL",
        "SLOT_STARTED",
        "SLOT_CLOSED",
        "USER_SEAT_LIMIT",
        "HOLD_LIMIT",
        "IDEMPOTENCY_KEY_REUSED",
        "IDEMPOTENCY_IN_PROGRESS",
    },
    ("GET", "/api/bookings"): {"FORBIDDEN"},
    ("GET", "/api/bookings/{booking_id}"): {"BOOKING_NOT_FOUND"},
    ("POST", "/api/bookings/{booking_id}/confirm"): {
        "BOOKING_NOT_FOUND",
        "BOOKING_EXPIRED",
        "BOOKING_CANCELLED",
    },
    ("POST", "/api/bookings/{booking_id}/cancel"): {"BOOKING_NOT_FOUND", "BOOKING_EXPIRED"},
    ("GET", "/api/bookings/{booking_id}/events"): {"BOOKING_NOT_FOUND"},
    ("GET", "/api/admin/slots/{slot_id}"): {"SLOT_NOT_FOUND"},
    ("PATCH", "/api/admin/slots/{slot_id}"): {
        "SLOT_NOT_FOUND",
        "CAPACITY_BELOW_BOOKED",
        "VERSION_MISMATCH",
    },
    ("DELETE", "/api/admin/slots/{slot_id}"): {
        "SLOT_NOT_FOUND",
        "SLOT_HAS_BOOKINGS",
        "VERSION_MISMATCH",
    },
    ("GET", "/ready"): {"NOT_READY"},
}
USERS = "/api/bookings"
ADMINS = "/api/admin"
PROBES = ("/health", "/ready")
# These read a lapsed hold only after they have failed it.
SETTLING_READS = ("/api/bookings/{booking_id}", "/api/bookings/{booking_id}/events")


def expected(method: str, path: str) -> set[str]:
    """Return the codes that the contract gives an operation."""
    codes = OWN.get((method, path), set()) | {
        "MALFORMED_REQUEST",
        "VALIDATION_ERROR",
        "PAYLOAD_TOO_LARGE",
        "INTERNAL_ERROR",
    }
    if path.startswith((USERS, ADMINS)):
        codes |= {"UNAUTHENTICATED"}
    if path.startswith(ADMINS):
        codes |= {"FORBIDDEN"}
    if method in {"POST", "PATCH"}:
        codes |= {"UNSUPPORTED_MEDIA_TYPE"}
    if "{" in path:
        codes |= {"NOT_FOUND"}
    if path not in PROBES:
        codes |= {"OVERLOADED"}
    if path.startswith("/api/"):
        codes |= {"BUSY", "DATABASE_UNAVAILABLE"}
        if method != "GET" or path in SETTLING_READS:
            codes |= {"OUTCOME_UNKNOWN"}
    return codes


def codes_of(document: dict[str, Any], reference: Any) -> set[str]:
    """Return the codes that a response of the document allows by its schema."""
    content = resolve(document, reference).get("content", {})
    if "application/problem+json" not in content:
        return set()
    media = content["application/problem+json"]
    variants = media["schema"].get("oneOf", [media["schema"]])
    codes = {code for variant in variants for code in variant["properties"]["code"]["enum"]}
    assert set(media["examples"]) == codes
    return codes


def test_each_operation_has_its_codes(document: dict[str, Any]) -> None:
    for path, method, operation in operations_of(document):
        documented = set().union(
            *(codes_of(document, answer) for answer in operation["responses"].values())
        )
        assert documented == expected(method, path), (method, path)


def test_each_code_has_its_status(document: dict[str, Any]) -> None:
    statuses = {problem.code: problem.status for problem in _all()}
    for path, method, operation in operations_of(document):
        for status, answer in operation["responses"].items():
            for code in codes_of(document, answer):
                assert statuses[code] == int(status), (method, path, code)


def test_every_code_is_explained(document: dict[str, Any]) -> None:
    codes = {problem.code for problem in _all()}
    assert set(document["components"]["examples"]) == codes
    for problem in _all():
        assert meaning_of(problem).endswith(".")
        assert f"| `{problem.code}` | {problem.status}" in document["info"]["description"]
    documented = set().union(
        *(codes_of(document, answer) for answer in document["components"]["responses"].values())
    )
    assert documented == codes


def _all() -> list[Any]:
    return [*PROBLEMS.values(), *HTTP_PROBLEMS.values(), INTERNAL_ERROR]


@pytest.mark.parametrize(
    ("call", "sent", "code"),
    [
        ("GET /nowhere", {}, "NOT_FOUND"),
        ("PUT /api/slots", {}, "METHOD_NOT_ALLOWED"),
        (
            "POST /api/bookings",
            {"data": "{", "content_type": "application/json"},
            "MALFORMED_REQUEST",
        ),
        ("POST /api/bookings", {"json": {}}, "VALIDATION_ERROR"),
        (
            "POST /api/bookings",
            {"data": "x", "content_type": "text/plain"},
            "UNSUPPORTED_MEDIA_TYPE",
        ),
        ("POST /api/bookings", {"data": b"x" * 65_537}, "PAYLOAD_TOO_LARGE"),
        ("GET /api/slots/nothing", {}, "SLOT_NOT_FOUND"),
        ("GET /api/bookings/nothing", {}, "BOOKING_NOT_FOUND"),
    ],
)
def test_examples_are_what_the_server_says(
    client: FlaskClient,
    document: dict[str, Any],
    call: str,
    sent: dict[str, Any],
    code: str,
) -> None:
    method, path = call.split()
    answer = client.open(path, method=method, **sent).get_json()
    assert answer["code"] == code
    example = document["components"]["examples"][code]["value"]
    for name in ("type", "title", "status", "retryable"):
        assert example[name] == answer[name]
    assert set(example) == set(answer)
