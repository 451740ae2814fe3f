"""Fails holds past their expiry and gives their seats back: at a reader's touch, or swept."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Sequence

from booking import deadlines
from booking.db.connection import Connection
from booking.db.database import Database
from booking.errors import StatementRejected
from booking.repositories import holds, slots
from booking.repositories.holds import Batch, Expired
from booking.services.booking.slot_gate import SlotGate

# Of one slot, for whoever looks at it or wants its seats: one statement that fails so many holds.
MAX_HOLDS_PER_BATCH = 100
# A sweep's batch is one statement too. These bound for how long it keeps slots from being booked,
# and how many. Of fewer holds nearly all of it would be what any statement and its commit take.
SWEPT_SLOTS_PER_BATCH = 10
SWEPT_HOLDS_PER_BATCH = 25
# A booking keeps its slot for about so long. A slot that is locked whenever it is tried has a rush.
RETRY_SECONDS = 0.005
MAX_RETRIES = 3

logger = logging.getLogger(__name__)


class ExpiryService:
    """The use cases of expiry. By the database's clock alone.

    Where the rows of a slot contradict each other (``sql/checks``), its lapsed holds stay as they
    are and the log names it: its readers and the holds of other slots do not suffer for it.
    """

    def __init__(self, db: Database, gate: SlotGate) -> None:
        self._db = db
        self._gate = gate

    def expire_holds_of_slot(
        self, slot_id: str, booking_ids: Sequence[str] | None = None
    ) -> Expired:
        """Fail lapsed holds of a slot, waiting for whoever has locked it or them: a batch of those
        that lapsed first, or these ``booking_ids``, no more than a batch.

        Locks the slot, then the holds. Raises SlotNotFound, and Busy after the lock timeout.
        """

        def work(conn: Connection) -> Expired:
            slots.lock_slot(conn, slot_id)
            holds.lock_lapsed_holds(conn, slot_id, MAX_HOLDS_PER_BATCH, booking_ids)
            return holds.expire_holds(conn, [slot_id], MAX_HOLDS_PER_BATCH, booking_ids).expired

        try:
            with self._gate.waiting_for(slot_id):
                return self._db.transact(work)
        except StatementRejected as error:
            return _leave(slot_id, error)

    def expire_unlocked_holds(
        self, slot_ids: Sequence[str], booking_ids: Sequence[str] | None = None
    ) -> Expired:
        """Fail lapsed holds of some slots where nobody has locked them: a batch of those that
        lapsed first, or these ``booking_ids``, no more than a batch. Waits for nobody.
        """
        return self._expire_batch(slot_ids, MAX_HOLDS_PER_BATCH, booking_ids).expired

    def sweep(self, stopping: threading.Event | None = None) -> Expired:
        """Fail every lapsed hold that nobody has locked, in batches; waits for nobody.

        After each batch it pauses for as long as that took: bookings of a slot with a crowd of
        lapsed holds get their turn. A slot that is locked is tried again after a pause, a few times
        in a row. Ends after the batch at hand once ``stopping`` is set.
        """
        stopping = stopping or threading.Event()
        now = self._db.read(holds.read_clock)
        slot_ids = self._db.read(lambda conn: holds.list_slots_with_lapsed_holds(conn, now))
        total = Expired()
        for first in range(0, len(slot_ids), SWEPT_SLOTS_PER_BATCH):
            some = slot_ids[first : first + SWEPT_SLOTS_PER_BATCH]
            retries = 0
            is_done = False
            while not is_done:
                started = time.monotonic()
                batch = self._expire_batch(some, SWEPT_HOLDS_PER_BATCH)
                total += batch.expired
                pause = time.monotonic() - started
                if batch.expired.holds >= SWEPT_HOLDS_PER_BATCH:
                    retries = 0
                elif batch.locked_slots and retries < MAX_RETRIES:
                    retries += 1
                    pause = max(pause, RETRY_SECONDS)
                else:
                    is_done = True
                if stopping.wait(pause):
                    return total
        return total

    def expire_all(self) -> Expired:
        """Fail every hold that has lapsed by now: a sweep, then, slot by slot, what was locked.

        Takes as long as there are holds to fail, whatever the deadline of whoever asks for it.
        """
        with deadlines.until(math.inf):
            now = self._db.read(holds.read_clock)
            total = self.sweep()
            locked = self._db.read(lambda conn: holds.list_slots_with_lapsed_holds(conn, now))
            for slot_id in locked:
                while (expired := self.expire_holds_of_slot(slot_id)).holds:
                    total += expired
        return total

    def _expire_batch(
        self, slot_ids: Sequence[str], max_holds: int, booking_ids: Sequence[str] | None = None
    ) -> Batch:
        try:
            return self._db.write(
                lambda conn: holds.expire_holds(conn, slot_ids, max_holds, booking_ids)
            )
        except StatementRejected as error:
            if len(slot_ids) == 1:
                return Batch(_leave(slot_ids[0], error))
        return sum(
            (self._expire_batch([slot_id], max_holds, booking_ids) for slot_id in slot_ids), Batch()
        )


def _leave(slot_id: str, error: Exception) -> Expired:
    logger.error("the lapsed holds of slot %s cannot be failed: %s", slot_id, error)
    return Expired()
