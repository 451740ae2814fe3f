"""Bytes to a server and back, as no client library sends them."""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import dataclass

PATIENCE_SECONDS = 20


@dataclass(frozen=True)
class RawAnswer:
    """The first answer on a connection; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes
    received: bytes


def request_bytes(method: str, target: str, *headers: str, body: bytes = b"") -> bytes:
    """Return a request that closes its connection."""
    lines = [
        f"{method} {target} HTTP/1.1",
        "Host: localhost",
        "Connection: close",
        *headers,
        "",
        "",
    ]
    return "\r\n".join(lines).encode("latin-1") + body


def exchange(port: int, request: bytes) -> RawAnswer:
    """Send bytes as they are and read until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as connection:
        # Refused before all of it was read, the answer is there all the same.
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(request)
        received = b""
        with suppress(ConnectionResetError):
            while chunk := connection.recv(65_536):
                received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return RawAnswer(
        int(status.split()[1]),
        {name.lower(): value for name, value in headers.items()},
        body,
        received,
    )
