"""The admin: creates slots, gives and takes capacity, closes and opens, sweeps."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

from tests.faults.chaos.client import Client
from tests.faults.chaos.intent import Intent
from tests.faults.chaos.records import Answer, Operation
from tests.faults.chaos.slot_book import SlotBook

PATIENCE_SECONDS = 6
PAUSE_SECONDS = 0.05
HOT_SLOTS = 4
HOT_CAPACITY = 60
# A full slot is given this much, at a time: it fills again soon, and refuses meanwhile.
HOT_INCREASE = 40
COLD_SLOTS_WITH_ROOM = 24
# Long enough for somebody to ask for the slot meanwhile: of a hot one several do.
SHORTEST_CLOSING, LONGEST_CLOSING = 0.2, 0.5


class Admin:
    """One thread."""

    def __init__(self, client: Client, slots: SlotBook) -> None:
        self._client = client
        self._rng = client.rng
        self._slots = slots
        self._closed: set[str] = set()

    def prepare(self) -> None:
        """Create the first slots."""
        for _ in range(HOT_SLOTS):
            self._create(HOT_CAPACITY, hot=True)
        for _ in range(COLD_SLOTS_WITH_ROOM):
            self._create_cold()

    def run(self, stop: threading.Event) -> None:
        """Act until ``stop`` is set."""
        round_number = 0
        while not stop.wait(PAUSE_SECONDS):
            round_number += 1
            for slot_id in sorted(self._closed):
                self._set_status(slot_id, "OPEN")
            if (
                sum(not is_full for _, _, is_full in self._slots.cold_slots())
                < COLD_SLOTS_WITH_ROOM
            ):
                self._create_cold()
            if round_number % 2 == 0:
                self._give_and_take_of_the_hot()
            if round_number % 7 == 0:
                self._change_a_cold_one()
            if round_number % 9 == 0:
                self._close_for_a_while(self._rng.choice(self._slots.hot_slots())[0])
            if round_number % 40 == 0:
                self._ask(Intent(operation=Operation.EXPIRE_PENDING))

    def _create(self, capacity: int, *, hot: bool) -> None:
        answer = self._ask(
            Intent(
                operation=Operation.CREATE_SLOT,
                total_capacity=capacity,
                start_time=(datetime.now(UTC) + timedelta(days=1)).isoformat(),
            )
        )
        if answer.slot:
            self._slots.add(answer.slot.id, capacity, hot=hot)

    def _create_cold(self) -> None:
        self._create(self._rng.randint(20, 400), hot=False)

    def _give_and_take_of_the_hot(self) -> None:
        slot_id, capacity, is_full = self._rng.choice(self._slots.hot_slots())
        if is_full:
            self._resize(slot_id, capacity + HOT_INCREASE)
        elif self._rng.random() < 0.3:
            # Often less than what is booked, and refused.
            self._resize(slot_id, max(1, capacity - self._rng.randint(1, HOT_INCREASE)))
        else:
            # Amid bookings: what they take meanwhile must not be written over.
            self._resize(slot_id, capacity + 1)

    def _change_a_cold_one(self) -> None:
        cold = self._slots.cold_slots()
        if not cold:
            return
        slot_id, capacity, is_full = self._rng.choice(cold)
        if is_full and self._rng.random() < 0.5:
            self._slots.drop(slot_id)
        elif self._rng.random() < 0.4:
            self._close_for_a_while(slot_id)
        else:
            self._resize(slot_id, capacity + self._rng.randint(-5, 20))

    def _close_for_a_while(self, slot_id: str) -> None:
        self._set_status(slot_id, "CLOSED")
        time.sleep(self._rng.uniform(SHORTEST_CLOSING, LONGEST_CLOSING))
        self._set_status(slot_id, "OPEN")

    def _set_status(self, slot_id: str, status: str) -> None:
        """Ask for a status. A slot that may be closed is opened again, if need be rounds later."""
        self._closed.add(slot_id)
        answer = self._ask(
            Intent(operation=Operation.CHANGE_SLOT, slot_id=slot_id, slot_status=status)
        )
        if answer.slot and answer.slot.status == "OPEN":
            self._closed.discard(slot_id)

    def _resize(self, slot_id: str, capacity: int) -> None:
        answer = self._ask(
            Intent(
                operation=Operation.CHANGE_SLOT, slot_id=slot_id, total_capacity=max(1, capacity)
            )
        )
        if answer.slot:
            self._slots.set_capacity(slot_id, answer.slot.total_capacity)

    def _ask(self, intent: Intent) -> Answer:
        return self._client.perform(intent, PATIENCE_SECONDS)[0]
