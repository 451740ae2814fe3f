"""The audit sees one moment, whatever others commit while it reads."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from psycopg2.extensions import connection as PgConnection  # noqa: N812

from booking.app import create_app, create_parts
from booking.repositories import checks
from tests.factories import booking_body, make_config
from tests.snapshots import query

MAKE_SLOT = """
INSERT INTO slots (id, doctor_name, start_time, total_capacity, remaining_capacity)
VALUES (gen_random_uuid(), 'Dr. Audit', now() + interval '1 day', 100, 100)
RETURNING id::text
"""


def test_audit_is_one_snapshot(
    new_database: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = new_database()
    app = create_app(make_config(database_url=url))
    parts, client = app.extensions["booking"], app.test_client()
    [(slot_id,)] = query(url, MAKE_SLOT)
    run_checks = checks.run_checks
    seen: list[int] = []

    def book_and_run(conn: PgConnection) -> object:
        def count() -> int:
            with conn.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM bookings")
                [(rows,)] = cursor.fetchall()
            return int(rows)

        seen.append(count())
        made = client.post("/api/bookings", json=booking_body(slot_id))
        assert made.status_code == 201
        results = run_checks(conn)
        seen.append(count())
        return results

    monkeypatch.setattr(checks, "run_checks", book_and_run)
    results = parts.audit.run_audit()
    assert [result for result in results if result.violations] == []
    assert seen == [0, 0]
    assert query(url, "SELECT count(*) FROM bookings") == [(1,)]
    parts.pool.close()


def test_audit_writes_nothing_and_locks_nobody_out(new_database: Callable[..., str]) -> None:
    url = new_database()
    parts = create_parts(make_config(database_url=url, db_lock_timeout_ms=200))
    [(slot_id,)] = query(url, MAKE_SLOT)
    query(url, "UPDATE slots SET remaining_capacity = 99 WHERE id = %s", slot_id)
    violated = {result.name: result.violations for result in parts.audit.run_audit()}
    assert [row["slot_id"] for row in violated["seats_add_up"]] == [slot_id]
    assert query(url, "SELECT remaining_capacity FROM slots") == [(99,)]
    parts.pool.close()
