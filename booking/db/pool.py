"""The connection pool of one process."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import psycopg2
from psycopg2.extensions import TRANSACTION_STATUS_IDLE
from psycopg2.pool import SimpleConnectionPool

from booking.db.connection import PooledConnection
from booking.db.failures import one_line
from booking.db.hosts import Hosts
from booking.db.permits import Permits
from booking.errors import DatabaseReadOnly, DatabaseUnavailable, Overloaded

# How long a connection lives that may lead to a server that takes no writes, and so how long it is
# used after another leads. With none kept, each request would open one, at those in trouble.
READ_ONLY_SECONDS = 1.0

logger = logging.getLogger(__name__)


class _Connections(SimpleConnectionPool):
    """psycopg2's pool, which connects and disconnects outside a lock.

    ``ThreadedConnectionPool`` does both under its own: while one connects to a slow server, nobody
    takes what lies idle, nor gives back what was lent. Nobody takes more than there is room for:
    who asks has a permit.
    """

    _pool: list[PooledConnection]

    def __init__(self, size: int, connect: Callable[[], PooledConnection]) -> None:
        # minconn 0 opens nothing now; equal to maxconn, it keeps open what comes back.
        super().__init__(0, size)
        self.minconn = size
        self._connect_one = connect
        self._lock = threading.Lock()

    def take(self) -> PooledConnection:
        """Return an idle connection, else a new one. Raises what connecting raises."""
        with self._lock:
            if self._pool:
                return self._take_last()
        conn = self._connect_one()
        with self._lock:
            self._pool.append(conn)
            return self._take_last()

    def _take_last(self) -> PooledConnection:
        return cast(PooledConnection, self.getconn())

    def give_back(self, conn: PooledConnection, *, close: bool) -> None:
        """Take a connection back, to be kept or closed."""
        if close:
            conn.close()
        with self._lock:
            self.putconn(conn)


class ConnectionPool:
    """psycopg2's pool, made to wait, to connect late and to heal.

    By itself that pool raises at once when it is empty, connects at construction, and hands out
    connections that the server has closed long since. Here as many permits as there are
    connections bound the wait, first come, first served; the first connection is opened when it is
    first needed, in the process that needs it (it must not cross a fork: PostgreSQL, chapter
    "libpq", "Database Connection Control Functions"); one that the server closed while it lay idle
    is thrown away before it is used; one comes back clean or not at all. When one is found to
    take no writes, all that were opened before are of a world that may be gone: each is replaced
    once it is a second old.
    """

    def __init__(
        self, dsn: str, *, size: int, timeout_seconds: float, parameters: dict[str, Any]
    ) -> None:
        self._size = size
        self._timeout_seconds = timeout_seconds
        self._connect = partial(Hosts(dsn).connect, **parameters)
        self._opening = threading.Lock()
        self._open_in_this_process()

    def _open_in_this_process(self) -> None:
        self._pool = _Connections(self._size, self._connect)
        self._permits = Permits(self._size)
        self._pid = os.getpid()
        self._read_only_at = 0.0

    @contextmanager
    def connection(self, *, within_seconds: float = math.inf) -> Iterator[PooledConnection]:
        """Lend a connection in autocommit, with no transaction open.

        Raises Overloaded when none is free within the pool's timeout, or ``within_seconds`` where
        that is less, and DatabaseUnavailable when none can be opened.
        """
        if self._pid != os.getpid():
            with self._opening:
                if self._pid != os.getpid():
                    self._open_in_this_process()
        permits = self._permits
        if not permits.take(timeout_seconds=min(self._timeout_seconds, within_seconds)):
            raise Overloaded("No database connection came free in time.")
        try:
            pool = self._pool
            conn = self._take(pool)
            try:
                yield conn
            except DatabaseReadOnly:
                self._read_only_at = time.monotonic()
                raise
            finally:
                self._give_back(pool, conn)
        finally:
            permits.give_back()

    def _take(self, pool: _Connections) -> PooledConnection:
        while True:
            try:
                conn = pool.take()
            except psycopg2.OperationalError as error:
                logger.warning("no connection to the database: %s", one_line(error))
                raise DatabaseUnavailable from error
            if conn.was_closed_by_server():
                logger.info("the server closed an idle connection; opening another")
            elif self._is_outdated(conn):
                logger.info("a connection is of before writes were refused; opening another")
            else:
                return conn
            pool.give_back(conn, close=True)

    def _give_back(self, pool: _Connections, conn: PooledConnection) -> None:
        is_clean = not conn.closed and conn.info.transaction_status == TRANSACTION_STATUS_IDLE
        if conn.is_read_only:
            self._read_only_at = time.monotonic()
        pool.give_back(conn, close=not is_clean)

    def _is_outdated(self, conn: PooledConnection) -> bool:
        return (
            conn.opened_at < self._read_only_at
            and conn.opened_at + READ_ONLY_SECONDS < time.monotonic()
        )

    def close(self) -> None:
        """Close every idle connection. Nothing may be borrowed any more."""
        if self._pid == os.getpid() and not self._pool.closed:
            self._pool.closeall()
