"""How a connection to PostgreSQL is opened, and how a failing server is left in peace."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import psycopg2
from psycopg2 import extensions

from booking.db.hosts import Hosts, takes_writes

Connection = extensions.connection

ENCODING = "UTF8"
CONNECT_TIMEOUT_SECONDS = 3
# How often the server looks, while a statement runs or waits, whether its client still lives.
CLIENT_CHECK_MS = 1000
# A server that vanished, by a failover or a cut cable, sends no word of it. What is sent to it is
# given up when its kernel has acknowledged nothing for this long, not after TCP's quarter of an
# hour; and a connection that waits for its answer is asked for a sign of life.
UNACKNOWLEDGED_SECONDS = 10
SIGN_OF_LIFE_SECONDS = 10
SIGN_OF_LIFE_INTERVAL_SECONDS = 5
# After a failed attempt the others fail at once for this long: with a server that does not even
# refuse, each would otherwise wait out the connect timeout, one behind the other.
RECONNECT_PAUSE_SECONDS = 0.25

# What PostgreSQL reports unasked of a session that can write nothing (PostgreSQL, chapter "libpq",
# "Connection Status Functions", PQparameterStatus). PgBouncer goes on reporting what its first
# server said.
_READ_ONLY = ("in_hot_standby", "default_transaction_read_only")

_REACHING: dict[str, Any] = {
    # Asked for at the start of a connection, it goes before what the database, the role, the
    # environment and the connection string say.
    "client_encoding": ENCODING,
    "connect_timeout": CONNECT_TIMEOUT_SECONDS,
    "tcp_user_timeout": 1000 * UNACKNOWLEDGED_SECONDS,
    "keepalives_idle": SIGN_OF_LIFE_SECONDS,
    "keepalives_interval": SIGN_OF_LIFE_INTERVAL_SECONDS,
    "keepalives_count": 3,
}


def connect(dsn: str, *, application_name: str) -> Connection:
    """Open one connection in autocommit outside the pool, without time limits on statements,
    whatever the role's are.

    The server ends a statement whose client has died, and gives up its locks. Raises
    psycopg2.OperationalError when no server is reached.
    """
    conn: Connection = Hosts(dsn).connect(
        application_name=application_name,
        **_REACHING,
        options=_options(
            {
                "statement_timeout": 0,
                "lock_timeout": 0,
                "client_connection_check_interval": CLIENT_CHECK_MS,
            }
        ),
    )
    return conn


def pool_parameters(*, statement_timeout_ms: int, lock_timeout_ms: int) -> dict[str, Any]:
    """Return the libpq parameters of pooled connections.

    The settings go with the connection's start, not with a SET: behind PgBouncer in transaction
    mode they belong to the role instead (docs/DEPLOYMENT.md). The statements of sql/queries are
    written for READ COMMITTED, whatever the server's default.
    """
    return {
        "application_name": "booking",
        **_REACHING,
        "connection_factory": partial(
            PooledConnection, answer_seconds=answer_seconds(statement_timeout_ms)
        ),
        "options": _options(
            {
                "statement_timeout": statement_timeout_ms,
                "lock_timeout": lock_timeout_ms,
                "idle_in_transaction_session_timeout": 2 * statement_timeout_ms,
                "client_connection_check_interval": CLIENT_CHECK_MS,
                "default_transaction_isolation": r"read\ committed",
                # Only what has one good plan is prepared (db/prepared.py). Left to itself the
                # server would plan a group of bookings anew each time, for its arrays' length.
                "plan_cache_mode": "force_generic_plan",
            }
        ),
    }


def find_encoding_fault(conn: Connection) -> str | None:
    """Return why a database cannot hold every name, None where it can. Costs no round trip."""
    encoding = conn.info.parameter_status("server_encoding")
    if encoding == ENCODING:
        return None
    return (
        f"the database's encoding is {encoding}, which cannot hold every name: make it anew with"
        f" ENCODING '{ENCODING}' TEMPLATE template0, and restore into that what it holds"
    )


def answer_seconds(statement_timeout_ms: float) -> float:
    """Return how long a statement's answer is waited for: the server ends it in half that time, or
    is stopped, or waits for a disk that does not answer.
    """
    return 2 * statement_timeout_ms / 1000


@contextmanager
def statements_of(conn: Connection, *, timeout_ms: int) -> Iterator[None]:
    """Let the statements of the transaction at hand take so long."""
    with conn.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = %s", [timeout_ms])
    with answered_within(conn, answer_seconds(timeout_ms)):
        yield


@contextmanager
def answered_within(conn: Connection, seconds: float) -> Iterator[None]:
    """Wait so long for each answer, where greenlets wait. One that takes longer costs the
    connection.
    """
    if not isinstance(conn, PooledConnection):
        yield
        return
    usual, conn.answer_seconds = conn.answer_seconds, seconds
    try:
        yield
    finally:
        conn.answer_seconds = usual


def _options(settings: dict[str, Any]) -> str:
    settings = {"TimeZone": "UTC", "DateStyle": "ISO", **settings}
    return " ".join(f"-c {name}={value}" for name, value in settings.items())


class _Pause:
    """When the next attempt to connect may be made; shared by the threads of a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures: dict[str, float] = {}

    def is_on(self, dsn: str) -> bool:
        with self._lock:
            return time.monotonic() < self._failures.get(dsn, 0.0)

    def begin(self, dsn: str) -> None:
        with self._lock:
            self._failures[dsn] = time.monotonic() + RECONNECT_PAUSE_SECONDS


_pause = _Pause()


def _reports_read_only(conn: Connection) -> bool:
    return any(conn.info.parameter_status(name) == "on" for name in _READ_ONLY)


class PooledConnection(extensions.connection):
    """A connection in autocommit that is not attempted right after a failed attempt.

    ``opened_at`` is the ``time.monotonic()`` at which it stood, ``is_read_only`` whether it took no
    writes then. ``prepares`` while prepared statements stay with it; ``runs_of_plans`` counts
    theirs by name. ``answer_seconds`` is how long its answers are waited for, where greenlets wait.
    """

    prepares = True

    def __init__(self, dsn: str, *args: Any, answer_seconds: float, **kwargs: Any) -> None:
        self.answer_seconds = answer_seconds
        if _pause.is_on(dsn):
            raise psycopg2.OperationalError("the server was not reached a moment ago")
        try:
            super().__init__(dsn, *args, **kwargs)
        except psycopg2.OperationalError:
            _pause.begin(dsn)
            raise
        self.opened_at = time.monotonic()
        self.autocommit = True
        self.is_read_only = _reports_read_only(self) and not takes_writes(self)
        self.runs_of_plans: dict[str, int] = {}
        # The driver's own socket, which libpq has made non-blocking, by another number.
        self._peeking = socket.socket(fileno=os.dup(self.fileno()))
        self._peeking.setblocking(False)

    def was_closed_by_server(self) -> bool:
        """Tell whether bytes or an end wait on an idle connection: the server speaks unasked to say
        that it goes away. Costs one system call, no round trip.
        """
        if self.closed:
            return True
        try:
            self._peeking.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def close(self) -> None:
        """Close it at this end, whoever closed it at the other."""
        super().close()
        self._peeking.close()
