"""Answers to what never reaches the application, as problems like all others."""

from __future__ import annotations

import logging
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
from booking.middleware.request_id import HEADER, begin_request

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

DETAIL = "This is not a request that the server reads."

logger = logging.getLogger(__name__)


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


def refuse_unparsed(error: ParseException, data: bytes) -> bytes:
    """Log that the parser took no request, and return the whole response to what came as ``data``.

    Nothing of it is repeated but its request id, where that is a fit one.
    """
    problem = problem_of_unparsed(error)
    request_id = begin_request(_request_id_in(data))
    logger.warning("refused before the application: %s %s", problem.code, type(error).__name__)
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


def _request_id_in(data: bytes) -> str:
    """Return the one request id in the lines that are whole, or ""."""
    head, end, _ = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")[1 : None if end else -1]
    ids = [
        value.strip(b" \t")
        for name, _, value in (line.partition(b":") for line in lines)
        if name.strip(b" \t").lower() == b"x-request-id"
    ]
    is_folded = any(line.startswith((b" ", b"\t")) for line in lines)
    return ids[0].decode("latin-1") if len(ids) == 1 and not is_folded else ""


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
