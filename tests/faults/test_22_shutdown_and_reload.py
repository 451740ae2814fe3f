"""SIGTERM and reload under load: requests in flight finish, none is reset, and none is lost."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.faults.chaos.records import Failure
from tests.faults.crowd import assert_acknowledged_are_stored, crowd
from tests.faults.workers import workers_of
from tests.support.apps import api_over_http
from tests.support.factories import booking_body
from tests.support.rows import read_slot
from tests.support.servers import LiveServer
from tests.support.sessions import wait_until

STAYING, COMING = 6, 10
WARM_UP, AFTERWARDS = 50, 50
GRACEFUL_SECONDS = 30


@pytest.fixture
def server(database_url: str) -> Iterator[LiveServer]:
    with LiveServer(database_url) as running:
        yield running


def create_slots(server: LiveServer) -> list[str]:
    api = api_over_http(server.base_url)
    return [api.create_slot(total_capacity=100_000) for _ in range(3)]


def refuses_connections(server: LiveServer) -> bool:
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_end_under_load(server: LiveServer, database_url: str) -> None:
    assert server.process is not None
    with crowd(server.port, create_slots(server), staying=STAYING, coming=COMING) as clients:
        clients.wait_for(WARM_UP)
        told = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        exit_code = server.process.wait(60)

    assert exit_code == 0
    # Whoever came too late was not let in. Whoever was let in was answered.
    assert set(clients.failures()) <= {Failure.NOT_SENT}
    assert clients.statuses() <= {201, 503}
    assert clients.acknowledged(since=told)
    assert_acknowledged_are_stored(database_url, clients)


def test_reload_under_load(server: LiveServer, database_url: str) -> None:
    assert server.process is not None
    before = workers_of(server)
    with crowd(server.port, create_slots(server), staying=STAYING, coming=COMING) as clients:
        clients.wait_for(WARM_UP)
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: not before & workers_of(server), "the end of the old workers")
        clients.wait_for(AFTERWARDS, since=time.monotonic())

    assert not clients.failures()
    assert clients.statuses() <= {201, 503}
    assert_acknowledged_are_stored(database_url, clients)


def test_connection_kept_alive_is_answered_once_more(server: LiveServer, database_url: str) -> None:
    assert server.process is not None
    slot_id = api_over_http(server.base_url).create_slot(total_capacity=2)
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
        assert book(connection, slot_id) == (201, "keep-alive")
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: refuses_connections(server), "the server to let nobody in")

        # A client cannot know that the server is about to end when it sends this.
        assert book(connection, slot_id) == (201, "close")

    assert read_slot(database_url, slot_id).remaining == 0
    assert server.process.wait(60) == 0


def test_unused_connection_does_not_hold_up_the_end(server: LiveServer) -> None:
    assert server.process is not None
    with socket.create_connection(("127.0.0.1", server.port)):
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(GRACEFUL_SECONDS / 2) == 0


def book(connection: http.client.HTTPConnection, slot_id: str) -> tuple[int, str | None]:
    """Book on a connection; return the answer's status and what it says of the connection."""
    connection.request(
        "POST",
        "/api/bookings",
        json.dumps(booking_body(slot_id)),
        {"Content-Type": "application/json"},
    )
    answer = connection.getresponse()
    answer.read()
    return answer.status, answer.headers.get("Connection")
