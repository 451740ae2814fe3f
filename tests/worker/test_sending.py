"""A response leaves in one piece. Each piece of a sequenced-packet socket is one send."""

from __future__ import annotations

import socket
import tracemalloc
from collections.abc import Iterator

import pytest

from booking.worker.sending import GatheredSends, send

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        theirs.settimeout(1)
        yield ours, theirs


def test_head_and_body_are_one_piece(pair: Pair) -> None:
    ours, theirs = pair
    gathered = GatheredSends(ours)
    gathered.sendall(b"head ")
    gathered.sendall(b"body")
    gathered.flush()
    gathered.flush()
    ours.shutdown(socket.SHUT_WR)
    assert [theirs.recv(100), theirs.recv(100)] == [b"head body", b""]


def test_file_goes_out_behind_its_head(
    pair: Pair, tmp_path_factory: pytest.TempPathFactory
) -> None:
    ours, theirs = pair
    path = tmp_path_factory.mktemp("sending") / "file"
    path.write_bytes(b"file")
    gathered = GatheredSends(ours)
    gathered.sendall(b"head")
    with path.open("rb") as file:
        assert gathered.sendfile(file, offset=0, count=4) == 4
    assert [theirs.recv(100), theirs.recv(100)] == [b"head", b"file"]


def test_what_says_to_go_on_is_not_kept(pair: Pair) -> None:
    ours, theirs = pair
    GatheredSends(ours).send(b"HTTP/1.1 100 Continue")
    assert theirs.recv(100) == b"HTTP/1.1 100 Continue"


def test_nothing_is_sent_of_an_answer_that_failed(pair: Pair) -> None:
    ours, theirs = pair
    gathered = GatheredSends(ours)
    gathered.sendall(b"head")
    gathered.close()
    gathered.flush()
    assert theirs.recv(100) == b""


def test_long_body_is_not_copied_for_a_client_that_takes_nothing() -> None:
    body = bytes(8 * 1024 * 1024)
    held: list[int] = []

    class Slow:
        """A socket with room for three bytes, before which a client keeps everything waiting."""

        def send(self, data: bytes) -> int:
            return min(3, len(data))

        def sendall(self, _data: bytes) -> None:
            held.append(tracemalloc.get_traced_memory()[0])

    gathered = GatheredSends(Slow())
    gathered.sendall(b"head")
    gathered.sendall(body)
    tracemalloc.start()
    try:
        gathered.flush()
    finally:
        tracemalloc.stop()
    assert max(held) < len(body) / 8


def test_what_does_not_go_out_at_once_follows() -> None:
    ours, theirs = socket.socketpair()

    class Narrow:
        """A socket with room for three bytes at a time."""

        def send(self, data: bytes) -> int:
            return ours.send(data[:3])

        def sendall(self, data: bytes) -> None:
            ours.sendall(data)

    with ours, theirs:
        send(Narrow(), b"head and body")
        assert theirs.recv(100, socket.MSG_WAITALL | socket.MSG_DONTWAIT) == b"head and body"
