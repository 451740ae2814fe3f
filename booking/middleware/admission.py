"""Turns requests away at once when too many are in flight: better a short no than a long wait.

Under overload most requests are turned away, and what that costs is taken from those that are
served. So it is done before Flask has work with a request, and logged by the second.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

LOG_SECONDS = 1.0

logger = logging.getLogger(__name__)


class Admission:
    """Lets ``limit`` requests at a time into a WSGI application, and those for the ``exempt`` paths
    always; the others are for ``refuse``, a WSGI application too.
    """

    def __init__(
        self,
        application: WSGIApplication,
        *,
        limit: int,
        exempt: frozenset[str],
        refuse: WSGIApplication,
    ) -> None:
        self._application = application
        self._exempt = exempt
        self._refuse = refuse
        # Taking from a deque and putting back need no lock between threads.
        self._places = deque([None] * limit)
        self._refusals = RefusalLog(limit)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve or refuse one request."""
        if environ.get("PATH_INFO") in self._exempt:
            return self._application(environ, start_response)
        try:
            self._places.pop()
        except IndexError:
            return self.refuse(environ, start_response)
        try:
            return self._application(environ, start_response)
        finally:
            self._places.append(None)

    def is_full_for(self, path: str) -> bool:
        """Tell whether a request for ``path`` would be refused now."""
        return not self._places and path not in self._exempt

    def refuse(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Refuse one request: of ``environ`` the method, the path and two headers are read."""
        self._refusals.count()
        return self._refuse(environ, start_response)


class RefusalLog:
    """Counts refusals, and writes a line about them once a second at most."""

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        self._logged_at = -LOG_SECONDS
        self._refused = 0

    def count(self) -> None:
        """Count one."""
        now = self._clock()
        with self._lock:
            self._refused += 1
            if now - self._logged_at < LOG_SECONDS:
                return
            refused, self._refused, self._logged_at = self._refused, 0, now
        logger.warning(
            "overloaded: %d requests are in flight, and %d more were refused since the last such "
            "line",
            self._limit,
            refused,
        )
