"""The one place where an error becomes a status and a body (RFC 9457)."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from booking import errors
from booking.controllers.responses import WholeResponse, public_path, to_json
from booking.errors import (
    CapacityBelowBooked,
    DomainError,
    HoldLimit,
    InvalidInput,
    SlotFull,
    Unauthenticated,
    UserSeatLimit,
)
from booking.middleware.cors import headers_for
from booking.middleware.headers import security_headers
from booking.middleware.request_id import HEADER as REQUEST_ID
from booking.middleware.request_id import choose_request_id, current_request_id

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PROBLEM_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:booking:problem:"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Problem:
    """How an error is told. With ``retry_after``, in seconds, the request may be sent again."""

    status: int
    code: str
    title: str
    retry_after: int | None = None


PROBLEMS: Mapping[type[DomainError], Problem] = {
    errors.MalformedRequest: Problem(400, "MALFORMED_REQUEST", "Malformed request"),
    errors.IdempotencyKeyInvalid: Problem(
        400, "IDEMPOTENCY_KEY_INVALID", "Invalid idempotency key"
    ),
    errors.Unauthenticated: Problem(401, "UNAUTHENTICATED", "Not authenticated"),
    errors.Forbidden: Problem(403, "FORBIDDEN", "Forbidden"),
    errors.SlotNotFound: Problem(404, "SLOT_NOT_FOUND", "Slot not found"),
    errors.BookingNotFound: Problem(404, "BOOKING_NOT_FOUND", "Booking not found"),
    errors.SlotFull: Problem(409, "SLOT_FULL", "Not enough seats"),
    errors.SlotClosed: Problem(409, "SLOT_CLOSED", "Slot closed"),
    errors.SlotStarted: Problem(409, "SLOT_STARTED", "Slot has begun"),
    errors.SlotHasBookings: Problem(409, "SLOT_HAS_BOOKINGS", "Slot has bookings"),
    errors.CapacityBelowBooked: Problem(
        409, "CAPACITY_BELOW_BOOKED", "Capacity below what is booked"
    ),
    errors.UserSeatLimit: Problem(409, "USER_SEAT_LIMIT", "Too many seats for one user"),
    errors.BookingExpired: Problem(409, "BOOKING_EXPIRED", "Hold expired"),
    errors.BookingCancelled: Problem(409, "BOOKING_CANCELLED", "Booking cancelled"),
    errors.VersionMismatch: Problem(412, "VERSION_MISMATCH", "Version mismatch"),
    errors.InvalidInput: Problem(422, "VALIDATION_ERROR", "Validation error"),
    errors.IdempotencyKeyReused: Problem(422, "IDEMPOTENCY_KEY_REUSED", "Idempotency key reused"),
    errors.IdempotencyInProgress: Problem(
        409, "IDEMPOTENCY_IN_PROGRESS", "Request in progress", retry_after=1
    ),
    errors.HoldLimit: Problem(429, "HOLD_LIMIT", "Too many holds at a time", retry_after=1),
    errors.Overloaded: Problem(503, "OVERLOADED", "Overloaded", retry_after=1),
    errors.Busy: Problem(503, "BUSY", "Busy", retry_after=1),
    errors.DatabaseUnavailable: Problem(
        503, "DATABASE_UNAVAILABLE", "Database unavailable", retry_after=2
    ),
    errors.OutcomeUnknown: Problem(503, "OUTCOME_UNKNOWN", "Outcome unknown", retry_after=1),
    errors.NotReady: Problem(503, "NOT_READY", "Not ready", retry_after=2),
}

INTERNAL_ERROR = Problem(500, "INTERNAL_ERROR", "Internal error")

HTTP_PROBLEMS: Mapping[int, Problem] = {
    400: PROBLEMS[errors.MalformedRequest],
    404: Problem(404, "NOT_FOUND", "Not found"),
    405: Problem(405, "METHOD_NOT_ALLOWED", "Method not allowed"),
    413: Problem(413, "PAYLOAD_TOO_LARGE", "Payload too large"),
    415: Problem(415, "UNSUPPORTED_MEDIA_TYPE", "Unsupported media type"),
}


def problem_of(error: type[DomainError]) -> Problem | None:
    """Return how a kind of error is told: as itself, or as the nearest kind above it."""
    return next((PROBLEMS[kind] for kind in error.__mro__ if kind in PROBLEMS), None)


def problem_of_status(status: int) -> Problem:
    """Return how the framework's refusal with a status is told."""
    standard = HTTPStatus(status)
    return HTTP_PROBLEMS.get(status) or Problem(status, standard.name, standard.phrase)


