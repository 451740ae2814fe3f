"""Whether bookings can be served now."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from booking.db.connection import Connection, answered_within
from booking.db.database import Database
from booking.errors import DatabaseReadOnly, NotReady, OutcomeUnknown, Unavailable
from booking.repositories import server

# What a commit may take, and each answer before it; those who ask wait little longer.
ANSWER_SECONDS = 2.0
# Between two looks at the database: anybody may ask, as often as they like.
PAUSE_SECONDS = 0.1

NO_COMMIT = (
    "The database answers no commit in time: its disk or a synchronous standby is silent, or the"
    " connection to it broke."
)


class ReadinessService:
    """The use case of the readiness probe.

    However many ask, one looks at the database at a time, and those who came meanwhile are told
    what it saw.
    """

    def __init__(self, db: Database, *, statement_timeout_ms: int) -> None:
        self._db = db
        # Less than the server gives: when it ends the wait for a standby, it says that all is well.
        self._answer_seconds = min(ANSWER_SECONDS, statement_timeout_ms / 2000)
        self._looking = threading.Lock()
        self._looked_at = 0.0
        self._fault: str | None = None

    def check_readiness(self) -> None:
        """Return when the database is reached, migrated, and answers a commit, which then survives
        a crash.

        Raises NotReady, which names what is amiss.
        """
        came_at = time.monotonic()
        with self._looking:
            if self._looked_at < came_at:
                time.sleep(max(0.0, self._looked_at + PAUSE_SECONDS - time.monotonic()))
                self._fault = self._find_fault()
                self._looked_at = time.monotonic()
            fault = self._fault
        if fault:
            raise NotReady(fault)

    def _find_fault(self) -> str | None:
        try:
            # As a write: what is lost on the way is not sent again.
            return "; ".join(self._db.write(self._list_faults))
        except OutcomeUnknown:
            return NO_COMMIT
        except Unavailable as error:
            return error.detail

    def _list_faults(self, conn: Connection) -> Sequence[str]:
        with answered_within(conn, self._answer_seconds):
            faults = _list_faults(conn)
            if faults:
                return faults
            began = time.monotonic()
            server.commit_nothing(conn)
            # Where threads wait, nothing but the server ended the wait.
            took = time.monotonic() - began
        return [NO_COMMIT] if took >= self._answer_seconds else []


def _list_faults(conn: Connection) -> Sequence[str]:
    state = server.get_server_state(conn)
    faults = [*server.list_encoding_faults(conn), *server.list_schema_faults(conn)]
    if not state.has_fsync:
        faults.append("fsync is off: a crash would lose bookings")
    if not state.has_full_page_writes:
        faults.append("full_page_writes is off: a crash could corrupt bookings")
    if not state.has_synchronous_commit:
        faults.append("synchronous_commit is off: a crash would lose bookings")
    if state.is_read_only:
        # The pool is told as well: where a pooler stands between, nobody else says so.
        raise DatabaseReadOnly("; ".join([*faults, "the database takes no writes"]))
    return faults
