"""What a database holds, read beside the application by a connection of its own."""

from __future__ import annotations

from typing import Any

import psycopg2
from psycopg2.extensions import connection as PgConnection  # noqa: N812

from booking.config import PROJECT_ROOT

# Kept open: the checks run after every test, and a new connection costs as much as they do.
_observers: dict[str, PgConnection] = {}


def violations_of(url: str) -> dict[str, list[Any]]:
    """Return the rows of each violated check of ``sql/checks``, in one snapshot."""
    conn = _observers.get(url)
    if conn is None or conn.closed:
        conn = _observers[url] = psycopg2.connect(url)
        conn.set_session(isolation_level="REPEATABLE READ", readonly=True)
    found = {}
    with conn, conn.cursor() as cursor:
        for path in sorted((PROJECT_ROOT / "sql" / "checks").glob("*.sql")):
            cursor.execute(path.read_text())
            if rows := cursor.fetchall():
                found[path.stem] = rows
    return found


def query(url: str, statement: str, *parameters: Any) -> list[Any]:
    """Return the rows of a statement, which is committed."""
    conn = psycopg2.connect(url, options="-c TimeZone=UTC")
    try:
        conn.autocommit = True
        with conn.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else []
    finally:
        conn.close()
