"""How many requests may be in flight: as many as are answered within a target, of a number at most.

A number alone bounds the wait only where one knows how fast requests are served, and that differs
by machine, by request and by hour. So it is measured. A request that was the n-th in flight when it
came, and was answered T seconds later, shows that n requests are served in T (J. D. C. Little, "A
Proof for the Queuing Formula: L = λW", 1961): n / T in a second.

What is no overload must not be taken for one:

- A rush is let in whole: the limit is lowered for the first time only where waits have been long
  for a while, as CoDel does it (RFC 8289, section 3), and forgotten when it has refused nobody for
  a while.
- A queue is served as fast when it is shorter. Where fewer in flight are served in proportion
  fewer, they wait for something else (a group for its commit, a crowd for a locked row), and to
  refuse would not help: the limit is given up.
- A few requests that wait for a locked row say nothing of the others: medians are compared.
- Waits that are long while few are in flight have another cause.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from statistics import median
from typing import NamedTuple

# Half of the requests are to be answered within so long under overload: 99 of 100 within a second.
TARGET_SECONDS = 0.4
# As long as a rush of as many as are let in may last.
PATIENCE_SECONDS = 1.0
# Requests are judged together: so long, and so many at least.
WINDOW_SECONDS = 0.1
WINDOW_REQUESTS = 8
# Longer than pauses within an overload, shorter than those between two.
FORGET_SECONDS = 2.0
GROWTH = 1.25
# A shorter queue is served at this share of the rate before, at least. Rates of two windows of a
# queue differ by a third.
RATE_KEPT = 0.6
# So long it is not tried again whether fewer in flight would help.
SPARED_SECONDS = 30.0


class Entry(NamedTuple):
    """When a request came, and how many were in flight with it."""

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
        self._judged_at = self._full_at = clock()
        self._spared_until = clock()
        self._long_since: float | None = None
        self._rate_before = 0.0

    @property
    def limit(self) -> int:
        """How many may be in flight now."""
        return self._limit

    def is_full(self) -> bool:
        """Tell whether there are enough now."""
        if self._count < self._limit:
            return False
        now = self._clock()
        if self._limit < self._most:
            if now - min(self._judged_at, self._full_at) > FORGET_SECONDS:
                # What was measured so long ago says nothing of now.
                self._relax()
            self._full_at = now
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
        rate = median(among / max(waited, 1e-6) for waited, among in self._left)
        if self._long_since is None:
            self._long_since, self._rate_before = now, rate
        if self._limit < self._most and rate < RATE_KEPT * self._rate_before:
            self._relax()
            self._spared_until = now + SPARED_SECONDS
        elif now - self._long_since >= PATIENCE_SECONDS and now >= self._spared_until:
            if self._limit == self._most:
                self._full_at = now
            # Half of the way: what one window shows is no more than a guess.
            self._set((self._limit + rate * TARGET_SECONDS) / 2)

    def _set(self, limit: float) -> None:
        self._limit = max(self._least, min(self._most, math.ceil(limit)))
        if self._limit == self._most:
            self._relax()

    def _relax(self) -> None:
        self._limit = self._most
        self._long_since = None
