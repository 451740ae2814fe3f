"""Rests between the tries of what may pass."""

from __future__ import annotations

import logging
import time

from booking.db.failures import one_line

MIN_REST_SECONDS = 1.0
MAX_REST_SECONDS = 30.0
# A try keeps others waiting; in the rest after it they have more time than it took from them.
REST_PER_TRY = 2.0

logger = logging.getLogger(__name__)


class Backoff:
    """Lasts for so many seconds from now on. Each rest is at least twice as long as the last, up to
    MAX_REST_SECONDS.
    """

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._next_rest = MIN_REST_SECONDS

    def is_over(self) -> bool:
        """Tell whether its time is up."""
        return time.monotonic() >= self._deadline

    def rest(self, error: Exception, *, try_began: float) -> None:
        """Rest after a try that failed with ``error``, having begun at ``time.monotonic()``
        ``try_began``.

        Raises the error where the patience would not last until the next try, and is over then.
        """
        now = time.monotonic()
        seconds = min(max(self._next_rest, REST_PER_TRY * (now - try_began)), MAX_REST_SECONDS)
        if now + seconds >= self._deadline:
            self._deadline = now
            raise error
        logger.warning("%s; it is tried again in %.3g s", one_line(error), seconds)
        time.sleep(seconds)
        self._next_rest = 2 * seconds
