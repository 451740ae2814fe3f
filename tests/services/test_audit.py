"""The audit sees one moment, whatever others commit while it reads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

import pytest
from psycopg2.extensions import connection as PgConnection  # noqa: N812

from booking.app import create_app, create_services
from booking.repositories import checks
from tests.support.apps import Api, running_app
from tests.support.factories import booking_body, make_config
from tests.support.sessions import wait_until, waiting_for
from tests.support.snapshots import query
from tests.support.threads import background, results

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
    parts = create_services(make_config(database_url=url, db_lock_timeout_ms=200))
    [(slot_id,)] = query(url, MAKE_SLOT)
    query(url, "UPDATE slots SET remaining_capacity = 99 WHERE id = %s", slot_id)
    violated = {result.name: result.violations for result in parts.audit.run_audit()}
    assert [row["slot_id"] for row in violated["seats_add_up"]] == [slot_id]
    assert query(url, "SELECT remaining_capacity FROM slots") == [(99,)]
    parts.pool.close()


CLIENTS = 6
AUDITS = 3
EVENTS = "SELECT count(*) FROM booking_events"
# What an UPDATE, an INSERT and SELECT … FOR UPDATE take conflicts with none of these (PostgreSQL,
# chapter "Explicit Locking", "Conflicting Lock Modes").
LOCKS = "SELECT DISTINCT mode FROM pg_locks WHERE pid = %s AND locktype <> 'virtualxid'"


def test_audit_under_load_sees_one_moment_and_delays_nobody(
    new_database: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = new_database()
    run_checks = checks.run_checks
    seen: list[tuple[int, int]] = []
    locks: set[str] = set()
    waiters: set[int] = set()

    def wait_for_more_events() -> None:
        [(before,)] = query(url, EVENTS)
        wait_until(lambda: query(url, EVENTS)[0][0] > before + CLIENTS, "bookings meanwhile")

    def run_watched(conn: PgConnection) -> object:
        def count() -> int:
            with conn.cursor() as cursor:
                cursor.execute(EVENTS)
                [(rows,)] = cursor.fetchall()
            return int(rows)

        before = count()
        wait_for_more_events()
        found = run_checks(conn)
        # Each lock of a transaction is held to its end.
        locks.update(mode for (mode,) in query(url, LOCKS, conn.info.backend_pid))
        wait_for_more_events()
        waiters.update(waiting_for(url, conn.info.backend_pid))
        seen.append((before, count()))
        return found

    monkeypatch.setattr(checks, "run_checks", run_watched)
    with running_app(url, group_commit_size=100) as api, background() as start:
        slot_ids = [api.create_slot(total_capacity=500) for _ in range(2)]
        stopping = threading.Event()
        clients = [
            start(partial(_book_until, stopping, api, slot_ids[number % 2]))
            for number in range(CLIENTS)
        ]
        try:
            audits = [api.send("GET", "/api/admin/audit", None, {}).data for _ in range(AUDITS)]
        finally:
            stopping.set()
        assert {code for codes in results(clients) for code in codes} == {200, 201}

    assert [audit["healthy"] for audit in audits] == [True] * AUDITS
    assert [after - before for before, after in seen] == [0] * AUDITS
    assert locks == {"AccessShareLock"}
    assert waiters == set()


def _book_until(stopping: threading.Event, api: Api, slot_id: str) -> set[int]:
    """Book, hold, confirm and cancel one seat at a time; return the statuses of the answers."""
    told = set()
    while not stopping.is_set():
        held = api.book(slot_id, hold=True)
        booking_id = held.data["id"]
        answers = [held, api.confirm(booking_id), api.cancel(booking_id)]
        told |= {answer.status for answer in answers}
    return told
