"""How the worker waits for what a client sends."""

from __future__ import annotations

import time
from typing import Any

import gevent
from greenlet import greenlet

# As much as gunicorn reads at a time.
READ_BYTES = 8192
_READABLE = 1


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


class Arrivals:
    """What comes on a connection. Whoever asks gives way: others get their turn, whatever a client
    has sent ahead.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._hub = gevent.get_hub()
        self._is_readable = self._hub.loop.io(client.fileno(), _READABLE)

    def next_bytes(self, unreader: Any) -> bytes:
        """Return what was read ahead, or what comes. StopIteration where nothing will."""
        data: bytes = unreader.take_buffered()
        if data:
            gevent.sleep(0)
            return data
        # To ask the socket before the loop would be a call more for each request.
        self._hub.wait(self._is_readable)
        data = self._client.recv(READ_BYTES)
        if not data:
            raise StopIteration
        return data

    def close(self) -> None:
        """End the use of the loop's watcher."""
        self._is_readable.close()
