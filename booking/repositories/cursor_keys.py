"""The table ``cursor_keys``."""

from __future__ import annotations

from booking.db.connection import Connection
from booking.db.queries import load_queries

_queries = load_queries("cursor_keys")


def get_cursor_key(conn: Connection) -> bytes:
    """Return the 32 bytes that sign list cursors."""
    return bytes(_queries.get_cursor_key(conn))
