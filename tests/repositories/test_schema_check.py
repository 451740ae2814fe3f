"""Whatever the migrations make is missed by the check of the schema when it is gone, and nothing of
what a newer release adds is a fault to an older one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg2
import pytest
from psycopg2.extensions import connection as PgConnection  # noqa: N812

from booking.config import PROJECT_ROOT

CHECK = (PROJECT_ROOT / "sql" / "checks" / "schema_is_whole.sql").read_text()
# What there is, by name, and the statement that does away with it.
OBJECTS = """
SELECT
    conname::text,
    format('ALTER TABLE %s DROP CONSTRAINT %I CASCADE', conrelid::regclass, conname)
FROM pg_constraint
WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
UNION ALL
SELECT c.relname::text, format('DROP INDEX %s', c.oid::regclass)
FROM pg_index AS i
INNER JOIN pg_class AS c ON i.indexrelid = c.oid
WHERE
    c.relnamespace = 'public'::regnamespace
    AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = c.oid AND k.contype <> 'f')
UNION ALL
SELECT tgname::text, format('DROP TRIGGER %I ON %s', tgname, tgrelid::regclass)
FROM pg_trigger
WHERE NOT tgisinternal
UNION ALL
SELECT
    relname::text,
    format('DROP %s %I CASCADE', CASE relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, relname)
FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')
UNION ALL
SELECT
    c.relname || '.' || a.attname,
    format('ALTER TABLE %I ALTER COLUMN %I DROP NOT NULL', c.relname, a.attname)
FROM pg_attribute AS a
INNER JOIN pg_class AS c ON a.attrelid = c.oid
WHERE
    c.relnamespace = 'public'::regnamespace
    AND c.relkind = 'r'
    AND a.attnum > 0
    AND a.attnotnull
    AND a.attidentity = ''
    AND NOT EXISTS (
        SELECT FROM pg_index AS i
        WHERE i.indrelid = c.oid AND i.indisprimary AND a.attnum = any(i.indkey)
    )
ORDER BY 1
"""


@pytest.fixture
def own(new_database: Callable[..., str]) -> Iterator[PgConnection]:
    """A database of its own, whose schema comes to harm."""
    conn = psycopg2.connect(new_database())
    conn.autocommit = True
    yield conn
    conn.close()


def test_whatever_is_dropped_is_missed(own: PgConnection) -> None:
    with own.cursor() as cursor:
        cursor.execute(OBJECTS)
        objects = cursor.fetchall()
        missed = {}
        for name, drop in objects:
            cursor.execute("BEGIN")
            cursor.execute(drop)
            cursor.execute(CHECK)
            missed[name] = name in {found for _, found in cursor.fetchall()}
            cursor.execute("ROLLBACK")
    assert len(missed) >= 80
    assert [name for name, is_missed in missed.items() if not is_missed] == []


def test_what_a_newer_release_adds_is_no_fault(own: PgConnection) -> None:
    with own.cursor() as cursor:
        cursor.execute(
            "ALTER TABLE bookings ADD COLUMN note text;"
            "ALTER TABLE bookings ADD COLUMN tags text[] NOT NULL DEFAULT '{}';"
            "CREATE INDEX bookings_note_idx ON bookings (note);"
            "CREATE TABLE notes (id uuid, note text, CHECK (note <> ''));"
        )
        cursor.execute(CHECK)
        assert cursor.fetchall() == []
