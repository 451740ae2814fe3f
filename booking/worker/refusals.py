"""Answers to what never reaches the application, as problems like all others."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from gunicorn.http.errors import (
    InvalidHeader,
    InvalidHTTPVersion,
    InvalidRequestLine,
    LimitRequestHeaders,
    LimitRequestLine,
    ParseException,
    UnsupportedTransferCoding,
)

from booking.controllers.problems import PROBLEMS, Problem, problem_of_status
from booking.errors import IdempotencyKeyInvalid
from booking.middleware.request_id import begin_request
from booking.overload.admission import add_refusal_headers

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

DETAIL = "This is not a request that the server reads."
NOT_ENCODED = (
    "Path and query are printable ASCII; any other character, and a space, must be percent-encoded"
    " (RFC 3986, section 2.1)."
)
_REQUEST_LINE = re.compile(rb"[A-Z]+ ([^\r\n]*) HTTP/1\.[0-9]\r\n")
_UNPRINTABLE = re.compile(rb"[^!-~]")

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


def _detail_of(error: ParseException, data: bytes) -> str:
    # A space in the target is found where the version should be.
    if isinstance(error, InvalidRequestLine | InvalidHTTPVersion):
        line = _REQUEST_LINE.match(data)
        if line and _UNPRINTABLE.search(line[1]):
            return NOT_ENCODED
    return DETAIL


def refuse_unparsed(
    error: ParseException, data: bytes, refusal: Callable[[Problem, str], WSGIApplication]
) -> bytes:
    """Log that the parser took no request, and return the whole response to what came as ``data``:
    that of the application which ``refusal`` makes.

    Nothing of it is repeated but its request id, where that is a fit one, and a listed origin.
    """
    problem = problem_of_unparsed(error)
    # The path and the method are in what could not be read.
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "wsgi.url_scheme": "http"}
    add_refusal_headers(environ, _headers_in(data))
    environ["HTTP_X_REQUEST_ID"] = begin_request(environ.get("HTTP_X_REQUEST_ID", ""))
    logger.warning("refused before the application: %s %s", problem.code, type(error).__name__)
    application = refusal(problem, _detail_of(error, data))
    return whole_response(application, environ, closes=True, date=formatdate(usegmt=True))


def _headers_in(data: bytes) -> list[tuple[str, str]]:
    """Return the headers in the lines that are whole; none where a line goes on in the next."""
    head, end, _ = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")[1 : None if end else -1]
    if any(line.startswith((b" ", b"\t")) for line in lines):
        return []
    parted = (line.decode("latin-1").partition(":") for line in lines)
    return [(name.strip(" \t"), value.strip(" \t")) for name, _, value in parted]


def whole_response(
    application: WSGIApplication, environ: WSGIEnvironment, *, closes: bool, date: str | None = None
) -> bytes:
    """Return all that a small WSGI application says; ``closes`` is told to the client, and the
    ``date`` where one is given: a 5xx needs none (RFC 9110, section 6.6.1).
    """
    told: list[Any] = []
    body = b"".join(application(environ, lambda *said: told.extend(said)))  # type: ignore[arg-type] # nobody writes by it
    status, headers = told[:2]
    lines = [
        f"HTTP/1.1 {status}",
        f"Connection: {'close' if closes else 'keep-alive'}",
        *(f"{name}: {value}" for name, value in headers),
    ]
    if date is not None:
        lines.append(f"Date: {date}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
