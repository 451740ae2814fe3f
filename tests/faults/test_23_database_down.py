"""Process 23: the database down at the start, and later. The process lives, says so, and recovers.

The server is ``python -m booking serve``, which also migrates as soon as the database is reached.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from tests.conftest import ROOT
from tests.faults.chaos.postgres import ChaosPostgres, chaos_postgres
from tests.support.apps import Answer, Api, api_over_http
from tests.support.factories import UNKNOWN_ID, slot_body
from tests.support.rows import SlotRow, read_slot, read_statuses
from tests.support.servers import SERVE, LiveServer
from tests.support.snapshots import violations_of

# What is promised once PostgreSQL accepts connections.
FIRST_BOOKING_SECONDS = 5.0
# To make the schema takes as long as the disk takes: patience, and no promise.
SCHEMA_SECONDS = 30.0
POLL_SECONDS = 0.05
ROUNDS_DOWN = 10


@pytest.fixture
def postgres() -> Iterator[ChaosPostgres]:
    """A PostgreSQL without a schema that is down; it keeps its port."""
    directory = ROOT / ".local" / f"test-{os.getpid()}-down"
    try:
        with chaos_postgres(directory) as running:
            running.kill()
            yield running
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def server(postgres: ChaosPostgres) -> Iterator[LiveServer]:
    with LiveServer(postgres.url, SERVE).serving(wait_for="/health") as running:
        yield running


def test_database_down_at_the_start_and_later(postgres: ChaosPostgres, server: LiveServer) -> None:
    api = api_over_http(server.base_url)
    processes = processes_of(server)

    for _ in range(ROUNDS_DOWN):
        assert_down(api, lambda: api.book(UNKNOWN_ID))
    assert processes_of(server) == processes

    postgres.start()
    accepting = time.monotonic()
    slot_id = wait_for_success(accepting, lambda: create_slot(api), SCHEMA_SECONDS).data["id"]
    booked = [wait_for_success(accepting, lambda: api.book(slot_id), SCHEMA_SECONDS).data["id"]]
    wait_for_success(accepting, api.get_readiness, SCHEMA_SECONDS)

    postgres.kill()
    for _ in range(ROUNDS_DOWN):
        assert_down(api, lambda: api.get_booking(booked[0]))
        assert_down(api, lambda: api.cancel(booked[0]))
        assert_down(api, lambda: api.book(slot_id))

    postgres.start()
    accepting = time.monotonic()
    booked.append(wait_for_success(accepting, lambda: api.book(slot_id)).data["id"])
    wait_for_success(accepting, api.get_readiness)
    assert read_statuses(postgres.url, slot_id) == dict.fromkeys(booked, "CONFIRMED")
    assert read_slot(postgres.url, slot_id) == SlotRow(total=10, remaining=8, version=3)
    assert processes_of(server) == processes
    assert violations_of(postgres.url) == {}


def assert_down(api: Api, act: Callable[[], Answer]) -> None:
    """The process lives and knows that it cannot serve."""
    assert api.send("GET", "/health", None, {}).status == 200
    not_ready = api.get_readiness()
    refused = act()
    assert (not_ready.status, not_ready.code) == (503, "NOT_READY")
    assert (refused.status, refused.code) == (503, "DATABASE_UNAVAILABLE")
    for answer in (not_ready, refused):
        assert answer.body["retryable"] is True
        assert int(answer.headers["Retry-After"]) > 0


def wait_for_success(
    since: float, act: Callable[[], Answer], seconds: float = FIRST_BOOKING_SECONDS
) -> Answer:
    """Ask until it succeeds, which it must within what is promised, counted from ``since``.

    Each worker finds out for itself that the database is back.
    """
    while (answer := act()).status == 503 and time.monotonic() < since + seconds:
        time.sleep(POLL_SECONDS)
    assert answer.status in {200, 201}, answer.body
    assert time.monotonic() < since + seconds
    return answer


def create_slot(api: Api) -> Answer:
    return api.send("POST", "/api/admin/slots", slot_body(), {})


def processes_of(server: LiveServer) -> set[psutil.Process]:
    """Return all of the server: what supervises it, gunicorn's master and its workers."""
    assert server.process is not None
    supervisor = psutil.Process(server.process.pid)
    return {supervisor, *supervisor.children(recursive=True)}
