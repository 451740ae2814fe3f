"""Bounds how many connections of a process wait for one slot's lock.

Whoever waits for a lock has a connection meanwhile. A slot that stays locked would gather as many
of them as there are calls for it, and leave none for other slots. So what is about to wait for a
slot's lock, or for one of its bookings', queues for a turn first, without a connection.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from booking import deadlines
from booking.db.permits import Permits
from booking.errors import LockTimeout

# While one is at work, the next already waits for the lock: the slot is never left idle between.
MOST_WAITING = 2


class _Queue:
    """The turns of one slot, and how many use or want them."""

    def __init__(self, turns: int) -> None:
        self.permits = Permits(turns)
        self.users = 0


class SlotGate:
    """``most_waiting`` turns at each slot, first come, first served.

    A turn is waited for as long as a lock, ``lock_seconds`` at most. Connections must be taken
    within a turn and given back before it ends: nobody who has one waits here.
    """

    def __init__(self, *, lock_seconds: float, most_waiting: int = MOST_WAITING) -> None:
        self.most_waiting = most_waiting
        self._lock_seconds = lock_seconds
        self._lock = threading.Lock()
        self._queues: dict[str, _Queue] = {}

    @contextmanager
    def waiting_for(self, slot_id: str) -> Iterator[None]:
        """Let the block wait for locks of the slot. Raises LockTimeout where no turn came."""
        with self._lock:
            queue = self._queues.setdefault(slot_id, _Queue(self.most_waiting))
            queue.users += 1
        try:
            if not queue.permits.take(timeout_seconds=deadlines.at_most(self._lock_seconds)):
                raise LockTimeout
            try:
                yield
            finally:
                queue.permits.give_back()
        finally:
            with self._lock:
                queue.users -= 1
                if not queue.users:
                    del self._queues[slot_id]
