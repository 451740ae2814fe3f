"""What every answer of the API must look like, success or problem."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from werkzeug.test import TestResponse

PROBLEM_MEMBERS = {
    "type",
    "title",
    "status",
    "detail",
    "instance",
    "code",
    "request_id",
    "retryable",
}
EXTENSIONS = {
    "VALIDATION_ERROR": {"errors"},
    "SLOT_FULL": {"remaining_capacity"},
    "CAPACITY_BELOW_BOOKED": {"booked"},
    "USER_SEAT_LIMIT": {"max_seats_per_user"},
}


def data_of(response: TestResponse, status: int = 200) -> Any:
    """Check a success that is no list, and return its ``data``."""
    assert response.status_code == status, response.get_data(as_text=True)
    assert response.mimetype == "application/json"
    body = response.get_json()
    assert set(body) == {"data", "meta"}
    assert body["meta"] == {}
    return body["data"]


def page_of(response: TestResponse) -> tuple[list[Any], str | None]:
    """Check a list, its ``meta`` and its ``Link``; return its rows and the next cursor."""
    assert response.status_code == 200, response.get_data(as_text=True)
    body = response.get_json()
    assert set(body) == {"data", "meta"}
    assert set(body["meta"]) == {"next_cursor", "limit"}
    assert len(body["data"]) <= body["meta"]["limit"]
    next_cursor = body["meta"]["next_cursor"]
    assert ("Link" in response.headers) == (next_cursor is not None)
    return body["data"], next_cursor


def problem_of(response: TestResponse, status: int, code: str, *fields: str) -> dict[str, Any]:
    """Check a problem (RFC 9457), to the member; return its body. ``fields`` are those at fault."""
    assert response.status_code == status, response.get_data(as_text=True)
    assert response.mimetype == "application/problem+json"
    body: dict[str, Any] = response.get_json()
    assert body["code"] == code, body
    assert set(body) == PROBLEM_MEMBERS | EXTENSIONS.get(code, set())
    assert body["status"] == status
    assert all(isinstance(body[name], str) and body[name] for name in ("type", "title", "detail"))
    assert body["instance"] == quote(response.request.path)
    assert body["request_id"] == response.headers["X-Request-ID"]
    is_retryable = status in {429, 503} or code == "IDEMPOTENCY_IN_PROGRESS"
    assert body["retryable"] is is_retryable
    assert ("Retry-After" in response.headers) is is_retryable
    if is_retryable:
        assert int(response.headers["Retry-After"]) >= 1
    told = body.get("errors", [])
    assert {error["field"] for error in told} == set(fields), body
    assert all(set(error) == {"field", "message"} and error["message"] for error in told)
    return body
