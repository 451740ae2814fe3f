"""Process 16: kill -9 of a worker in the middle of its transaction: rolled back, and no lock stays.

Inside a statement, where PostgreSQL has no reason to look at the connection but the check that was
asked for (``client_connection_check_interval``), and between two statements of one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from psycopg2 import errors

from tests.faults.workers import is_alive, worker_behind, workers_of
from tests.support.apps import Answer, Api, api_over_http
from tests.support.failpoints import breakpoint_at, failpoint
from tests.support.proxy import TcpProxy
from tests.support.rows import SlotRow, read_history, read_slot, read_statuses
from tests.support.servers import LiveServer
from tests.support.sessions import LOCK_SLOT, holding, wait_until
from tests.support.snapshots import query
from tests.support.threads import background, result

# No time limit of the application is to end the backend in the check's stead.
PATIENT = {"DB_LOCK_TIMEOUT_MS": 90_000, "DB_STATEMENT_TIMEOUT_MS": 90_000}
WORK = "PERFORM pg_sleep(60);"
WORKING = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'booking' AND wait_event = 'PgSleep'
"""
IDLE_IN_TRANSACTION = """
SELECT 1 FROM pg_stat_activity WHERE pid = %s AND state = 'idle in transaction'
"""
LOCK_SLOT_AT_ONCE = f"{LOCK_SLOT} NOWAIT"


@dataclass(frozen=True)
class Case:
    """A request on a slot of 5 seats with one booking; where its transaction is caught."""

    act: Callable[[Api, str, str], Answer]
    table: str
    event: str
    of_slot: str
    slot_fields: dict[str, Any]
    after: SlotRow


IN_EVENTS = ("booking_events", "INSERT", "NEW.slot_id = '{}'")
CASES = {
    "book": Case(
        lambda api, slot_id, _: api.book(slot_id),
        *IN_EVENTS,
        {},
        SlotRow(total=5, remaining=3, version=3),
    ),
    "book with a limit": Case(
        lambda api, slot_id, _: api.book(slot_id),
        *IN_EVENTS,
        {"max_seats_per_user": 2},
        SlotRow(total=5, remaining=3, version=3),
    ),
    "cancel": Case(
        lambda api, _, booking_id: api.cancel(booking_id),
        *IN_EVENTS,
        {},
        SlotRow(total=5, remaining=5, version=3),
    ),
    "change": Case(
        lambda api, slot_id, _: api.change_slot(slot_id, total_capacity=9),
        "slots",
        "UPDATE",
        "NEW.id = '{}'",
        {},
        SlotRow(total=9, remaining=8, version=3),
    ),
}


@pytest.fixture(scope="module")
def patient_server(worker_database_url: str) -> Iterator[LiveServer]:
    with LiveServer(worker_database_url, **PATIENT) as server:
        yield server


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_worker_killed_inside_a_statement(
    patient_server: LiveServer, database_url: str, case: Case
) -> None:
    api = api_over_http(patient_server.base_url)
    slot_id = api.create_slot(total_capacity=5, **case.slot_fields)
    booking_id = api.make_booking(slot_id)
    where = case.of_slot.format(slot_id)

    with (
        failpoint(database_url, case.table, WORK, event=case.event, when=where, times=1),
        background() as start,
    ):
        future: Future[Answer] = start(lambda: case.act(api, slot_id, booking_id))
        wait_until(lambda: bool(query(database_url, WORKING)), "a backend at work")
        [(backend,)] = query(database_url, WORKING)
        assert_locked(database_url, slot_id)
        worker_behind(patient_server, database_url, backend).kill()
        with pytest.raises(requests.ConnectionError):
            result(future)
        wait_until(lambda: not is_alive(database_url, backend), "the backend's end")

        assert_untouched(database_url, slot_id, booking_id)
        again = case.act(api, slot_id, booking_id)

    assert again.status in {200, 201}
    assert read_slot(database_url, slot_id) == case.after


def test_worker_killed_between_two_statements(
    database_url: str, proxied_url: str, database_proxy: TcpProxy
) -> None:
    with LiveServer(proxied_url, WEB_CONCURRENCY=1, **PATIENT) as server:
        api = api_over_http(server.base_url)
        slot_id = api.create_slot(total_capacity=5)
        booking_id = api.make_booking(slot_id)

        with (
            breakpoint_at(
                database_url, "slots", event="UPDATE", when=f"NEW.id = '{slot_id}'"
            ) as stop,
            background() as start,
        ):
            future: Future[Answer] = start(lambda: api.change_slot(slot_id, total_capacity=9))
            [backend] = stop.wait_for_stop()
            # The worker never learns that its UPDATE is done.
            database_proxy.delay(60)
            stop.release()
            wait_until(
                lambda: bool(query(database_url, IDLE_IN_TRANSACTION, backend)),
                "the transaction to be left open",
            )
            assert_locked(database_url, slot_id)
            [worker] = workers_of(server)
            worker.kill()
            with pytest.raises(requests.ConnectionError):
                result(future)
            wait_until(lambda: not is_alive(database_url, backend), "the backend's end")
            database_proxy.delay(0)

        assert_untouched(database_url, slot_id, booking_id)
        assert api.change_slot(slot_id, total_capacity=9).status == 200
    assert read_slot(database_url, slot_id) == SlotRow(total=9, remaining=8, version=3)


def assert_locked(url: str, slot_id: str) -> None:
    with (
        pytest.raises(errors.LockNotAvailable),
        holding(url, LOCK_SLOT_AT_ONCE, slot_id),
    ):
        pass


def assert_untouched(url: str, slot_id: str, booking_id: str) -> None:
    """The slot has its one booking and nothing else, and anybody can lock it."""
    with holding(url, LOCK_SLOT_AT_ONCE, slot_id):
        pass
    assert read_slot(url, slot_id) == SlotRow(total=5, remaining=4, version=2)
    assert read_statuses(url, slot_id) == {booking_id: "CONFIRMED"}
    assert read_history(url, booking_id) == ["BOOKED"]
