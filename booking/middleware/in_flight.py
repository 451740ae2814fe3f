"""How many requests may be in flight: as many as are answered within a target, of a number at most.

A number alone bounds the wait only where one knows how fast requests are served, and that differs
by machine, by request and by hour. So it is measured. A request that was the n-th in flight when it
came, and was answered T seconds later, shows that n requests are served in T (J. D. C. Little, "A
Proof for the Queuing Formula: L = λW", 1961): n / T in a second, whatever the limit is meanwhile.

What is no overload must not be taken for one:

- A rush is let in whole: the limit is lowered only where waits have been long for a while, as CoDel
  does it (RFC 8289, section 3).
- A few requests that wait for a locked row say nothing of the others: medians are compared.
- Waits that are long while few are in flight have another cause, and refusing would not help.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from statistics import median
from typing import NamedTuple

TARGET_SECONDS = 0.4
"""The wait that half of the requests stay within under overload, so that 99 of 100 stay within a
second."""
PATIENCE_SECONDS = 1.0
WINDOW_SECONDS = 0.1
WINDOW_REQUESTS = 8
FORGET_SECONDS = 2.0
GROWTH = 1.25


class Entry(NamedTuple):
    """When a request came, and the how manieth in flight it was."""

    at: float
    among: int


class InFlight:
    """Counts the requests in flight and says when there are enough: ``most`` in good times, and
    under overload no fewer than ``least``.
    """

    def __init__(
        self, *, most: int, least: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._least = min(least, most)
        self._clock = clock
        self._lock = threading.Lock()
        self._limit = most
        self._count = 0
        self._left: list[tuple[float, int]] = []
        self._judged_at = clock()
        self._long_since: float | None = None

    @property
    def limit(self) -> int:
        """How many may be in flight now."""
        return self._limit

    def is_full(self) -> bool:
        """Tell whether there are enough now."""
        if self._count < self._limit:
            return False
        if self._limit < self._most and self._clock() - self._judged_at > FORGET_SECONDS:
            # What was measured so long ago says nothing of now.
            self._relax()
        return self._count >= self._limit

    def enter(self) -> Entry | None:
        """Let one in; None where there are enough."""
        with self._lock:
            if self.is_full():
                return None
            self._count += 1
            return Entry(self._clock(), self._count)

    def leave(self, entry: Entry) -> None:
        """Let one out that was let in."""
        now = self._clock()
        with self._lock:
            self._count -= 1
            self._left.append((now - entry.at, entry.among))
            if now - self._judged_at >= WINDOW_SECONDS and len(self._left) >= WINDOW_REQUESTS:
                self._judge(now)
                self._left.clear()
                self._judged_at = now

    def _judge(self, now: float) -> None:
        if now - self._judged_at > FORGET_SECONDS:
            self._relax()
        seconds = median(waited for waited, _ in self._left)
        among = median(among for _, among in self._left)
        if seconds <= TARGET_SECONDS and self._limit == self._most:
            self._long_since = None
            return
        if among < self._limit / 2:
            # The limit holds nobody up.
            self._set(self._limit * GROWTH)
            return
        if self._long_since is None:
            self._long_since = now
        if now - self._long_since >= PATIENCE_SECONDS:
            per_second = median(among / max(waited, 1e-6) for waited, among in self._left)
            # Half of the way: what one window shows is no more than a guess.
            self._set((self._limit + per_second * TARGET_SECONDS) / 2)

    def _set(self, limit: float) -> None:
        self._limit = max(self._least, min(self._most, math.ceil(limit)))
        if self._limit == self._most:
            self._relax()

    def _relax(self) -> None:
        self._limit = self._most
        self._long_since = None
