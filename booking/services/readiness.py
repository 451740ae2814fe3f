"""Whether bookings can be served now."""

from __future__ import annotations

from collections.abc import Sequence

from booking.db.connection import Connection
from booking.db.database import Database
from booking.errors import NotReady, Unavailable
from booking.repositories import server


class ReadinessService:
    """The use case of the readiness probe."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def check_readiness(self) -> None:
        """Return when the database is reached, migrated, takes writes and keeps what it commits.

        Raises NotReady, which names what is amiss.
        """
        try:
            faults = self._db.read(_list_faults)
        except Unavailable as error:
            raise NotReady(error.detail) from error
        if faults:
            raise NotReady("; ".join(faults))


def _list_faults(conn: Connection) -> Sequence[str]:
    state = server.get_server_state(conn)
    faults = [*server.list_encoding_faults(conn), *server.list_schema_faults(conn)]
    if state.is_read_only:
        faults.append("the database takes no writes")
    if not state.has_fsync:
        faults.append("fsync is off: a crash would lose bookings")
    if not state.has_full_page_writes:
        faults.append("full_page_writes is off: a crash could corrupt bookings")
    if not state.has_synchronous_commit:
        faults.append("synchronous_commit is off: a crash would lose bookings")
    return faults
