"""PostgreSQL triggers as failpoints: they stop, fail or end the application's own transactions."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from secrets import randbits
from typing import TypeVar

from tests.support.sessions import Session, session
from tests.support.snapshots import query

T = TypeVar("T")

MAX_BIGINT = 2**63 - 1
DIE = "PERFORM pg_terminate_backend(pg_backend_pid());"


def raise_sqlstate(code: str) -> str:
    """Return the PL/pgSQL that fails with an error code of PostgreSQL."""
    return f"RAISE EXCEPTION 'failpoint' USING ERRCODE = '{code}';"


@contextmanager
def failpoint(
    url: str,
    table: str,
    action: str,
    *,
    event: str = "INSERT",
    when: str = "true",
    times: int | None = None,
    at_commit: bool = False,
) -> Iterator[str]:
    """Run PL/pgSQL after each change of a row, the first ``times`` times, or at the commit.

    ``when`` is a condition on NEW. Yields the name of a sequence that counts the changes: sequences
    keep their count through a rollback.
    """
    name = f"failpoint_{uuid.uuid4().hex[:12]}"
    limit = MAX_BIGINT if times is None else times
    deferral = "DEFERRABLE INITIALLY DEFERRED" if at_commit else ""
    query(url, f"CREATE SEQUENCE {name}")
    query(
        url,
        f"""
        CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF nextval('{name}') > {limit} THEN RETURN NULL; END IF;
            {action}
            RETURN NULL;
        END
        $$
        """,
    )
    try:
        query(
            url,
            f"CREATE {'CONSTRAINT' if at_commit else ''} TRIGGER {name} AFTER {event} ON {table} "
            f"{deferral} FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION {name}()",
        )
        yield name
    finally:
        query(url, f"DROP FUNCTION {name} CASCADE")
        query(url, f"DROP SEQUENCE {name}")


def count_hits(url: str, name: str) -> int:
    """Return how often a failpoint was reached."""
    [(hits,)] = query(url, f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {name}")
    return int(hits)


class Breakpoint:
    """A place where transactions stop, each with its locks in hand, until they are released."""

    def __init__(self, keeper: Session, key: int) -> None:
        self._keeper = keeper
        self._key = key

    def stopped(self) -> set[int]:
        """Return the backends that have stopped by now, and those that wait for them."""
        return self._keeper.waiters()

    def wait_for_stop(self, count: int = 1) -> set[int]:
        """Wait until so many backends have stopped, or wait for one that has; return their ids."""
        return self._keeper.wait_for_waiters(count)

    def run_beside(self, work: Callable[[], T]) -> T:
        """Run a work that must not wait for those who have stopped; return what it returned."""
        return self._keeper.run_beside(work)

    def release(self) -> None:
        """Let go those who stopped and whoever comes."""
        self._keeper.execute("SELECT pg_advisory_unlock_all()")
        self._keeper.commit()


@contextmanager
def breakpoint_at(
    url: str, table: str, *, event: str = "INSERT", when: str = "true", at_commit: bool = False
) -> Iterator[Breakpoint]:
    """Stop each transaction after a change of a row where ``when``, a condition on NEW, holds.

    A stop counts as waiting for a lock: the application's lock timeout ends it.
    """
    key = randbits(62)
    stop = f"PERFORM pg_advisory_xact_lock_shared({key});"
    with session(url) as keeper:
        keeper.execute("SELECT pg_advisory_lock(%s)", key)
        keeper.commit()
        with failpoint(url, table, stop, event=event, when=when, at_commit=at_commit):
            stopper = Breakpoint(keeper, key)
            try:
                yield stopper
            finally:
                stopper.release()
