"""Sends a response in as few calls as it takes: mostly one."""

from __future__ import annotations

from typing import Any

# A larger response is not put together: it would be held twice, and for as long as a client takes
# to take it, where what it is made of may be shared by all.
GATHERED_BYTES = 64 * 1024


def send(client: Any, response: bytes) -> None:
    """Send a whole response on a socket."""
    # sendall() asks for the size of the socket's buffer, and almost always one call sends all.
    sent = client.send(response)
    if sent < len(response):
        client.sendall(memoryview(response)[sent:])


class GatheredSends:
    """The socket of a client for one response: gunicorn sends head and body by themselves, and here
    both wait for ``flush``. What is sent by other means goes out at once.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._parts: list[bytes] = []

    def sendall(self, data: bytes) -> None:
        """Keep what is to be sent."""
        self._parts.append(data)

    def sendfile(self, *arguments: Any, **options: Any) -> Any:
        """Send a file, behind what was kept."""
        self.flush()
        return self._client.sendfile(*arguments, **options)

    def flush(self) -> None:
        """Send what was kept."""
        if self._parts:
            parts, self._parts = self._parts, []
            if sum(map(len, parts)) <= GATHERED_BYTES:
                parts = [b"".join(parts)]
            for part in parts:
                send(self._client, part)

    def close(self) -> None:
        """Close the socket; what was kept is part of an answer that failed."""
        self._parts.clear()
        self._client.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)
