"""What the clients have come to so far, for progress and for the times of coming back."""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass

from tests.faults.chaos.intent import Intent
from tests.faults.chaos.records import BOOKINGS, Answer, Outcome

# Acknowledgements that are remembered, for ``first_acknowledged_after``: some minutes' worth.
REMEMBERED = 50_000
DISORDER_SECONDS = 1.0


@dataclass(frozen=True)
class Counts:
    """How much came to what. ``open`` intents have an effect that nobody knows."""

    acknowledged: int
    outcomes: dict[str, int]
    codes: dict[str, int]
    open: int


class Tally:
    """Shared by the threads of a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._booked: set[str] = set()
        self._outcomes: Counter[str] = Counter()
        self._codes: Counter[str] = Counter()
        self._open: list[Intent] = []
        self._acknowledged: deque[tuple[float, float]] = deque(maxlen=REMEMBERED)

    def count(self, intent: Intent, sent: float, answer: Answer) -> None:
        """Count an answer to a request."""
        with self._lock:
            self._outcomes[answer.outcome] += 1
            if answer.code or answer.failure:
                self._codes[answer.code or str(answer.failure)] += 1
            if answer.outcome == Outcome.ACKNOWLEDGED and intent.operation in BOOKINGS:
                self._acknowledged.append((answer.answered, sent))
                if answer.booking:
                    self._booked.add(answer.booking.id)

    def leave_open(self, intent: Intent) -> None:
        """Keep an intent to ask again for."""
        with self._lock:
            self._open.append(intent)

    def take_open(self) -> list[Intent]:
        """Return the intents that were left open, and forget them."""
        with self._lock:
            intents, self._open = self._open, []
        return intents

    def counts(self) -> Counts:
        """Return the counts as they are now."""
        with self._lock:
            return Counts(
                len(self._booked), dict(self._outcomes), dict(self._codes), len(self._open)
            )

    def first_acknowledged_after(self, moment: float) -> float | None:
        """Return when the first booking that was sent after the moment was acknowledged.

        Both in seconds of ``time.monotonic()``; None where there is none yet.
        """
        first = None
        with self._lock:
            for answered, sent in reversed(self._acknowledged):
                # Threads may have come here in another order than their answers.
                if answered < moment - DISORDER_SECONDS:
                    break
                if sent >= moment and (first is None or answered < first):
                    first = answered
        return first
