"""Fails holds past their expiry and gives their seats back: at a reader's touch, or swept."""

from __future__ import annotations

from booking.db.connection import Connection
from booking.db.database import Database
from booking.repositories import holds, slots
from booking.repositories.holds import Expired

# A batch is one statement. These bound how long it keeps slots from being booked: some 20 ms.
MAX_SLOTS_PER_BATCH = 100
MAX_HOLDS_PER_BATCH = 1000


class ExpiryService:
    """The use cases of expiry. By the database's clock alone."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def expire_holds_of_slot(self, slot_id: str) -> Expired:
        """Fail the lapsed holds of a slot, waiting for whoever has locked it or them.

        Locks the slot, then the holds. Raises SlotNotFound, and Busy after the lock timeout.
        """

        def work(conn: Connection) -> Expired:
            slots.lock_slot(conn, slot_id)
            holds.lock_lapsed_holds(conn, slot_id, MAX_HOLDS_PER_BATCH)
            return holds.expire_holds(
                conn, slot_id=slot_id, max_slots=1, max_holds=MAX_HOLDS_PER_BATCH
            )

        return self._db.transact(work)

    def expire_unlocked_holds_of_slot(self, slot_id: str) -> Expired:
        """Fail the lapsed holds of a slot where nobody has locked it or them; waits for nobody."""
        return self._expire_batch(slot_id)

    def sweep(self) -> Expired:
        """Fail every lapsed hold that nobody has locked, in batches; waits for nobody."""
        total = Expired()
        while True:
            batch = self._expire_batch(None)
            if not batch.holds:
                return total
            total += batch

    def expire_all(self) -> Expired:
        """Fail every hold that has lapsed by now: a sweep, then, slot by slot, what was locked."""
        now = self._db.read(holds.read_clock)
        total = self.sweep()
        for slot_id in self._db.read(lambda conn: holds.list_slots_with_lapsed_holds(conn, now)):
            while (expired := self.expire_holds_of_slot(slot_id)).holds:
                total += expired
        return total

    def _expire_batch(self, slot_id: str | None) -> Expired:
        return self._db.write(
            lambda conn: holds.expire_holds(
                conn,
                slot_id=slot_id,
                max_slots=MAX_SLOTS_PER_BATCH,
                max_holds=MAX_HOLDS_PER_BATCH,
            )
        )
