"""Retry 14: a worker dies while it holds a key. No key stays locked, and no seat is lost."""

from __future__ import annotations

from concurrent.futures import Future

import pytest
import requests

from tests.faults.workers import is_alive, worker_behind
from tests.support.apps import Answer, api_over_http
from tests.support.failpoints import breakpoint_at
from tests.support.rows import SlotRow, count_events, read_slot, read_statuses
from tests.support.servers import LiveServer
from tests.support.sessions import wait_until
from tests.support.threads import background, result


def test_worker_killed_in_mid_transaction(database_url: str, keyed: dict[str, str]) -> None:
    # No other time limit is to end the backend in the check's stead.
    patient = {"DB_LOCK_TIMEOUT_MS": 120_000, "DB_STATEMENT_TIMEOUT_MS": 120_000}
    with LiveServer(database_url, **patient) as server:
        api = api_over_http(server.base_url)
        slot_id = api.create_slot(total_capacity=1)

        with (
            breakpoint_at(
                database_url, "booking_events", when=f"NEW.slot_id = '{slot_id}'"
            ) as stop,
            background() as start,
        ):
            first: Future[Answer] = start(lambda: api.book(slot_id, **keyed))
            [backend] = stop.wait_for_stop()
            worker_behind(server, database_url, backend).kill()
            with pytest.raises(requests.ConnectionError):
                result(first)
            # The backend waits for a lock that nobody gives it: it must notice by itself that whom
            # it works for is dead.
            wait_until(lambda: not is_alive(database_url, backend), "the backend's end")
            assert read_statuses(database_url, slot_id) == {}
            assert read_slot(database_url, slot_id) == SlotRow(total=1, remaining=1, version=1)
            stop.release()

        again = api.book(slot_id, **keyed)

        assert (again.status, again.is_replay) == (201, False)
        assert api.book(slot_id, **keyed).is_replay
        assert read_statuses(database_url, slot_id) == {again.data["id"]: "CONFIRMED"}
        assert count_events(database_url, slot_id) == {"BOOKED": 1}
        assert read_slot(database_url, slot_id) == SlotRow(total=1, remaining=0, version=2)
