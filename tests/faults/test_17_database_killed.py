"""Process 17: PostgreSQL killed under load. No acknowledged booking is lost.

``synchronous_commit`` is what that rests on. The control takes it away, and bookings are lost: so
the test would see it. Both have a PostgreSQL whose WAL writer sleeps for long, which makes no
difference to commits that are waited for.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from booking.app import Services
from booking.db.migrations import migrate
from tests.conftest import ROOT
from tests.faults.chaos.postgres import ChaosPostgres, chaos_postgres
from tests.faults.crowd import Crowd, assert_acknowledged_are_stored, crowd, find_lost
from tests.support.apps import api_over_http
from tests.support.servers import LiveServer
from tests.support.snapshots import query, violations_of

SLEEPY_WAL_WRITER = {"wal_writer_delay": "10s", "wal_writer_flush_after": "1GB"}
STAYING, COMING = 8, 4
BOOKINGS = 40
KILLS = 2


@pytest.fixture(scope="module")
def postgres() -> Iterator[ChaosPostgres]:
    directory = ROOT / ".local" / f"test-{os.getpid()}-killed"
    try:
        with chaos_postgres(directory, settings=SLEEPY_WAL_WRITER) as running:
            migrate(running.url)
            yield running
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def clients_that_book(postgres: ChaosPostgres) -> Iterator[Crowd]:
    with LiveServer(postgres.url).serving(wait_for="/health") as server:
        api = api_over_http(server.base_url)
        slot_ids = [api.create_slot(total_capacity=100_000) for _ in range(3)]
        with crowd(server.port, slot_ids, staying=STAYING, coming=COMING) as clients:
            yield clients


def kill_and_start(postgres: ChaosPostgres) -> float:
    """Return when it was back."""
    postgres.kill()
    postgres.start()
    return time.monotonic()


def test_acknowledged_bookings_outlive_postgres(postgres: ChaosPostgres) -> None:
    with clients_that_book(postgres) as clients:
        clients.wait_for(BOOKINGS)
        for _ in range(KILLS):
            back = kill_and_start(postgres)
            clients.wait_for(BOOKINGS, since=back)

    # The server itself was well all the time: every request has an answer.
    assert not clients.failures()
    assert clients.statuses() == {201, 503}
    assert_acknowledged_are_stored(postgres.url, clients)
    assert violations_of(postgres.url) == {}


def test_without_synchronous_commit_bookings_are_lost(postgres: ChaosPostgres) -> None:
    query(postgres.url, "ALTER SYSTEM SET synchronous_commit = off")
    query(postgres.url, "SELECT pg_reload_conf()")

    with clients_that_book(postgres) as clients:
        clients.wait_for(BOOKINGS)
        kill_and_start(postgres)

    assert find_lost(postgres.url, clients)


def test_every_commit_is_waited_for(parts: Services) -> None:
    with parts.pool.connection() as conn, conn.cursor() as cursor:
        cursor.execute("SHOW synchronous_commit")
        assert cursor.fetchone() == ("on",)
