"""Gives each request its deadline."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from booking import deadlines

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class RequestDeadline:
    """A WSGI application that begins nothing for a request after ``seconds``."""

    def __init__(self, application: WSGIApplication, *, seconds: float) -> None:
        self._application = application
        self._seconds = seconds

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve the request; its answer is whole when this returns."""
        with deadlines.until(time.monotonic() + self._seconds):
            return self._application(environ, start_response)
