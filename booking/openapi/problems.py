"""Which errors an operation can answer with, and how the document shows them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from marshmallow import Schema

from booking import errors
from booking.controllers.problems import (
    HTTP_PROBLEMS,
    INTERNAL_ERROR,
    PROBLEM_TYPE,
    PROBLEMS,
    TYPE_PREFIX,
    Problem,
)
from booking.middleware.authentication import Access
from booking.openapi import examples
from booking.openapi.answers import (
    CapacityBelowBookedProblemOut,
    ProblemOut,
    SlotFullProblemOut,
    UserSeatLimitProblemOut,
    ValidationProblemOut,
)
from booking.openapi.headers import response_header
from booking.openapi.operation import Operation
from booking.schemas.bookings import MAX_SEATS

# For clients to read; the docstrings of the error classes are for those who work on this code.
_MEANINGS: Mapping[str, str] = {
    "MALFORMED_REQUEST": (
        "The body is not one JSON object in UTF-8: NaN, a field given twice or deep nesting count. "
        "Or the query is not UTF-8, or the `Host` none."
    ),
    "IDEMPOTENCY_KEY_INVALID": (
        "`Idempotency-Key` is not 1 to 255 visible ASCII characters, or is given twice."
    ),
    "UNAUTHENTICATED": "There is no token, or it is malformed, expired or forged.",
    "FORBIDDEN": (
        "The token is good, but its user may not do this. Where none are asked for: not by that "
        "`Host`, or not from that page."
    ),
    "SLOT_NOT_FOUND": "There is no such slot.",
    "BOOKING_NOT_FOUND": "There is no such booking, or it is another user's.",
    "NOT_FOUND": "There is no such path.",
    "METHOD_NOT_ALLOWED": "The path does not know the method; `Allow` names those that it knows.",
    "SLOT_FULL": "Fewer seats are left than were asked for; `remaining_capacity` says how many.",
    "SLOT_CLOSED": "The slot takes no bookings.",
    "SLOT_STARTED": "The slot has begun.",
    "SLOT_HAS_BOOKINGS": "A booking names the slot, of whatever status: close it instead.",
    "CAPACITY_BELOW_BOOKED": (
        "More seats are booked or held than the new `total_capacity`; `booked` says how many."
    ),
    "USER_SEAT_LIMIT": "The user would have more seats of the slot than `max_seats_per_user`.",
    "BOOKING_EXPIRED": "The hold lapsed, and its seats are back in the slot.",
    "BOOKING_CANCELLED": "The booking was cancelled before.",
    "IDEMPOTENCY_IN_PROGRESS": "Another request with the same key is still under way.",
    "VERSION_MISMATCH": "The slot has changed since the version that `If-Match` names.",
    "PAYLOAD_TOO_LARGE": "The body has more than 64 KiB.",
    "UNSUPPORTED_MEDIA_TYPE": (
        "The `Content-Type` of the body is not `application/json`, or it has a `Content-Encoding`."
    ),
    "VALIDATION_ERROR": (
        "Fields of the body or the query break their rules; `errors` names each, of many the first "
        f"{errors.MAX_TOLD_FAULTS}."
    ),
    "IDEMPOTENCY_KEY_REUSED": "The key was used for another slot, number of seats or kind of hold.",
    "HOLD_LIMIT": "The user has as many holds as one may have at a time.",
    "INTERNAL_ERROR": "A defect of ours. Tell us the `request_id`.",
    "OVERLOADED": "More is asked for at once than can be served.",
    "BUSY": "What the request needs was in use by others for too long; nothing was changed.",
    "DATABASE_UNAVAILABLE": "The database is not reached, or can write nothing.",
    "OUTCOME_UNKNOWN": "The connection broke during the commit: it may have happened or not.",
    "NOT_READY": "Bookings cannot be served now; `detail` says why.",
}

_FAULT = errors.FieldError(
    "num_seats", f"Must be greater than or equal to 1 and less than or equal to {MAX_SEATS}."
)

_DETAILS: Mapping[str, str] = {
    "VALIDATION_ERROR": errors.InvalidInput([_FAULT]).detail,
    "SLOT_FULL": errors.SlotFull(1).detail,
    "CAPACITY_BELOW_BOOKED": errors.CapacityBelowBooked(3).detail,
    "USER_SEAT_LIMIT": errors.UserSeatLimit(4).detail,
    "HOLD_LIMIT": errors.HoldLimit(100, seconds_left=42).detail,
    "NOT_READY": errors.DatabaseUnavailable.detail,
    "INTERNAL_ERROR": "Something went wrong on our side.",
}

_EXTENSIONS: Mapping[str, tuple[type[Schema], Mapping[str, Any]]] = {
    "VALIDATION_ERROR": (
        ValidationProblemOut,
        {"errors": [{"field": _FAULT.field, "message": _FAULT.message}]},
    ),
    "SLOT_FULL": (SlotFullProblemOut, {"remaining_capacity": 1}),
    "CAPACITY_BELOW_BOOKED": (CapacityBelowBookedProblemOut, {"booked": 3}),
    "USER_SEAT_LIMIT": (UserSeatLimitProblemOut, {"max_seats_per_user": 4}),
}

_ERRORS_BY_CODE: Mapping[str, type[errors.DomainError]] = {
    problem.code: kind for kind, problem in PROBLEMS.items()
}


def all_problems() -> Sequence[Problem]:
    """Return every kind of problem that there is, by status."""
    kinds = [*PROBLEMS.values(), *HTTP_PROBLEMS.values(), INTERNAL_ERROR]
    return sorted({each.code: each for each in kinds}.values(), key=lambda each: each.status)


def problems_of(
    operation: Operation, *, access: Access, method: str, takes_id: bool, uses_database: bool
) -> list[Problem]:
    """Return what an operation can answer with instead of its success, by status."""
    kinds = set(operation.problems)
    statuses = {413}
    kinds |= {errors.InvalidInput, errors.MalformedRequest}
    if operation.body or operation.takes_no_body:
        statuses.add(415)
    if access is not Access.ALL:
        kinds.add(errors.Unauthenticated)
    if access is Access.ADMIN:
        kinds.add(errors.Forbidden)
    if takes_id:
        statuses.add(404)
    if not operation.is_probe:
        kinds.add(errors.Overloaded)
    if uses_database:
        kinds |= {errors.Busy, errors.DatabaseUnavailable}
        if method != "GET":
            kinds.add(errors.OutcomeUnknown)
    codes = {PROBLEMS[kind].code for kind in kinds} | {
        HTTP_PROBLEMS[status].code for status in statuses
    }
    codes.add(INTERNAL_ERROR.code)
    return [problem for problem in all_problems() if problem.code in codes]


def meaning_of(problem: Problem) -> str:
    """Return a sentence on what a problem means. Raises KeyError where nobody has said."""
    return _MEANINGS[problem.code]


def example_of(problem: Problem) -> dict[str, Any]:
    """Return an example of the problem's body."""
    kind = _ERRORS_BY_CODE.get(problem.code)
    _, extension = _EXTENSIONS.get(problem.code, (ProblemOut, {}))
    value = {
        "type": TYPE_PREFIX + problem.code.lower().replace("_", "-"),
        "title": problem.title,
        "status": problem.status,
        "detail": _DETAILS.get(problem.code) or (kind.detail if kind else meaning_of(problem)),
        "instance": "/api/bookings",
        "code": problem.code,
        "request_id": examples.REQUEST_ID,
        "retryable": problem.retry_after is not None,
        **extension,
    }
    return {"summary": problem.title, "value": value}


