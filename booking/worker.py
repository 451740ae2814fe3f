"""How gunicorn serves: its threads repeat nothing of what is no HTTP, and it logs no requests."""

from __future__ import annotations

import logging
import uuid
from http import HTTPStatus
from typing import Any

from gunicorn.glogging import Logger
from gunicorn.http.errors import (
    ConfigurationProblem,
    LimitRequestHeaders,
    LimitRequestLine,
    ParseException,
    UnsupportedTransferCoding,
)
from gunicorn.workers.gthread import ThreadWorker

from booking.controllers.problems import PROBLEM_TYPE, problem_body, problem_of_status
from booking.middleware.headers import SECURITY_HEADERS
from booking.middleware.request_id import HEADER

DETAIL = "This is not a request that the server reads."

logger = logging.getLogger(__name__)


class ErrorLogger(Logger):  # type: ignore[misc] # gunicorn has no types
    """Logs what gunicorn says of itself. Requests are the application's to log: it knows more."""

    @property
    def access_log_enabled(self) -> bool:
        """Keep gunicorn from collecting what nobody reads."""
        return False


class ProblemWorker(ThreadWorker):  # type: ignore[misc] # gunicorn has no types
    """Answers what the parser refuses with a problem, as the application answers everything else.

    gunicorn by itself shows and logs the line that it could not read, which may hold a token.
    """

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer on the socket ``client``; what is no refusal of the parser is left to gunicorn."""
        if not isinstance(exc, ParseException) or isinstance(exc, ConfigurationProblem):
            super().handle_error(req, client, addr, exc)
            return
        status = _status_of(exc)
        logger.warning("refused before the application: %d %s", status, type(exc).__name__)
        client.sendall(_answer(status))


def _status_of(error: ParseException) -> HTTPStatus:
    if isinstance(error, LimitRequestLine):
        return HTTPStatus.REQUEST_URI_TOO_LONG
    if isinstance(error, LimitRequestHeaders):
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    if isinstance(error, UnsupportedTransferCoding):
        return HTTPStatus.NOT_IMPLEMENTED
    return HTTPStatus.BAD_REQUEST


def _answer(status: HTTPStatus) -> bytes:
    request_id = str(uuid.uuid4())
    # The path is in what could not be read.
    body = problem_body(problem_of_status(status), DETAIL, instance="/", request_id=request_id)
    headers = {
        "Content-Type": PROBLEM_TYPE,
        "Content-Length": str(len(body)),
        "Connection": "close",
        HEADER: request_id,
        **SECURITY_HEADERS,
    }
    lines = [f"HTTP/1.1 {status.value} {status.phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body
