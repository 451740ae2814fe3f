"""The proxy that the tests of faults stand on does what it says, and nothing else."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.support.proxy import TcpProxy, tcp_proxy
from tests.support.sessions import wait_until

SECONDS = 10
DELAY = 0.05


class Echo:
    """Sends back what it gets, and at the end of it all says goodbye."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.received = b""
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while data := connection.recv(4096):
                self.received += data
                connection.sendall(data)
            connection.sendall(b"goodbye")

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[TcpProxy]:
    with tcp_proxy("127.0.0.1", echo.port) as made:
        yield made


@contextmanager
def connected(proxy: TcpProxy) -> Iterator[socket.socket]:
    """Connect, and see that the connection goes all the way."""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=SECONDS) as client:
        assert ask(client, b"hello") == b"hello"
        yield client


def ask(client: socket.socket, data: bytes) -> bytes:
    client.sendall(data)
    return client.recv(4096)


def test_the_end_of_a_connection_is_passed_on(proxy: TcpProxy) -> None:
    with connected(proxy) as client:
        client.shutdown(socket.SHUT_WR)
        assert client.recv(4096) == b"goodbye"
        assert client.recv(4096) == b""


def test_next_reply_of_each_connection_is_lost(proxy: TcpProxy, echo: Echo) -> None:
    with connected(proxy) as first, connected(proxy) as second:
        assert proxy.lose_next_replies() == 2
        with connected(proxy) as later:
            for client in (first, second):
                with pytest.raises(ConnectionResetError):
                    ask(client, b"lost?")
            assert ask(later, b"kept") == b"kept"
    assert echo.received.count(b"lost?") == 2
    assert (proxy.lost_replies, proxy.lost_bytes) == (2, 10)


def test_replies_that_are_spared_come(proxy: TcpProxy) -> None:
    with connected(proxy) as client:
        proxy.lose_next_replies()
        proxy.spare_replies()
        assert ask(client, b"kept") == b"kept"
    assert proxy.lost_replies == 0


def test_data_are_late_both_ways_until_the_delay_ends(proxy: TcpProxy) -> None:
    with connected(proxy) as client:
        proxy.delay(DELAY)
        began = time.monotonic()
        assert ask(client, b"late") == b"late"
        assert time.monotonic() - began >= 2 * DELAY
        proxy.delay(SECONDS * 1000)
        client.sendall(b"held")
        wait_until(lambda: proxy.delayed_chunks == 3, "the proxy to hold the data")
        proxy.delay(0)
        assert client.recv(4096) == b"held"


def test_cut_resets_every_connection(proxy: TcpProxy) -> None:
    with connected(proxy) as first, connected(proxy) as second:
        assert proxy.cut() == 2
        for client in (first, second):
            with pytest.raises(ConnectionResetError):
                client.recv(4096)
    with connected(proxy):
        assert proxy.cut() == 1
