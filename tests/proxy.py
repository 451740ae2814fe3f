"""A TCP proxy before a server: it passes everything on, loses replies, or cuts connections."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

CHUNK_BYTES = 65_536
# SO_LINGER with no time to linger: close() sends a reset and not an orderly end.
RESET = struct.pack("ii", 1, 0)


class TcpProxy:
    """Listens on a free port of loopback and forwards to one address."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._loses_replies = False
        self.lost_bytes = 0
        self._spawn(self._accept)

    def lose_replies(self, *, lose: bool = True) -> None:
        """Forward what a client sends; when the reply comes, reset the client's connection."""
        self._loses_replies = lose

    def cut(self) -> None:
        """Reset every connection, both ways."""
        with self._lock:
            sockets, self._sockets = self._sockets, set()
        for end in sockets:
            _reset(end)

    def close(self) -> None:
        """Stop listening, cut everything and wait until no thread is left."""
        # Closing alone does not wake a thread that waits in accept().
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    def _spawn(self, run: Callable[..., None], *arguments: socket.socket) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._upstream, timeout=10)
            except OSError:
                _reset(client)
                continue
            server.settimeout(None)
            with self._lock:
                self._sockets |= {client, server}
            self._spawn(self._send_requests, client, server)
            self._spawn(self._send_replies, server, client)

    def _send_requests(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while chunk := client.recv(CHUNK_BYTES):
                server.sendall(chunk)
        self._end(client, server)

    def _send_replies(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while chunk := server.recv(CHUNK_BYTES):
                if self._loses_replies:
                    self.lost_bytes += len(chunk)
                    break
                client.sendall(chunk)
        self._end(client, server)

    def _end(self, *ends: socket.socket) -> None:
        with self._lock:
            mine = self._sockets & set(ends)
            self._sockets -= mine
        for end in mine:
            _reset(end)


def _reset(end: socket.socket) -> None:
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        # Wakes a thread that waits in recv(), which close() alone does not.
        end.shutdown(socket.SHUT_RD)
    end.close()


@contextmanager
def tcp_proxy(host: str, port: int) -> Iterator[TcpProxy]:
    """Run a proxy for the length of the block."""
    proxy = TcpProxy(host, port)
    try:
        yield proxy
    finally:
        proxy.close()
