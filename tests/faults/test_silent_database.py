"""A database that takes connections and says nothing, as a stopped process or a wrong port does."""

from __future__ import annotations

import select
import socket
import time

import requests

from booking.db.connection import CONNECT_TIMEOUT_SECONDS, answer_seconds
from tests.support.apps import api_over_http
from tests.support.factories import UNKNOWN_ID, booking_body
from tests.support.proxy import TcpProxy
from tests.support.rows import read_slot
from tests.support.servers import LiveServer
from tests.support.sessions import wait_until
from tests.support.threads import background


def test_connecting_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://booking@127.0.0.1:{silent.getsockname()[1]}/booking"
        with (
            LiveServer(url, WEB_CONCURRENCY=1).serving(wait_for="/health") as server,
            background(1) as start,
        ):
            began = time.monotonic()
            booking = start(lambda: book(server))
            # The worker serves others meanwhile.
            wait_until(lambda: has_client(silent), "the server to connect")
            assert requests.get(f"{server.base_url}/health", timeout=1).ok
            answer = booking.result()
            seconds = time.monotonic() - began
    assert (answer.status_code, answer.json()["code"]) == (503, "DATABASE_UNAVAILABLE")
    assert seconds < 2 * CONNECT_TIMEOUT_SECONDS


def has_client(listener: socket.socket) -> bool:
    return bool(select.select([listener], [], [], 0)[0])


def book(server: LiveServer) -> requests.Response:
    return requests.post(
        f"{server.base_url}/api/bookings",
        json=booking_body(UNKNOWN_ID),
        timeout=3 * CONNECT_TIMEOUT_SECONDS,
    )


def test_answer_that_does_not_come_is_given_up_in_time(
    database_url: str, proxied_url: str, database_proxy: TcpProxy, keyed: dict[str, str]
) -> None:
    """The kernel of a stopped server answers for it, so nothing on the way is amiss."""
    statement_ms = 1000
    settings = {"DB_STATEMENT_TIMEOUT_MS": statement_ms, "DB_LOCK_TIMEOUT_MS": 500}
    with LiveServer(proxied_url, WEB_CONCURRENCY=1, **settings) as server:
        api = api_over_http(server.base_url)
        slot_id = api.create_slot(total_capacity=5)
        assert api.book(slot_id).status == 201
        database_proxy.delay(60)
        began = time.monotonic()
        lost = api.book(slot_id, **keyed)
        seconds = time.monotonic() - began
        database_proxy.delay(0)
        found = api.book(slot_id, **keyed)
    assert (lost.status, lost.code) == (503, "OUTCOME_UNKNOWN")
    assert seconds < answer_seconds(statement_ms) + 2
    assert found.status == 201
    assert read_slot(database_url, slot_id).remaining == 5 - 2
