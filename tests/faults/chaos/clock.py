"""The database's clock on the clients' monotonic one.

A booking that was made for the first time was made between its sending and its answer: that bounds
how far the two clocks are apart, and every booking narrows it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from tests.faults.chaos.history import Call
from tests.faults.chaos.records import Outcome

# What two readings of well-kept clocks may differ by, in seconds.
PRECISION = 0.01


@dataclass(frozen=True)
class DatabaseClock:
    """The database's clock less the monotonic one: between ``low`` and ``high`` seconds.

    ``jump`` is by how much the bookings contradict each other: a clock was set during the run.
    """

    low: float = -math.inf
    high: float = math.inf
    jump: float = 0.0

    def earliest(self, moment: datetime) -> float:
        """Return the monotonic time before which the database's clock did not show the moment."""
        return moment.timestamp() - self.high - PRECISION

    def latest(self, moment: datetime) -> float:
        """Return the monotonic time from which the database's clock was past the moment."""
        return moment.timestamp() - self.low + PRECISION


def fit_clock(bookings: Iterable[Call]) -> DatabaseClock:
    """Return what the bookings say of the clock; where they disagree, all that any of them says."""
    low, high = -math.inf, math.inf
    for call in bookings:
        answer = call.answer
        if call.outcome != Outcome.ACKNOWLEDGED or not answer or not answer.booking:
            continue
        created = answer.booking.created_at.timestamp()
        low = max(low, created - answer.answered)
        if not answer.replayed:
            high = min(high, created - call.sent)
    if low > high:
        return DatabaseClock(low=high, high=low, jump=low - high)
    return DatabaseClock(low=low, high=high)
