"""A database that takes connections and says nothing, as a stopped process or a wrong port does."""

from __future__ import annotations

import select
import socket
import time

import requests

from booking.db.connection import CONNECT_TIMEOUT_SECONDS
from tests.factories import UNKNOWN_ID, booking_body
from tests.servers import LiveServer
from tests.sessions import wait_until
from tests.threads import background


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
