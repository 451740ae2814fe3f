"""How the worker waits for what a client sends."""

from __future__ import annotations

import re
import time
from typing import Any

import gevent
from greenlet import greenlet
from gunicorn.http.errors import LimitRequestHeaders
from gunicorn.http.unreader import SocketUnreader

# As much as gunicorn reads at a time.
READ_BYTES = 8192
MAX_HEAD_BYTES = 32 * 1024
_READABLE = 1
# Where a head ends, or is none: each of its lines ends with CRLF (RFC 9112, section 2.2).
_END_OF_HEAD = re.compile(rb"\r\n\r\n|(?<!\r)\n")
_LONGEST_END = 4


class IdleTooLong(Exception):
    """The client has sent no whole head of a request in time."""


class IdleConnections:
    """The connections that wait for their clients, by their greenlets: each is one of them while it
    has entered. Those that have waited longest come first, and a look at them now and then costs
    less than a timer for each wait.
    """

    def __init__(self) -> None:
        self._since: dict[greenlet, float] = {}

    def __enter__(self) -> None:
        self._since[gevent.getcurrent()] = time.monotonic()

    def __exit__(self, *_error: object) -> None:
        self._since.pop(gevent.getcurrent(), None)

    def give_up(self, since: float) -> None:
        """Raise IdleTooLong in those that have waited since then, by the monotonic clock, or for
        longer. For the loop to call: whoever is on the list at that moment waits.
        """
        while self._since:
            waiting, began = next(iter(self._since.items()))
            if began > since:
                return
            del self._since[waiting]
            waiting.throw(IdleTooLong)


class Arrivals(SocketUnreader):  # type: ignore[misc] # gunicorn has no types
    """What comes on a connection, for gunicorn's parser. Whoever asks gives way: others get their
    turn, whatever a client has sent ahead.
    """

    def __init__(self, client: Any) -> None:
        super().__init__(client, READ_BYTES)
        self._hub = gevent.get_hub()
        self._is_readable = self._hub.loop.io(client.fileno(), _READABLE)
        self._body_bytes_left = 0

    def next_head(self) -> bytes:
        """Return what was read ahead and what comes, up to the end of a head, or to the bytes that
        one may have: the parser looks through all of it, and does so once. StopIteration where
        nothing comes.
        """
        self._body_bytes_left = 0
        data: bytes = self.take_buffered()
        if data:
            gevent.sleep(0)
        else:
            data = self._receive(READ_BYTES)
            if not data:
                raise StopIteration
        return data if b"\r\n\r\n" in data else self._gather(bytearray(data))

    def begin_body(self, max_bytes: int) -> None:
        """Let a body be read: so many bytes of the connection and no more."""
        self._body_bytes_left = max_bytes

    def chunk(self, size_hint: int | None = None) -> bytes:
        """Return what comes of a body; gunicorn's readers ask for it. Raises LimitRequestHeaders
        beyond what may be read, which is nothing while a head is parsed.
        """
        if self._body_bytes_left <= 0:
            raise LimitRequestHeaders("more than is read of a request")
        # What is there already is received without a wait.
        gevent.sleep(0)
        data: bytes = super().chunk(size_hint)
        self._body_bytes_left -= len(data)
        return data

    def _gather(self, data: bytearray) -> bytes:
        searched = 0
        while len(data) < MAX_HEAD_BYTES and not _END_OF_HEAD.search(data, searched):
            searched = max(0, len(data) - _LONGEST_END + 1)
            received = self._receive(min(READ_BYTES, MAX_HEAD_BYTES - len(data)))
            if not received:
                raise StopIteration
            data += received
        return bytes(data)

    def _receive(self, size: int) -> bytes:
        # To ask the socket before the loop would be a call more for each request.
        self._hub.wait(self._is_readable)
        received: bytes = self.sock.recv(size)
        return received

    def close(self) -> None:
        """End the use of the loop's watcher."""
        self._is_readable.close()
