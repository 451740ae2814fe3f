"""Reads the tables at the end of a run, in one snapshot."""

from __future__ import annotations

from typing import Any

from psycopg2.extensions import TRANSACTION_STATUS_IDLE
from psycopg2.extensions import connection as PgConnection  # noqa: N812

from tests.faults.chaos.records import BookingRow, EventRow, SlotRow, Tables

_SLOTS = """
SELECT id::text, total_capacity, remaining_capacity, status, version FROM slots ORDER BY id
"""
_BOOKINGS = """
SELECT
    id::text, slot_id::text, user_id, num_seats, status, failure_reason, expires_at,
    idempotency_key, created_at, updated_at
FROM bookings
ORDER BY id
"""
_EVENTS = """
SELECT
    id, booking_id::text, slot_id::text, type, from_status, to_status, seats, slot_version, at
FROM booking_events
ORDER BY id
"""


def read_tables(conn: PgConnection) -> Tables:
    """Return every row of the three tables.

    Needs a connection in autocommit. Runs as one REPEATABLE READ transaction, or in the one that
    was begun on it by hand; takes no row locks.
    """
    assert conn.autocommit, "the driver's own BEGIN would choose the isolation"
    begins = conn.info.transaction_status == TRANSACTION_STATUS_IDLE
    with conn.cursor() as cursor:

        def rows(statement: str) -> list[dict[str, Any]]:
            cursor.execute(statement)
            assert cursor.description
            names = [column.name for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]

        if begins:
            cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            cursor.execute("SELECT clock_timestamp()")
            [[read_at]] = cursor.fetchall()
            return Tables(
                slots=tuple(SlotRow(**row) for row in rows(_SLOTS)),
                bookings=tuple(BookingRow(**row) for row in rows(_BOOKINGS)),
                events=tuple(EventRow(**row) for row in rows(_EVENTS)),
                read_at=read_at,
            )
        finally:
            if begins:
                cursor.execute("ROLLBACK")
