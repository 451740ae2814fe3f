"""Gives each request an id: the client's where it sent a fit one, else a new one."""

from __future__ import annotations

import logging
import re
import secrets
from contextvars import ContextVar

from flask import Flask, Response, request

HEADER = "X-Request-ID"
_FIT = re.compile(r"[A-Za-z0-9._-]{1,128}")
_current: ContextVar[str] = ContextVar("request_id", default="-")


def current_request_id() -> str:
    """Return the id of the request that this thread serves, ``-`` outside of one."""
    return _current.get()


class RequestIdFilter(logging.Filter):
    """Puts the request's id on every log record that is made while it is served."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let the record pass, with its ``request_id``."""
        record.request_id = _current.get()
        return True


def choose_request_id(sent: str) -> str:
    """Return the id that a client sent where it is a fit one, else 128 random bits."""
    return sent if _FIT.fullmatch(sent) else secrets.token_hex(16)


def begin_request(sent: str) -> str:
    """Choose the id of the request that this thread serves from now on, and return it."""
    request_id = choose_request_id(sent)
    _current.set(request_id)
    return request_id


def init_app(app: Flask) -> None:
    """Take or make the id before a request, and put it on every response."""

    @app.before_request
    def begin() -> None:
        begin_request(request.headers.get(HEADER, ""))

    @app.after_request
    def mark(response: Response) -> Response:
        response.headers[HEADER] = _current.get()
        return response

    @app.teardown_request
    def end(_error: BaseException | None) -> None:
        _current.set("-")
