"""Every constraint has a name by the rule, and every name a meaning."""

from __future__ import annotations

import re
from itertools import product
from typing import get_args, get_type_hints

import psycopg2
import pytest
from psycopg2.extensions import connection as PgConnection  # noqa: N812

from booking.db.constraints import DOMAIN_ERRORS, INTERNAL
from booking.models import LEGAL_MOVES, BookingStatus, EventType, Slot, SlotStatus
from tests.support.factories import UNKNOWN_ID

# NOT NULL has rows of its own in PostgreSQL 18, and none before.
CONSTRAINTS = """
SELECT
    c.conname::text,
    t.relname::text,
    c.contype::text,
    ARRAY(
        SELECT a.attname::text
        FROM unnest(c.conkey) WITH ORDINALITY AS k (attnum, place)
        INNER JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = k.attnum
        ORDER BY k.place
    ) AS columns
FROM pg_constraint AS c
INNER JOIN pg_class AS t ON c.conrelid = t.oid
WHERE c.connamespace = 'public'::regnamespace AND c.contype <> 'n'
ORDER BY c.conname
"""
# A unique index that is no constraint refuses rows under its own name all the same. An expression
# goes by the column in it.
INDEXES = r"""
SELECT i.relname::text, t.relname::text, x.indisunique::text, ARRAY(
    -- An expression is named for its function, or for the column whose null it replaces.
    SELECT coalesce(
        a.attname::text, substring(k.text FROM '^COALESCE\((\w+)'), substring(k.text FROM '^\w+')
    )
    FROM (
        SELECT attnum, place, pg_get_indexdef(i.oid, place::integer, true) AS text
        FROM unnest(x.indkey::smallint[]) WITH ORDINALITY AS u (attnum, place)
    ) AS k
    LEFT JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = nullif(k.attnum, 0)
    WHERE k.place <= x.indnkeyatts
    ORDER BY k.place
)
FROM pg_index AS x
INNER JOIN pg_class AS i ON x.indexrelid = i.oid
INNER JOIN pg_class AS t ON x.indrelid = t.oid
WHERE
    i.relnamespace = 'public'::regnamespace
    AND NOT EXISTS (SELECT 1 FROM pg_constraint AS c WHERE c.conindid = i.oid AND c.contype <> 'f')
ORDER BY i.relname
"""
SUFFIXES = {"p": "pk", "u": "uq", "f": "fk", "c": "ck", "x": "excl"}


def _rows(conn: PgConnection, sql: str) -> list[tuple[str, str, str, list[str]]]:
    with conn.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def test_every_constraint_is_mapped_or_internal_and_none_is_made_up(conn: PgConnection) -> None:
    in_schema = {row[0] for row in _rows(conn, CONSTRAINTS)}
    in_schema |= {name for name, _, is_unique, _ in _rows(conn, INDEXES) if is_unique == "true"}
    assert set(DOMAIN_ERRORS) & INTERNAL == set()
    assert in_schema - set(DOMAIN_ERRORS) - INTERNAL == set()
    assert (set(DOMAIN_ERRORS) | INTERNAL) - in_schema == set()


def test_constraints_are_named_by_the_rule(conn: PgConnection) -> None:
    for name, table, kind, columns in _rows(conn, CONSTRAINTS):
        begins, ends = f"{table}_", f"_{SUFFIXES[kind]}"
        assert name.startswith(begins), name
        assert name.endswith(ends), name
        named = name[len(begins) : -len(ends)]
        if kind == "c":
            # A check of several columns is named for the one that it is about, or for both.
            assert any(named.startswith(column) for column in columns), name
        else:
            assert named == "_".join(columns), name


def test_indexes_are_named_by_the_rule(conn: PgConnection) -> None:
    rows = _rows(conn, INDEXES)
    assert len(rows) >= 8
    for name, table, is_unique, columns in rows:
        ends = "uq" if is_unique == "true" else "idx"
        # A partial index says of which rows.
        assert re.fullmatch(rf"{table}_{'_'.join(columns)}(_[a-z]+)?_{ends}", name), name


def test_columns_that_must_have_a_value_are_not_null(conn: PgConnection) -> None:
    sql = """
        SELECT attname::text, '', '', ARRAY[]::text[] FROM pg_attribute
        WHERE attrelid = 'slots'::regclass AND attnum > 0 AND NOT attnotnull
    """
    hints = get_type_hints(Slot)
    optional = {name for name, hint in hints.items() if type(None) in get_args(hint)}
    assert {row[0] for row in _rows(conn, sql)} == optional


def _is_taken(conn: PgConnection, statement: str, *parameters: object) -> bool:
    with conn.cursor() as cursor:
        cursor.execute("BEGIN")
        try:
            cursor.execute(statement, parameters)
        except psycopg2.errors.CheckViolation:
            return False
        finally:
            cursor.execute("ROLLBACK")
    return True


EVENT = (
    "INSERT INTO booking_events (booking_id, slot_id, type, from_status, to_status, seats,"
    " slot_version) VALUES (%s, %s, %s, %s, %s, %s, %s)"
)


