"""One deadline for each request, however many attempts and waits it is made of.

After it nothing more is begun for the request: no statement, no attempt, no wait. What has been
begun ends by its own limit. The deadline goes with the thread or greenlet that serves the request;
without one, as in the commands and in jobs, only the limits of each wait and loop hold.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from booking.errors import Busy

_current: ContextVar[float] = ContextVar("deadline", default=math.inf)


def current() -> float:
    """Return the deadline by the monotonic clock, infinite where there is none."""
    return _current.get()


@contextmanager
def until(deadline: float) -> Iterator[None]:
    """Have the block end by a deadline of the monotonic clock, in place of the one around it."""
    token = _current.set(deadline)
    try:
        yield
    finally:
        _current.reset(token)


def at_most(seconds: float) -> float:
    """Return how long a wait may take that has a limit of its own, in seconds."""
    return max(0.0, min(seconds, _current.get() - time.monotonic()))


def check() -> None:
    """Raise Busy once the deadline has passed."""
    if time.monotonic() >= _current.get():
        raise Busy
