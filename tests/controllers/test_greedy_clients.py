"""One connection on which somebody makes much work of little: others are served meanwhile."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest
import requests

from tests.support.servers import LiveServer
from tests.support.threads import background

ATTACK_SECONDS = 3.0
# Each is served within a few milliseconds when nobody is greedy; a worker that is held up for as
# long as the attack lasts is so for seconds.
LONGEST_SECONDS = 0.5

HEAD = b"POST /api/bookings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
FIELD = b"X-Long: " + b"a" * 8000 + b"\r\n"

UNFINISHED = {
    "790 KB of a head": HEAD + 95 * FIELD,
    "24 KB of a head": HEAD + 3 * FIELD,
    "790 KB of trailers": CHUNKED + b"0\r\n" + 95 * FIELD,
}


@pytest.fixture(scope="module")
def one_worker(worker_database_url: str) -> Iterator[LiveServer]:
    with LiveServer(worker_database_url, WEB_CONCURRENCY=1) as running:
        yield running


def _connect(server: LiveServer) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _processor_seconds(server: LiveServer) -> float:
    assert server.process is not None
    [worker] = psutil.Process(server.process.pid).children()
    times = worker.cpu_times()
    return float(times.user + times.system)


@pytest.mark.parametrize("beginning", UNFINISHED.values(), ids=UNFINISHED)
def test_unfinished_request_is_not_read_again_for_each_byte(
    one_worker: LiveServer, beginning: bytes
) -> None:
    before = _processor_seconds(one_worker)
    with _connect(one_worker) as connection, suppress(OSError):
        connection.sendall(beginning)
        for _ in range(3000):
            connection.sendall(b"a")
            time.sleep(0.001)
    assert _processor_seconds(one_worker) - before < LONGEST_SECONDS


def test_chunks_of_one_byte_hold_up_nobody(one_worker: LiveServer) -> None:
    body = 1_000_000 * b"1\r\nx\r\n"
    over = threading.Event()

    def attack() -> None:
        while not over.is_set():
            with _connect(one_worker) as connection, suppress(OSError):
                connection.sendall(CHUNKED + body)

    slowest = 0.0
    with background(1) as start:
        attacking = start(attack)
        began = time.monotonic()
        while time.monotonic() - began < ATTACK_SECONDS:
            asked_at = _processor_seconds(one_worker)
            assert requests.get(f"{one_worker.base_url}/health", timeout=30).ok
            slowest = max(slowest, _processor_seconds(one_worker) - asked_at)
        over.set()
        attacking.result()
    assert slowest < LONGEST_SECONDS


@pytest.mark.parametrize(
    ("chunks", "status"),
    [
        (70_000 * b"1\r\nx\r\n", 413),
        (b"11000\r\n" + 0x11000 * b" " + b"\r\n", 413),
        (200 * (b"1;x=" + 8000 * b"x" + b"\r\nx\r\n"), 400),
        (b"0\r\n" + 4 * FIELD, 400),
    ],
    ids=["small chunks", "one chunk", "extensions", "trailers"],
)
def test_chunks_without_an_end_end_the_connection(
    one_worker: LiveServer, chunks: bytes, status: int
) -> None:
    """The client is told so; what it sent behind them is no request."""
    with _connect(one_worker) as connection:
        received = b""
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(CHUNKED + chunks)
            connection.sendall(b"\r\n\r\n0\r\n\r\nGET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        with suppress(ConnectionResetError):
            while data := connection.recv(65_536):
                received += data
    head = received.partition(b"\r\n\r\n")[0]
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"connection: close" in head.lower()
    assert received.count(b"HTTP/1.1 ") == 1
