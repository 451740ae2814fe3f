"""Lets other greenlets run while the driver waits for PostgreSQL.

psycopg2 waits in C, where gevent cannot put its own sockets. It offers a callback for that instead
(psycopg2, "Support for coroutine libraries"). A connection whose wait ends in an error is closed by
the driver, so that nobody reads an answer that was another's.
"""

from __future__ import annotations

import time

import psycopg2
from gevent.socket import wait_read, wait_write
from psycopg2 import extensions

from booking.db.connection import CONNECT_TIMEOUT_SECONDS, PooledConnection

_CONNECTED = (extensions.STATUS_READY, extensions.STATUS_BEGIN)


def make_green() -> None:
    """Have every connection of this process, all of them pooled, wait by gevent's loop."""
    extensions.set_wait_callback(_wait)


def _wait(conn: PooledConnection) -> None:
    # libpq keeps its connect_timeout only where it waits by itself.
    seconds = conn.answer_seconds if conn.status in _CONNECTED else CONNECT_TIMEOUT_SECONDS
    deadline = time.monotonic() + seconds
    while (state := conn.poll()) != extensions.POLL_OK:
        wait = wait_read if state == extensions.POLL_READ else wait_write
        # A connect and a large answer come in pieces; all of them together have this long.
        left = max(0.0, deadline - time.monotonic())
        wait(conn.fileno(), left, psycopg2.OperationalError("timeout expired"))
