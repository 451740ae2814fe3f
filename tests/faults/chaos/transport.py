"""HTTP for one client: one connection kept alive, and each way in which an answer can fail."""

from __future__ import annotations

import http.client
import select
from collections.abc import Mapping
from typing import Any

import orjson

from tests.faults.chaos.records import Failure

_HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}


class NoAnswer(Exception):
    """A request that has no readable answer; ``failure`` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.value)
        self.failure = failure


class Transport:
    """Of one thread. ``timeout`` bounds, in seconds, each wait for the server."""

    def __init__(self, port: int, timeout: float) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)

    def send(
        self, method: str, path: str, body: object, headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], Any]:
        """Return the answer's status, headers and parsed JSON. Raises NoAnswer."""
        content = None if body is None else orjson.dumps(body)
        self._connect()
        try:
            self._connection.request(method, path, content, {**_HEADERS, **headers})
            response = self._connection.getresponse()
            data = response.read()
        except TimeoutError as error:
            raise self._broken(Failure.TIMEOUT) from error
        except (OSError, http.client.HTTPException) as error:
            raise self._broken(Failure.CONNECTION_LOST) from error
        try:
            return response.status, dict(response.headers), orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise NoAnswer(Failure.UNREADABLE) from error

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        self._connection.close()

    def _connect(self) -> None:
        # As pooled HTTP clients do: what the server has closed meanwhile is not used again.
        if self._connection.sock is not None:
            poller = select.poll()
            poller.register(self._connection.sock, select.POLLIN)
            if poller.poll(0):
                self._connection.close()
        if self._connection.sock is None:
            try:
                self._connection.connect()
            except OSError as error:
                raise self._broken(Failure.NOT_SENT) from error

    def _broken(self, failure: Failure) -> NoAnswer:
        self._connection.close()
        return NoAnswer(failure)
