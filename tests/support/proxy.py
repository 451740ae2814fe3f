"""A TCP proxy before a server: it passes everything on, delays it, loses replies, or cuts."""

from __future__ import annotations

import ctypes
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

CHUNK_BYTES = 65_536
# SO_LINGER with no time to linger: close() sends a reset and not an orderly end.
RESET = struct.pack("ii", 1, 0)
# Linux, socket(7): a filter of one instruction, "return 0", drops all that comes before it is
# acknowledged, as if nobody were there.
SO_ATTACH_FILTER = 26
DROP_ALL = struct.pack("HBBI", 0x06, 0, 0, 0)


class _Link:
    """A client's connection and the one to the server that was made for it."""

    def __init__(
        self, client: socket.socket, server: socket.socket, *, delay_seconds: float
    ) -> None:
        self.client = client
        self.server = server
        self.delay_seconds = delay_seconds
        self.loses_reply = False
        self._is_reset = False
        self._lock = threading.Lock()
        self._ways_open = 2

    def end_way(self, sink: socket.socket) -> bool:
        """Pass one side's orderly end on; return whether both sides have ended by now."""
        with self._lock:
            if self._is_reset:
                return False
            with suppress(OSError):
                sink.shutdown(socket.SHUT_WR)
            self._ways_open -= 1
            return self._ways_open == 0

    def close(self) -> None:
        self.client.close()
        self.server.close()

    def reset(self) -> None:
        with self._lock:
            self._is_reset = True
        _reset(self.client)
        _reset(self.server)


class TcpProxy:
    """Listens on a free port of loopback and forwards to one address."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._links: set[_Link] = set()
        self._threads: list[threading.Thread] = []
        self._loses_replies = False
        self._delay_seconds = 0.0
        self._undelayed = threading.Event()
        self._beginning_delay_seconds = 0.0
        self._beginning = threading.Event()
        self.held = 0
        self.lost_bytes = 0
        self.lost_replies = 0
        self.delayed_chunks = 0
        self._spawn(self._accept)

    def lose_replies(self, *, lose: bool = True) -> None:
        """Forward what a client sends; when the reply comes, reset the client's connection."""
        self._loses_replies = lose

    def lose_next_replies(self) -> int:
        """Do so for the next reply of each connection that there is; return how many these are."""
        with self._lock:
            for link in self._links:
                link.loses_reply = True
            return len(self._links)

    def spare_replies(self) -> None:
        """Take back what ``lose_next_replies`` has said of connections still without a reply."""
        with self._lock:
            for link in self._links:
                link.loses_reply = False

    def delay(self, seconds: float) -> None:
        """Hold each piece of data so long before it is passed on, both ways; 0: no longer."""
        self._delay_seconds = seconds
        if seconds:
            self._undelayed.clear()
        else:
            self._undelayed.set()

    def delay_new_connections(self, seconds: float) -> None:
        """Accept a connection, and pass nothing of it on for so long; 0: those held go on too."""
        self._beginning_delay_seconds = seconds
        if seconds:
            self._beginning.clear()
        else:
            self._beginning.set()

    def lead_to(self, host: str, port: int) -> None:
        """Forward new connections to another address; those that there are stay where they are."""
        self._upstream = (host, port)

    def cut(self) -> int:
        """Reset every connection, both ways; return how many there were."""
        with self._lock:
            links, self._links = self._links, set()
        for link in links:
            link.reset()
        return len(links)

    def vanish(self) -> int:
        """Let no connection be answered any more, nor closed, as where a machine lost its power;
        return how many there are. New ones are served. Linux only.
        """
        instruction = ctypes.create_string_buffer(DROP_ALL)
        program = struct.pack("HP", 1, ctypes.addressof(instruction))
        with self._lock:
            for link in self._links:
                link.client.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
            return len(self._links)

    def close(self) -> None:
        """Stop listening, cut everything and wait until no thread is left."""
        # Closing alone does not wake a thread that waits in accept().
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.delay(0)
        self.delay_new_connections(0)
        self.cut()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    def _spawn(self, run: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads = [each for each in self._threads if each.is_alive()]
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
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = _Link(client, server, delay_seconds=self._beginning_delay_seconds)
            with self._lock:
                self._links.add(link)
                self.held += bool(link.delay_seconds)
            self._spawn(self._send_requests, link)
            self._spawn(self._send_replies, link)

    def _send_requests(self, link: _Link) -> None:
        self._pump(link, link.client, link.server, lambda _size: False)

    def _send_replies(self, link: _Link) -> None:
        def is_lost(size: int) -> bool:
            if not (self._loses_replies or link.loses_reply):
                return False
            with self._lock:
                self.lost_bytes += size
                self.lost_replies += 1
            return True

        self._pump(link, link.server, link.client, is_lost)

    def _pump(
        self,
        link: _Link,
        source: socket.socket,
        sink: socket.socket,
        is_lost: Callable[[int], bool],
    ) -> None:
        try:
            if link.delay_seconds:
                self._beginning.wait(link.delay_seconds)
            while chunk := source.recv(CHUNK_BYTES):
                if is_lost(len(chunk)):
                    self._forget(link, _Link.reset)
                    return
                if self._delay_seconds:
                    with self._lock:
                        self.delayed_chunks += 1
                    self._undelayed.wait(self._delay_seconds)
                sink.sendall(chunk)
        except OSError:
            self._forget(link, _Link.reset)
            return
        if link.end_way(sink):
            self._forget(link, _Link.close)

    def _forget(self, link: _Link, end: Callable[[_Link], None]) -> None:
        with self._lock:
            is_mine = link in self._links
            self._links.discard(link)
        if is_mine:
            end(link)


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