@pytest.mark.parametrize("event_type", EventType)
def test_database_takes_the_legal_moves_and_no_other(
    conn: PgConnection, event_type: EventType
) -> None:
    with conn.cursor() as cursor:
        # The checks are asked, not the foreign key to a booking.
        cursor.execute("SET session_replication_role = replica")
    moves = list(product([None, *BookingStatus], BookingStatus))
    is_move = event_type != EventType.CONFIRMED
    seats, version = (1, 2) if is_move else (0, None)
    taken = {
        move
        for move in moves
        if _is_taken(conn, EVENT, UNKNOWN_ID, UNKNOWN_ID, event_type, *move, seats, version)
    }
    assert taken == LEGAL_MOVES[event_type]
    [move, *_] = LEGAL_MOVES[event_type]
    for wrong_seats, wrong_version in (
        (-1, version),
        (1001, version),
        (1 - seats, version),
        (seats, None if is_move else 2),
    ):
        values = (UNKNOWN_ID, UNKNOWN_ID, event_type, *move, wrong_seats, wrong_version)
        assert not _is_taken(conn, EVENT, *values)


SLOT = {
    "id": UNKNOWN_ID,
    "doctor_name": "Dr. Direct",
    "start_time": "2999-01-01T00:00:00Z",
    "total_capacity": 10,
    "remaining_capacity": 10,
}
BOOKING = {
    "id": UNKNOWN_ID,
    "slot_id": UNKNOWN_ID,
    "user_id": "u",
    "num_seats": 1,
    "status": "CONFIRMED",
}
EVENT_ROW = {
    "booking_id": UNKNOWN_ID,
    "slot_id": UNKNOWN_ID,
    "type": "BOOKED",
    "to_status": "CONFIRMED",
    "seats": 1,
    "slot_version": 2,
}
ROWS: dict[str, dict[str, object]] = {
    "slots": SLOT,
    "bookings": BOOKING,
    "booking_events": EVENT_ROW,
}
# psycopg2 reads the first three as nothing, or as another time than they are.
BEYOND_WHAT_CAN_BE_SHOWN = (
    "infinity",
    "-infinity",
    "0001-12-31T23:59:59.999999Z BC",
    "10000-01-01T00:00:00Z",
)
TIMES = {
    "slots": ("start_time", "created_at", "updated_at"),
    "bookings": ("expires_at", "created_at", "updated_at"),
    "booking_events": ("at",),
}
STANDING_BEHIND: list[tuple[str, dict[str, object], bool]] = [
    ("slots", {}, True),
    ("slots", {"doctor_name": ""}, False),
    ("slots", {"doctor_name": "😀" * 200}, True),
    ("slots", {"doctor_name": "x" * 201}, False),
    ("slots", {"specialization": "x" * 201}, False),
    ("slots", {"total_capacity": 0, "remaining_capacity": 0}, False),
    ("slots", {"total_capacity": 1_000_001}, False),
    ("slots", {"remaining_capacity": -1}, False),
    ("slots", {"remaining_capacity": 11}, False),
    ("slots", {"duration_minutes": 0}, False),
    ("slots", {"duration_minutes": 10_081}, False),
    ("slots", {"status": "open"}, False),
    ("slots", {"status": SlotStatus.CLOSED.value}, True),
    ("slots", {"version": 0}, False),
    ("bookings", {}, True),
    ("booking_events", {}, True),
    ("bookings", {"num_seats": -5}, False),
    ("bookings", {"num_seats": 0}, False),
    ("bookings", {"num_seats": 1001}, False),
    ("bookings", {"user_id": ""}, False),
    ("bookings", {"user_id": "x" * 201}, False),
    ("bookings", {"status": "DONE"}, False),
    ("bookings", {"status": "PENDING"}, False),
    ("bookings", {"status": "FAILED", "expires_at": "now"}, False),
    ("bookings", {"status": "FAILED", "failure_reason": "EXPIRED"}, False),
    ("bookings", {"failure_reason": "EXPIRED"}, False),
    (
        "bookings",
        {"status": "FAILED", "failure_reason": "EXPIRED", "expires_at": "now"},
        True,
    ),
    (
        "bookings",
        {"status": "FAILED", "failure_reason": "BORED", "expires_at": "now"},
        False,
    ),
    ("bookings", {"expires_at": "9999-12-31T23:59:59.999999Z"}, True),
    ("bookings", {"expires_at": "0001-01-01T00:00:00Z"}, True),
    ("bookings", {"idempotency_key": ""}, False),
    ("bookings", {"idempotency_key": "x" * 256}, False),
]
STANDING_BEHIND += [
    (table, {column: moment}, False)
    for table, columns in TIMES.items()
    for column in columns
    for moment in BEYOND_WHAT_CAN_BE_SHOWN
]


def test_every_time_has_a_bound(conn: PgConnection) -> None:
    with conn.cursor() as cursor:
        cursor.execute(
            "SELECT table_name::text, column_name::text FROM information_schema.columns AS c"
            " INNER JOIN information_schema.tables AS t USING (table_schema, table_name)"
            " WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
            " AND data_type LIKE 'timestamp%' AND table_name <> 'schema_migrations'"
        )
        assert set(cursor.fetchall()) == {
            (table, column) for table, columns in TIMES.items() for column in columns
        }


@pytest.mark.parametrize(("table", "fields", "is_taken"), STANDING_BEHIND)
def test_constraints_stand_behind_the_input(
    conn: PgConnection, table: str, fields: dict[str, object], is_taken: bool
) -> None:
    with conn.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
    row = {**ROWS[table], **fields}
    statement = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))})"
    assert _is_taken(conn, statement, *row.values()) is is_taken
