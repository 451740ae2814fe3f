"""Sessions beside the application: they hold locks, step by step, and see who waits for whom."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg2

from tests.support.snapshots import query

T = TypeVar("T")

POLL_SECONDS = 0.005
PATIENCE_SECONDS = 30

LOCK_SLOT = "SELECT id FROM slots WHERE id = %s FOR NO KEY UPDATE"
LOCK_BOOKING = "SELECT id FROM bookings WHERE id = %s FOR NO KEY UPDATE"

_BLOCKED = """
SELECT pid, pg_blocking_pids(pid)
FROM pg_stat_activity
WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0
"""


class Session:
    """A connection of somebody at psql, in one transaction from its first statement on."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._conn = psycopg2.connect(url, options="-c TimeZone=UTC")
        self.pid = self._conn.info.backend_pid

    def execute(self, statement: str, *parameters: Any) -> list[Any]:
        """Run a statement and return its rows."""
        with self._conn.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def commit(self) -> None:
        self._conn.commit()

    def rollback(self) -> None:
        self._conn.rollback()

    def close(self) -> None:
        """Give up every lock and disconnect.

        A server that merely finds the connection closed keeps the locks until it notices.
        """
        self._conn.rollback()
        self._conn.close()

    def waiters(self) -> set[int]:
        """Return the backends that wait for this one by now, or for one that does."""
        return waiting_for(self._url, self.pid)

    def wait_for_waiters(self, count: int = 1) -> set[int]:
        """Wait until so many backends wait for this one, or for one that does; return their ids."""
        waiting: set[int] = set()

        def enough() -> bool:
            waiting.clear()
            waiting.update(self.waiters())
            return len(waiting) >= count

        wait_until(enough, f"{count} to wait for {self.pid}")
        return waiting

    def run_beside(self, work: Callable[[], T]) -> T:
        """Run a work while this session holds its locks; return what it returned.

        Raises AssertionError when somebody comes to wait for this session meanwhile; its locks are
        given up then.
        """
        waited_before = self.waiters()
        with ThreadPoolExecutor(1) as executor:
            future = executor.submit(work)
            while not future.done():
                if self.waiters() - waited_before and not future.done():
                    self.execute("SELECT pg_advisory_unlock_all()")
                    self.rollback()
                    raise AssertionError(f"waits for a lock of {self.pid}")
                time.sleep(POLL_SECONDS)
            return future.result()


@contextmanager
def session(url: str) -> Iterator[Session]:
    """Open a session; what it has not committed by the end is rolled back."""
    opened = Session(url)
    try:
        yield opened
    finally:
        opened.close()


@contextmanager
def holding(url: str, statement: str, *parameters: Any) -> Iterator[Session]:
    """Open a session that holds the locks of a statement until it commits or rolls back."""
    with session(url) as holder:
        holder.execute(statement, *parameters)
        yield holder


def waiting_for(url: str, pid: int) -> set[int]:
    """Return the backends of the database that wait for a lock of ``pid``, directly or in line."""
    rows = query(url, _BLOCKED)
    found = {pid}
    while more := {waiter for waiter, blockers in rows if found & set(blockers)} - found:
        found |= more
    return found - {pid}


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    """Poll until the condition holds. Raises TimeoutError, naming ``what``."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited in vain for {what}")
        time.sleep(POLL_SECONDS)


def terminate(url: str, pid: int) -> None:
    """End a backend, as an administrator or a failover does, and wait until it is gone."""
    assert query(url, "SELECT pg_terminate_backend(%s, 10000)", pid) == [(True,)]


def cancel_statement(url: str, pid: int) -> None:
    """Cancel what a backend is at: its statement fails and is rolled back."""
    assert query(url, "SELECT pg_cancel_backend(%s)", pid) == [(True,)]
