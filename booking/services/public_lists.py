"""Lists that anybody may ask for, as often as they like, beside which bookings are served."""

from __future__ import annotations

from typing import TypeVar

from booking.db.connection import Connection, statements_of
from booking.db.database import Database, Work
from booking.db.permits import Permits
from booking.db.transaction import Isolation
from booking.errors import Overloaded

T = TypeVar("T")

# Of a worker. A search may keep a processor of the database busy for its whole time, and bookings
# share those: more at a time would not end sooner.
AT_A_TIME = 2
# Twice what the longest list takes that docs/decisions/0013 knows of, with a million slots.
STATEMENT_TIMEOUT_MS = 2000


class PublicLists:
    """Reads a few lists at a time, first come, first served. Who waits holds no connection, but a
    place among the requests in flight: of those no more than ``most_waiting`` are held so.
    """

    def __init__(
        self,
        db: Database,
        *,
        pool_size: int,
        wait_seconds: float,
        statement_timeout_ms: int,
        most_waiting: int,
    ) -> None:
        self._db = db
        # One connection at least is never lent to them, unless there is but one.
        self._permits = Permits(max(1, min(AT_A_TIME, pool_size - 1)), most_waiting=most_waiting)
        self._wait_seconds = wait_seconds
        self._statement_timeout_ms = min(STATEMENT_TIMEOUT_MS, statement_timeout_ms)

    def read(self, work: Work[T], *, is_search: bool) -> T:
        """Run the statement of a list, or those of a search, which see one moment and have a short
        time limit each.

        Raises Overloaded where the turn does not come in time or too many wait for theirs, Busy
        where a statement takes too long, and what Database does.
        """

        def limited(conn: Connection) -> T:
            with statements_of(conn, timeout_ms=self._statement_timeout_ms):
                return work(conn)

        if not self._permits.take(timeout_seconds=self._wait_seconds):
            raise Overloaded("Too many lists are asked for at once.")
        try:
            if is_search:
                return self._db.transact(limited, Isolation.SNAPSHOT)
            # A time limit of its own would cost it three round trips more.
            return self._db.read(work)
        finally:
            self._permits.give_back()
