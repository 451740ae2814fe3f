"""Migrations 0007 and 0008 on a database with rows that break their constraints."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import psycopg2
import pytest

from booking.db.migrations import MIGRATIONS, migrate
from tests.support.snapshots import query, violations_of

BEFORE = """
INSERT INTO slots (id, doctor_name, start_time, total_capacity, remaining_capacity, version,
    created_at, updated_at)
VALUES ('00000000-0000-7000-8000-000000000001', 'Dr. Odd', '2999-01-01T00:00:00Z', 10, 9, 2,
    '0044-03-15T00:00:00Z BC', 'infinity');
INSERT INTO bookings (id, slot_id, user_id, num_seats, status, expires_at, created_at, updated_at)
VALUES ('00000000-0000-7000-8000-000000000002', '00000000-0000-7000-8000-000000000001', 'odd', 1,
    'PENDING', 'infinity', '-infinity', '-infinity'),
    ('00000000-0000-7000-8000-000000000003', '00000000-0000-7000-8000-000000000001', 'even', 1,
    'CANCELLED', NULL, '2020-01-01T00:00:00Z', '11111-01-01T00:00:00Z');
INSERT INTO booking_events (booking_id, slot_id, type, to_status, seats, slot_version, at)
VALUES ('00000000-0000-7000-8000-000000000002', '00000000-0000-7000-8000-000000000001', 'HELD',
    'PENDING', 1, 2, '-infinity')
"""
FIRST, LAST = "0001-01-01 00:00:00+00", "9999-12-31 23:59:59.999999+00"


def test_odd_times_become_the_nearest_that_can_be_shown(
    new_database: Callable[..., str], tmp_path: Path
) -> None:
    url, before = new_database(migrated=False), tmp_path / "migrations"
    before.mkdir()
    for path in sorted(MIGRATIONS.glob("*.sql"))[:6]:
        shutil.copy(path, before)
    migrate(url, before)
    query(url, BEFORE)

    assert [name[:4] for name in migrate(url)][:2] == ["0007", "0008"]

    slots = "SELECT created_at::text, updated_at::text FROM slots"
    assert query(url, slots) == [(FIRST, LAST)]
    bookings = "SELECT expires_at::text, created_at::text, updated_at::text FROM bookings"
    assert query(url, f"{bookings} ORDER BY id") == [
        (LAST, FIRST, FIRST),
        (None, "2020-01-01 00:00:00+00", LAST),
    ]
    assert query(url, "SELECT at::text FROM booking_events") == [(FIRST,)]
    with pytest.raises(psycopg2.errors.RestrictViolation):
        query(url, "UPDATE booking_events SET seats = 1")
    assert "constraints_are_enforced" not in violations_of(url)
