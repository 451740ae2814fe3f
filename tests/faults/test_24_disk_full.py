"""Process 24: the disk full. Writes are answered 503, nothing is half done, and reads go on where
they can: while there is no room for data, but not while there is none for WAL, where PostgreSQL
itself gives up.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from psycopg2.extensions import make_dsn

from booking.db.migrations import migrate
from tests.conftest import ROOT
from tests.faults.chaos.disk import SmallDisk, find_small_disk
from tests.faults.chaos.kinds.disk import is_back, use_up_wal
from tests.faults.chaos.postgres import chaos_postgres
from tests.faults.crowd import assert_acknowledged_are_stored, crowd
from tests.support.apps import Answer, Api, api_over_http, running_app
from tests.support.factories import unique
from tests.support.rows import count_events, read_slot, read_statuses
from tests.support.servers import LiveServer
from tests.support.sessions import wait_until
from tests.support.snapshots import query, violations_of

DATA_BYTES = 64 << 20
WAL_BYTES = 96 << 20
# A booking that takes much room: pages that were begun before the disk was full get full soon.
LONG_USER = "u" * 150
MOST_BOOKINGS = 400
OUT_OF_ROOM = "No space left on device"
FIRST_BOOKING_SECONDS = 5.0


@pytest.fixture
def directory() -> Iterator[Path]:
    directory = ROOT / ".local" / f"test-{os.getpid()}-disk"
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


def small_disk(directory: Path, size: int) -> SmallDisk:
    directory.parent.mkdir(parents=True, exist_ok=True)
    disk = find_small_disk(directory, size)
    if disk is None:
        pytest.skip("mounting a small disk needs root, and a kernel that lets it")
    return disk


@contextmanager
def database_on(disk: SmallDisk, directory: Path) -> Iterator[str]:
    """Run a PostgreSQL with a migrated database on a small disk, and its WAL elsewhere."""
    with disk.mounted(), chaos_postgres(directory) as postgres:
        place = disk.directory / "data"
        place.mkdir(mode=0o700)
        owner = (directory / "data").stat()
        os.chown(place, owner.st_uid, owner.st_gid)
        query(postgres.url, f"CREATE TABLESPACE small LOCATION '{place}'")
        query(postgres.url, "CREATE DATABASE small TABLESPACE small")
        url = make_dsn(postgres.url, dbname="small")
        migrate(url)
        yield url


def test_no_room_for_data(directory: Path) -> None:
    disk = small_disk(directory / "small", DATA_BYTES)
    with database_on(disk, directory / "postgres") as url, running_app(url) as api:
        slot_id = api.create_slot(total_capacity=1000)
        booked = [api.make_booking(slot_id)]
        disk.fill()
        try:
            refused, key = book_until_refused(api, slot_id, booked)
            reads = [
                api.get_slot(slot_id),
                api.get_booking(booked[0]),
                api.send("GET", f"/api/bookings?user_id={key['user_id']}", None, {}),
                api.send("GET", "/api/slots", None, {}),
            ]
            stored = read_statuses(url, slot_id)
            remaining = read_slot(url, slot_id).remaining
            violations = violations_of(url)
        finally:
            disk.free()
        again = api.book(slot_id, **key)

        assert (refused.status, refused.code) == (503, "DATABASE_UNAVAILABLE")
        assert refused.body["retryable"] is True
        assert int(refused.headers["Retry-After"]) > 0
        assert [answer.status for answer in reads] == [200] * 4
        assert stored == dict.fromkeys(booked, "CONFIRMED")
        assert remaining == 1000 - len(booked)
        assert violations == {}
        assert (again.status, again.is_replay) == (201, False)
        assert count_events(url, slot_id) == {"BOOKED": len(booked) + 1}
        assert violations_of(url) == {}


def book_until_refused(api: Api, slot_id: str, booked: list[str]) -> tuple[Answer, dict[str, str]]:
    """Add bookings to ``booked`` until there is no room; return the refusal, and whose it was."""
    for _ in range(MOST_BOOKINGS):
        key = {"user_id": unique(LONG_USER), "key": unique("key")}
        answer = api.book(slot_id, **key)
        if answer.status != 201:
            return answer, key
        booked.append(answer.data["id"])
    raise AssertionError("the disk does not get full")


def test_no_room_for_wal(directory: Path) -> None:
    disk = small_disk(directory / "small", WAL_BYTES)
    with chaos_postgres(directory / "postgres", disk) as postgres:
        migrate(postgres.url)
        with LiveServer(postgres.url) as server:
            api = api_over_http(server.base_url)
            slot_ids = [api.create_slot(total_capacity=100_000) for _ in range(2)]
            with crowd(server.port, slot_ids, staying=4, coming=0) as clients:
                clients.wait_for(20)
                log = postgres.log_size()
                disk.fill()
                try:
                    use_up_wal(postgres.url)
                    wait_until(lambda: OUT_OF_ROOM in postgres.log_since(log), "the need of room")
                    # It may come up once more in between, and give up again.
                    wait_until(lambda: api.book(slot_ids[0]).status == 503, "a refused booking")
                    wait_until(lambda: is_unready(api), "the server not to be ready")
                    alive = api.send("GET", "/health", None, {})
                finally:
                    disk.free()
                wait_until(lambda: is_back(postgres), "PostgreSQL to be back")
                back = time.monotonic()
                clients.wait_for(20, since=back)
            first = min(each.answered for each in clients.acknowledged(since=back))

            assert alive.status == 200
            assert first - back < FIRST_BOOKING_SECONDS
            assert not clients.failures()
            assert clients.statuses() == {201, 503}
            assert_acknowledged_are_stored(postgres.url, clients)
            assert violations_of(postgres.url) == {}


def is_unready(api: Api) -> bool:
    return api.get_readiness().status == 503
