"""Permits, first come, first served."""

from __future__ import annotations

import math
import threading
from collections import deque


class Permits:
    """A number of permits for threads, or greenlets, that wait for them in the order they came.

    One that comes back goes to the first who waits. Put where any may take it, as a semaphore or
    a queue does, it goes to whoever runs next: under load to those who have just come, while some
    of those who wait never have their turn.
    """

    def __init__(self, number: int, *, most_waiting: float = math.inf) -> None:
        self._free = number
        self._most_waiting = most_waiting
        self._waiting: deque[threading.Lock] = deque()
        self._lock = threading.Lock()

    def take(self, *, timeout_seconds: float) -> bool:
        """Take one; False where none came in time, and at once where ``most_waiting`` wait."""
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            if len(self._waiting) >= self._most_waiting:
                return False
            # Released once: by whoever hands over.
            called = threading.Lock()
            called.acquire()
            self._waiting.append(called)
        if called.acquire(timeout=timeout_seconds):
            return True
        with self._lock:
            if called not in self._waiting:
                # Handed over in the moment in which it was given up.
                return True
            self._waiting.remove(called)
            return False

    def give_back(self) -> None:
        """Give one back."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1
