"""The loop that fails lapsed holds, one in each worker; they share the work by SKIP LOCKED."""

from __future__ import annotations

import logging
import random
import threading

from booking.errors import DomainError
from booking.services.booking.expiry import ExpiryService

logger = logging.getLogger(__name__)


class HoldSweeper:
    """Sweeps every ``interval_seconds`` in a thread of its own; never where that is 0."""

    def __init__(self, expiry: ExpiryService, *, interval_seconds: float) -> None:
        self._expiry = expiry
        self._interval_seconds = interval_seconds
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to sweep, in the process that calls: threads do not cross a fork."""
        if self._interval_seconds and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="hold-sweeper", daemon=True)
            self._thread.start()

    def stop(self, timeout_seconds: float = 5) -> None:
        """End after the batch at hand."""
        self._stopping.set()
        if self._thread:
            self._thread.join(timeout_seconds)

    def _run(self) -> None:
        # Workers start together; they need not sweep together.
        pause = self._interval_seconds * random.uniform(0.5, 1)  # noqa: S311
        while not self._stopping.wait(pause):
            pause = self._interval_seconds
            self._sweep()

    def _sweep(self) -> None:
        try:
            expired = self._expiry.sweep(self._stopping)
        except DomainError as error:
            logger.warning("the sweep is put off: %s", error.detail)
        except Exception:
            # A loop that ended here would end for good; the trace is for whoever mends it.
            logger.exception("the sweep failed")
        else:
            if expired.holds:
                logger.info("swept %d holds, %d seats", expired.holds, expired.seats)
