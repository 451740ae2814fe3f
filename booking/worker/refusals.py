"""Answers to what never reaches the application, as problems like all others."""

from __future__ import annotations

from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

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
from booking.middleware.request_id import HEADER, choose_request_id

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

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
    request_id = choose_request_id("")
    # The path is in what could not be read.
    body = problem_body(problem, DETAIL, instance="/", request_id=request_id)
    headers = {
        "Content-Type": PROBLEM_TYPE,
        "Content-Length": str(len(body)),
        "Date": formatdate(usegmt=True),
        HEADER: request_id,
        **SECURITY_HEADERS,
    }
    status = f"{problem.status} {HTTPStatus(problem.status).phrase}"
    return _response(status, headers.items(), body, closes=True)


def whole_response(
    application: WSGIApplication, environ: WSGIEnvironment, *, closes: bool
) -> bytes:
    """Return all that a small WSGI application says; ``closes`` is told to the client."""
    told: list[Any] = []
    body = b"".join(application(environ, lambda *said: told.extend(said)))  # type: ignore[arg-type] # nobody writes by it
    status, headers = told[:2]
    return _response(status, headers, body, closes=closes)


def _response(
    status: str, headers: Iterable[tuple[str, str]], body: bytes, *, closes: bool
) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Connection: {'close' if closes else 'keep-alive'}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
