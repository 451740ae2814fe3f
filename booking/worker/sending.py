"""Sends a response in as few calls as it takes: mostly one."""

from __future__ import annotations

from typing import Any


def send(client: Any, response: bytes) -> None:
    """Send a whole response on a socket."""
    # sendall() asks for the size of the socket's buffer, and almost always one call sends all.
    sent = client.send(response)
    if sent < len(response):
        client.sendall(response[sent:])


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
            send(self._client, b"".join(parts))

    def close(self) -> None:
        """Close the socket; what was kept is part of an answer that failed."""
        self._parts.clear()
        self._client.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)
