"""A server that is told to end while a line is full books and answers those who stand in it."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator

import psutil
import pytest

from tests.support.apps import api_over_http
from tests.support.rows import SlotRow, read_slot
from tests.support.servers import LiveServer
from tests.support.sessions import LOCK_SLOT, holding, wait_until
from tests.support.threads import background, results

CROWD = 30


@pytest.fixture
def server(database_url: str) -> Iterator[LiveServer]:
    with LiveServer(
        database_url, WEB_CONCURRENCY=1, DB_LOCK_TIMEOUT_MS=20_000, DB_STATEMENT_TIMEOUT_MS=20_000
    ) as running:
        yield running


def test_full_line_is_booked_before_the_end(server: LiveServer, database_url: str) -> None:
    api = api_over_http(server.base_url)
    slot_id = api.create_slot(total_capacity=20)
    with background(CROWD) as start, holding(database_url, LOCK_SLOT, slot_id) as holder:
        futures = [start(lambda: api.book(slot_id)) for _ in range(CROWD)]
        holder.wait_for_waiters(1)
        assert server.process is not None
        [worker] = psutil.Process(server.process.pid).children()
        wait_until(lambda: _clients(worker) >= CROWD, "the crowd to be served")
        server.process.send_signal(signal.SIGTERM)
        holder.rollback()
        answers = results(futures)
    assert Counter(answer.code or answer.status for answer in answers) == {
        201: 20,
        "SLOT_FULL": 10,
    }
    assert read_slot(database_url, slot_id) == SlotRow(total=20, remaining=0, version=21)
    assert server.process.wait(30) == 0


def _clients(worker: psutil.Process) -> int:
    connections = worker.net_connections("tcp")
    return sum(each.status == psutil.CONN_ESTABLISHED and bool(each.laddr) for each in connections)