def response_of(problems: Sequence[Problem]) -> dict[str, Any]:
    """Return the answer of one status, whichever of ``problems`` it is about."""
    retryable = [problem for problem in problems if problem.retry_after is not None]
    headers = {"X-Request-ID": response_header("X-Request-ID", required=True)}
    if retryable:
        headers["Retry-After"] = response_header(
            "Retry-After", required=len(retryable) == len(problems)
        )
    status = problems[0].status
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = response_header("WWW-Authenticate", required=True)
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = response_header("Allow", required=True)
    if status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
        headers["Accept-Encoding"] = response_header("Accept-Encoding", required=False)
    variants = list(_variants(problems))
    return {
        "description": "\n".join(_lines(problems)),
        "headers": headers,
        "content": {
            PROBLEM_TYPE: {
                "schema": variants[0] if len(variants) == 1 else {"oneOf": variants},
                "examples": {
                    problem.code: {"$ref": f"#/components/examples/{problem.code}"}
                    for problem in problems
                },
            }
        },
    }


def _lines(problems: Sequence[Problem]) -> Iterator[str]:
    for problem in problems:
        yield f"* `{problem.code}`: {meaning_of(problem)}"


def _variants(problems: Iterable[Problem]) -> Iterator[dict[str, Any]]:
    codes: dict[type[Schema], list[str]] = {}
    status = 0
    for problem in problems:
        schema, _ = _EXTENSIONS.get(problem.code, (ProblemOut, {}))
        codes.setdefault(schema, []).append(problem.code)
        status = problem.status
    for schema, names in codes.items():
        yield {
            "allOf": [schema],
            "properties": {"status": {"const": status}, "code": {"enum": names}},
        }
