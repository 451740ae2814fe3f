"""Answers to what never reaches the application, as problems like all others."""

from __future__ import annotations

import uuid
from http import HTTPStatus

from gunicorn.http.errors import (
    InvalidHeader,
    LimitRequestHeaders,
    LimitRequestLine,
    ParseException,
    UnsupportedTransferCoding,
)

from booking.controllers.problems import (
    PROBLEM_TYPE,
    PROBLEMS,
    Problem,
    problem_body,
    problem_of_status,
)
from booking.errors import IdempotencyKeyInvalid
from booking.middleware.headers import SECURITY_HEADERS
from booking.middleware.request_id import HEADER

DETAIL = "This is not a request that the server reads."


def problem_of_unparsed(error: ParseException) -> Problem:
    """Return how a refusal of gunicorn's parser is told."""
    if isinstance(error, InvalidHeader) and str(error.hdr).upper() == "IDEMPOTENCY-KEY":
        return PROBLEMS[IdempotencyKeyInvalid]
    return problem_of_status(_status_of(error))


def _status_of(error: ParseException) -> HTTPStatus:
    if isinstance(error, LimitRequestLine):
        return HTTPStatus.REQUEST_URI_TOO_LONG
    if isinstance(error, LimitRequestHeaders):
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    if isinstance(error, UnsupportedTransferCoding):
        return HTTPStatus.NOT_IMPLEMENTED
    return HTTPStatus.BAD_REQUEST


def refusal(problem: Problem) -> bytes:
    """Return the whole response, which repeats nothing of what was sent."""
    request_id = str(uuid.uuid4())
    # The path is in what could not be read.
    body = problem_body(problem, DETAIL, instance="/", request_id=request_id)
    headers = {
        "Content-Type": PROBLEM_TYPE,
        "Content-Length": str(len(body)),
        "Connection": "close",
        HEADER: request_id,
        **SECURITY_HEADERS,
    }
    lines = [f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body
