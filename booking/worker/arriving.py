"""How the worker waits for what a client sends."""

from __future__ import annotations

from typing import Any

import gevent
from gevent.socket import wait
from greenlet import greenlet

# As much as gunicorn reads at a time.
READ_BYTES = 8192
_READABLE = 1


class IdleTooLong(Exception):
    """The client has sent no whole head of a request in time."""


class Idleness:
    """While it is entered the connection of this greenlet waits for its client, among the ``idle``
    ones, and for so many seconds at most: then it raises IdleTooLong.
    """

    def __init__(self, idle: set[greenlet], seconds: float) -> None:
        self._idle = idle
        self._this = gevent.getcurrent()
        self._timeout = gevent.Timeout(seconds, IdleTooLong)

    def __enter__(self) -> None:
        self._idle.add(self._this)
        self._timeout.start()

    def __exit__(self, *_error: object) -> None:
        self._timeout.cancel()
        self._idle.discard(self._this)

    def close(self) -> None:
        """End the use of the loop's timer."""
        self._timeout.close()


class Arrivals:
    """What comes on a connection. Whoever asks gives way: others get their turn, whatever a client
    has sent ahead.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._is_readable = gevent.get_hub().loop.io(client.fileno(), _READABLE)

    def next_bytes(self, unreader: Any) -> bytes:
        """Return what was read ahead, or what comes. StopIteration where nothing will."""
        data: bytes = unreader.take_buffered()
        if data:
            gevent.sleep(0)
            return data
        # To ask the socket before the loop would be a call more for each request.
        wait(self._is_readable)
        data = self._client.recv(READ_BYTES)
        if not data:
            raise StopIteration
        return data

    def close(self) -> None:
        """End the use of the loop's watcher."""
        self._is_readable.close()
