"""The connection pool of one process."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import psycopg2
from psycopg2.extensions import TRANSACTION_STATUS_IDLE
from psycopg2.pool import ThreadedConnectionPool

from booking.db.connection import PooledConnection
from booking.db.failures import one_line
from booking.db.permits import Permits
from booking.errors import DatabaseUnavailable, Overloaded

logger = logging.getLogger(__name__)


class ConnectionPool:
    """``psycopg2.pool.ThreadedConnectionPool`` that waits, connects late and heals.

    By itself that pool raises at once when it is empty, connects at construction, and hands out
    connections that the server has closed long since. Here as many permits as there are
    connections bound the wait, first come, first served; the first connection is opened when it is
    first needed, in the process that needs it (it must not cross a fork: PostgreSQL, chapter
    "libpq", "Database Connection Control Functions"); one that the server closed while it lay idle
    is thrown away before it is used; one comes back clean or not at all.
    """

    def __init__(
        self, dsn: str, *, size: int, timeout_seconds: float, parameters: dict[str, Any]
    ) -> None:
        self._dsn = dsn
        self._size = size
        self._timeout_seconds = timeout_seconds
        self._parameters = parameters
        self._opening = threading.Lock()
        self._open_in_this_process()

    def _open_in_this_process(self) -> None:
        # minconn 0 opens nothing now; equal to maxconn, it keeps open what comes back.
        pool = ThreadedConnectionPool(0, self._size, self._dsn, **self._parameters)
        pool.minconn = self._size
        self._pool = pool
        self._permits = Permits(self._size)
        self._pid = os.getpid()

    @contextmanager
    def connection(self) -> Iterator[PooledConnection]:
        """Lend a connection in autocommit, with no transaction open.

        Raises Overloaded when none is free within the pool's timeout and DatabaseUnavailable when
        none can be opened.
        """
        if self._pid != os.getpid():
            with self._opening:
                if self._pid != os.getpid():
                    self._open_in_this_process()
        permits = self._permits
        if not permits.take(timeout_seconds=self._timeout_seconds):
            raise Overloaded("No database connection came free in time.")
        try:
            pool = self._pool
            conn = self._take(pool)
            try:
                yield conn
            finally:
                self._give_back(pool, conn)
        finally:
            permits.give_back()

    def _take(self, pool: ThreadedConnectionPool) -> PooledConnection:
        while True:
            try:
                conn = cast(PooledConnection, pool.getconn())
            except psycopg2.OperationalError as error:
                logger.warning("no connection to the database: %s", one_line(error))
                raise DatabaseUnavailable from error
            if not conn.was_closed_by_server():
                return conn
            logger.info("the server closed an idle connection; opening another")
            pool.putconn(conn, close=True)

    @staticmethod
    def _give_back(pool: ThreadedConnectionPool, conn: PooledConnection) -> None:
        is_clean = not conn.closed and conn.info.transaction_status == TRANSACTION_STATUS_IDLE
        pool.putconn(conn, close=not is_clean)

    def close(self) -> None:
        """Close every idle connection. Nothing may be borrowed any more."""
        if self._pid == os.getpid() and not self._pool.closed:
            self._pool.closeall()
