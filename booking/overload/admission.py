"""Turns requests away at once when too many are in flight: better a short no than a long wait.

Under overload most requests are turned away, and what that costs is taken from those that are
served. So it is done before Flask has work with a request, and logged by the second.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from booking.overload.in_flight import InFlight

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

LOG_SECONDS = 1.0
# By the names that WSGI has for them.
REFUSAL_HEADERS = {
    "x-request-id": "HTTP_X_REQUEST_ID",
    "x-forwarded-proto": "HTTP_X_FORWARDED_PROTO",
    "x-forwarded-prefix": "HTTP_X_FORWARDED_PREFIX",
    "origin": "HTTP_ORIGIN",
    "access-control-request-method": "HTTP_ACCESS_CONTROL_REQUEST_METHOD",
}

logger = logging.getLogger(__name__)


def add_refusal_headers(environ: dict[str, str], headers: Iterable[tuple[str, str]]) -> None:
    """Put those of ``headers`` that a refusal reads into an environ, as WSGI has them."""
    for name, value in headers:
        if variable := REFUSAL_HEADERS.get(name.lower()):
            before = environ.get(variable)
            environ[variable] = value if before is None else f"{before},{value}"


class Admission:
    """Lets requests into a WSGI application while ``in_flight`` has room, and those that are exempt
    always; the others are for ``refuse``, a WSGI application too.

    ``is_exempt`` and ``refuse`` read no more of an environ than its method, path, query, scheme
    and REFUSAL_HEADERS.
    """

    def __init__(
        self,
        application: WSGIApplication,
        *,
        in_flight: InFlight,
        is_exempt: Callable[[WSGIEnvironment], bool],
        refuse: WSGIApplication,
    ) -> None:
        self._application = application
        self.is_exempt = is_exempt
        self._refuse = refuse
        self._in_flight = in_flight
        self._refusals = RefusalLog()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve or refuse one request."""
        if self.is_exempt(environ):
            return self._application(environ, start_response)
        entry = self._in_flight.enter()
        if entry is None:
            return self.refuse(environ, start_response)
        try:
            return self._application(environ, start_response)
        finally:
            self._in_flight.leave(entry)

    def is_full(self) -> bool:
        """Tell whether a request would be refused now, unless it is exempt."""
        return self._in_flight.is_full()

    def refuse(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Refuse one request."""
        self._refusals.count(self._in_flight.limit)
        return self._refuse(environ, start_response)


class RefusalLog:
    """Counts refusals, and writes a line about them once a second at most."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._logged_at = -LOG_SECONDS
        self._refused = 0

    def count(self, limit: int) -> None:
        """Count one, of a time when ``limit`` requests were let in."""
        now = self._clock()
        with self._lock:
            self._refused += 1
            if now - self._logged_at < LOG_SECONDS:
                return
            refused, self._refused, self._logged_at = self._refused, 0, now
        logger.warning(
            "overloaded: %d requests are in flight, and %d more were refused since the last such "
            "line",
            limit,
            refused,
        )
