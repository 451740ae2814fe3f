"""The only place that commits or rolls back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

import psycopg2
from psycopg2 import extensions

from booking.db.connection import Connection
from booking.db.failures import domain_error
from booking.errors import ConnectionLost, OutcomeUnknown


class Isolation(Enum):
    """What a transaction sees (PostgreSQL, chapter "Transaction Isolation")."""

    READ_COMMITTED = "BEGIN ISOLATION LEVEL READ COMMITTED"
    SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


@contextmanager
def transaction(
    conn: Connection, isolation: Isolation = Isolation.READ_COMMITTED
) -> Iterator[None]:
    """Commit what the block does on a connection in autocommit; roll back when it raises.

    Raises OutcomeUnknown when the connection is lost during the commit of what may have written,
    and RuntimeError when the block swallowed the failure of a statement: PostgreSQL answers such a
    COMMIT with a ROLLBACK and no error.
    """
    with conn.cursor() as cursor:
        cursor.execute(isolation.value)
        try:
            yield
            _refuse_failed(conn)
        except BaseException:
            if not conn.closed:
                _roll_back(conn)
            raise
        try:
            cursor.execute("COMMIT")
        except psycopg2.Error as error:
            may_have_written = isolation is not Isolation.SNAPSHOT
            if may_have_written and isinstance(domain_error(error, conn), ConnectionLost):
                raise OutcomeUnknown from error
            raise


def _refuse_failed(conn: Connection) -> None:
    if conn.info.transaction_status == extensions.TRANSACTION_STATUS_INERROR:
        raise RuntimeError("a failed statement was swallowed inside a transaction")


def _roll_back(conn: Connection) -> None:
    try:
        with conn.cursor() as cursor:
            cursor.execute("ROLLBACK")
    except psycopg2.Error:
        # The first error tells more. The server rolls back what a dead connection left behind.
        conn.close()