def problem_body(
    problem: Problem, detail: str, *, instance: str, request_id: str, **extension: Any
) -> bytes:
    """Return a problem document, ``instance`` being the path that was asked for, encoded."""
    return to_json(
        {
            "type": TYPE_PREFIX + problem.code.lower().replace("_", "-"),
            "title": problem.title,
            "status": problem.status,
            "detail": detail,
            "instance": instance,
            "code": problem.code,
            "request_id": request_id,
            "retryable": problem.retry_after is not None,
            **extension,
        }
    )


def refusal(problem: Problem, detail: str, *, cors_origins: frozenset[str]) -> WSGIApplication:
    """Return a WSGI application that answers every request with ``problem``, without Flask: for
    whoever refuses more requests than Flask could serve, or what is none.

    It reads the method, the path, the scheme and two headers, X-Request-ID and Origin.
    """
    status = f"{problem.status} {HTTPStatus(problem.status).phrase}"
    constant_headers = {"Content-Type": PROBLEM_TYPE}
    if problem.retry_after is not None:
        constant_headers["Retry-After"] = str(problem.retry_after)

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request_id = choose_request_id(environ.get("HTTP_X_REQUEST_ID", ""))
        # WSGI hands over the path's bytes as Latin-1 (PEP 3333, "Unicode Issues").
        prefix, path = (
            environ.get(name, "").encode("latin-1").decode(errors="replace")
            for name in ("SCRIPT_NAME", "PATH_INFO")
        )
        instance = public_path(prefix, path)
        body = problem_body(problem, detail, instance=instance, request_id=request_id)
        headers = {
            **constant_headers,
            **security_headers(environ),
            "Content-Length": str(len(body)),
            REQUEST_ID: request_id,
            **headers_for(environ.get("HTTP_ORIGIN"), cors_origins),
        }
        start_response(status, list(headers.items()))
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    return answer


def init_app(app: Flask) -> None:
    """Answer every error of the domain, of the framework and of our own making."""
    app.register_error_handler(DomainError, _answer_domain_error)
    app.register_error_handler(HTTPException, _answer_http_exception)
    app.register_error_handler(Exception, _answer_defect)


def _answer_domain_error(error: DomainError) -> Response:
    problem = problem_of(type(error))
    if problem is None:
        return _answer_defect(error)
    extension: dict[str, Any] = {}
    headers: dict[str, str] = {}
    if isinstance(error, InvalidInput):
        extension["errors"] = [
            {"field": fault.field, "message": fault.message} for fault in error.errors
        ]
    if isinstance(error, SlotFull):
        extension["remaining_capacity"] = error.remaining_capacity
    if isinstance(error, CapacityBelowBooked):
        extension["booked"] = error.booked
    if isinstance(error, UserSeatLimit):
        extension["max_seats_per_user"] = error.max_seats_per_user
    if isinstance(error, HoldLimit):
        # When the first of the holds lapses, if none is confirmed or cancelled before.
        problem = replace(problem, retry_after=error.seconds_left)
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    return _respond(problem, error.detail, extension, headers)


def _answer_http_exception(error: HTTPException) -> Response:
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        # Flask's wrapping of what failed after the view.
        return _answer_defect(getattr(error, "original_exception", None) or error)
    problem = problem_of_status(status)
    told = ("Allow", "Accept-Encoding")
    headers = {name: value for name, value in error.get_headers() if name in told}
    return _respond(problem, error.description or problem.title, {}, headers)


def _answer_defect(error: BaseException) -> Response:
    logger.error("a defect of ours", exc_info=error)
    return _respond(INTERNAL_ERROR, "Something went wrong on our side.", {}, {})


def _respond(
    problem: Problem, detail: str, extension: Mapping[str, Any], headers: dict[str, str]
) -> Response:
    if problem.retry_after is not None:
        headers["Retry-After"] = str(problem.retry_after)
    body = problem_body(
        problem,
        detail,
        instance=public_path(request.root_path, request.path),
        request_id=current_request_id(),
        **extension,
    )
    return WholeResponse(body, status=problem.status, headers=headers, content_type=PROBLEM_TYPE)
