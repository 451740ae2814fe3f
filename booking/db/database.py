"""The three ways in which a use case reaches the database, and what is tried again in each.

Only this module and ``transaction`` know of commits. Waits between attempts hold no connection.
No attempt begins after the request's deadline (``booking.deadlines``).
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable
from typing import TypeVar

import psycopg2

from booking import deadlines
from booking.db.connection import Connection
from booking.db.failures import domain_error
from booking.db.pool import ConnectionPool
from booking.db.transaction import Isolation, transaction
from booking.errors import (
    ConnectionLost,
    OutcomeUnknown,
    StatementRejected,
    TransactionConflict,
)

logger = logging.getLogger(__name__)

T = TypeVar("T")
Work = Callable[[Connection], T]

CONFLICT_RETRIES = 3
CONFLICT_PAUSE_SECONDS = 0.02


class Database:
    """A pool of connections and the rules of using one.

    Each method lends ``work`` one connection, hands back what it returns, and raises the domain's
    errors: Overloaded, DatabaseUnavailable, Busy (or LockTimeout), what a constraint means, and
    StatementRejected for what means nothing to it.
    ``work`` may run more than once, so it must do nothing that cannot be done again.
    """

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool

    def read(self, work: Work[T]) -> T:
        """Run reading statements in autocommit; once more where the connection is lost."""
        return self._with_retries(lambda: self._attempt(work), retry_lost=True)

    def write(self, work: Work[T]) -> T:
        """Run one writing statement, which is its own transaction: one round trip.

        Raises OutcomeUnknown where the connection is lost meanwhile: whether the statement
        committed is then not known, and it is not sent again.
        """
        try:
            return self._with_retries(lambda: self._attempt(work), retry_lost=False)
        except ConnectionLost as error:
            raise OutcomeUnknown from error

    def transact(self, work: Work[T], isolation: Isolation = Isolation.READ_COMMITTED) -> T:
        """Run statements in one transaction; the whole again on a conflict, and once more where the
        connection is lost before the commit.

        Raises OutcomeUnknown where the connection is lost during the commit of what may have
        written.
        """

        def in_transaction(conn: Connection) -> T:
            with transaction(conn, isolation):
                return work(conn)

        return self._with_retries(lambda: self._attempt(in_transaction), retry_lost=True)

    def _attempt(self, work: Work[T]) -> T:
        with self._pool.connection(within_seconds=deadlines.at_most(math.inf)) as conn:
            try:
                return work(conn)
            except psycopg2.Error as error:
                meaning = domain_error(error, conn)
                if meaning is None:
                    raise StatementRejected(str(error)) from error
                logger.info("database: %s: %s", type(meaning).__name__, error.pgcode or "no code")
                raise meaning from error

    @staticmethod
    def _with_retries(attempt: Callable[[], T], *, retry_lost: bool) -> T:
        conflicts = 0
        while True:
            deadlines.check()
            try:
                return attempt()
            except TransactionConflict:
                conflicts += 1
                if conflicts > CONFLICT_RETRIES:
                    raise
                # Full jitter: those who met once must not meet again in step.
                pause = random.uniform(0, CONFLICT_PAUSE_SECONDS * 2**conflicts)  # noqa: S311
                time.sleep(deadlines.at_most(pause))
            except ConnectionLost:
                if not retry_lost:
                    raise
                retry_lost = False
