"""What the clients do: users who book, hold, confirm, cancel and read."""

from __future__ import annotations

import heapq
import itertools
import random
import threading
import time
from collections.abc import Callable

from tests.faults.chaos.client import Client
from tests.faults.chaos.intent import Intent
from tests.faults.chaos.records import Answer, Operation, ShownBooking
from tests.faults.chaos.slot_book import SlotBook
from tests.faults.chaos.tally import Tally

PATIENCE_SECONDS = 12
BOOKINGS_PER_USER = 12
HOT_SHARE = 0.3
HOLD_SHARE = 0.4
READ_SHARE = 0.15
# How near to its expiry a hold is confirmed by those who wait for the last moment, in seconds.
BOUNDARY_SECONDS = 0.06


class Users:
    """One thread's users, one after the other; each does a few bookings."""

    def __init__(self, client: Client, slots: SlotBook, tally: Tally) -> None:
        self._client = client
        self._rng = client.rng
        self._slots = slots
        self._tally = tally
        self._numbers = itertools.count()
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._known: list[str] = []

    def run(self, stop: threading.Event, interval: float) -> None:
        """Act until ``stop`` is set, at most once in ``interval`` seconds."""
        due = time.monotonic() + self._rng.random() * interval
        while not stop.wait(max(0.0, due - time.monotonic())):
            due = max(due, time.monotonic() - interval) + interval
            self._act()

    def _act(self) -> None:
        if self._later and self._later[0][0] <= time.monotonic():
            heapq.heappop(self._later)[2]()
        elif self._rng.random() < READ_SHARE:
            self._read()
        else:
            self._book()

    def _book(self) -> None:
        number = next(self._numbers)
        slot_id = self._slots.pick(self._rng, hot=self._rng.random() < HOT_SHARE)
        if slot_id is None:
            return
        answer = self._ask(
            Intent(
                operation=Operation.HOLD if self._rng.random() < HOLD_SHARE else Operation.BOOK,
                user_id=f"{self._client.name}-u{number // BOOKINGS_PER_USER}",
                idempotency_key=f"{self._client.name}-k{number}",
                slot_id=slot_id,
                num_seats=self._rng.choice((1, 1, 1, 2, 2, 3)),
            )
        )
        if answer.code == "SLOT_FULL":
            self._slots.mark_full(slot_id)
        elif answer.booking:
            self._plan_for(answer.booking)

    def _plan_for(self, booking: ShownBooking) -> None:
        """Decide what becomes of a booking that was made."""
        draw = self._rng.random()
        if booking.expires_at is None:
            if draw < 0.2:
                self._plan(self._rng.uniform(0, 3), Operation.CANCEL, booking)
            if draw < 0.05:
                # Somebody who presses the button twice.
                self._plan(self._rng.uniform(0, 3), Operation.CANCEL, booking)
            elif draw > 0.95:
                self._plan(self._rng.uniform(0, 3), Operation.CONFIRM, booking)
        else:
            left = booking.expires_at.timestamp() - time.time()
            if draw < 0.45:
                self._plan(self._rng.uniform(0, 1), Operation.CONFIRM, booking)
            elif draw < 0.6:
                at = left + self._rng.uniform(-BOUNDARY_SECONDS, BOUNDARY_SECONDS)
                self._plan(at, Operation.CONFIRM, booking)
            elif draw < 0.75:
                self._plan(self._rng.uniform(0, left), Operation.CANCEL, booking)
            elif draw < 0.85:
                # Not swept yet, perhaps.
                self._plan(left + self._rng.uniform(0, 0.3), Operation.READ_BOOKING, booking)
            if draw < 0.05:
                self._plan(self._rng.uniform(0, left), Operation.CANCEL, booking)
        self._known = [*self._known[-20:], booking.id]

    def _plan(self, seconds: float, operation: Operation, booking: ShownBooking) -> None:
        intent = Intent(operation=operation, user_id=booking.user_id, booking_id=booking.id)
        at = time.monotonic() + max(0.0, seconds)
        heapq.heappush(self._later, (at, next(self._numbers), lambda: void(self._ask(intent))))

    def _read(self) -> None:
        if self._known and self._rng.random() < 0.5:
            booking_id = self._rng.choice(self._known)
            self._ask(Intent(operation=Operation.READ_BOOKING, booking_id=booking_id))
            return
        slot_id = self._slots.pick(self._rng, hot=self._rng.random() < 0.5)
        if slot_id:
            self._ask(Intent(operation=Operation.READ_SLOT, slot_id=slot_id))

    def _ask(self, intent: Intent) -> Answer:
        answer, is_open = self._client.perform(intent, PATIENCE_SECONDS)
        if is_open:
            self._tally.leave_open(intent)
        return answer


def void(_answer: Answer) -> None:
    """Do nothing with an answer."""


def seeded(seed: int, name: str) -> random.Random:
    """Return the randomness of one actor of a run."""
    return random.Random(f"{seed}/{name}")
