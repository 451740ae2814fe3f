"""The real server of a run and its workers, each known by its process."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psutil

from tests.support.servers import LiveServer

PROBES_AT_ONCE = 8
PROBE_SECONDS = 0.25
_PROBE = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


class ChaosServer:
    """gunicorn, whose master and workers the faults are aimed at."""

    def __init__(self, live: LiveServer, workers: int) -> None:
        self._live = live
        self.workers_wanted = workers

    @property
    def port(self) -> int:
        """The port that it listens on, the same after a restart."""
        return self._live.port

    @property
    def master(self) -> psutil.Process:
        """The master's process. Raises LookupError where it has ended."""
        process = self._live.process
        if process is None or process.poll() is not None:
            raise LookupError("the server has ended")
        return psutil.Process(process.pid)

    def workers(self) -> list[psutil.Process]:
        """Return the workers there are, oldest first."""
        return sorted(self.master.children(), key=lambda worker: worker.create_time())

    def start(self) -> None:
        """Start it; return when it serves."""
        self._live.start(wait_for="/health")

    def stop(self) -> int:
        """End it by SIGTERM and return its exit code."""
        return self._live.stop()

    def log(self) -> str:
        """Return all that it logged."""
        return self._live.log()

    def serving_workers(self) -> set[int]:
        """Return the ids of workers that answer a request which is sent now, some at least."""
        with closing(_Probes(self.port)) as probes:
            ports = probes.answered_ports()
            return {
                worker.pid
                for worker in self.workers()
                for connection in _connections(worker)
                if connection.raddr and connection.raddr.port in ports
            }

    def wait_until_whole(self, since: float, seconds: float) -> float | None:
        """Wait until as many workers as there should be serve, each seen to answer by itself.

        Returns how many seconds after ``since`` that was, None where it was not within ``seconds``.
        """
        serving: set[int] = set()
        while time.monotonic() - since < seconds:
            there = {worker.pid for worker in self.workers()}
            serving = (serving | self.serving_workers()) & there
            if len(serving) == len(there) == self.workers_wanted:
                return time.monotonic() - since
        return None


class _Probes:
    """Requests of /health at once, on connections kept open, so that one sees whose they are."""

    def __init__(self, port: int) -> None:
        self._sockets = []
        for _ in range(PROBES_AT_ONCE):
            try:
                probe = socket.create_connection(("127.0.0.1", port), timeout=PROBE_SECONDS)
            except OSError:
                break
            self._sockets.append(probe)

    def answered_ports(self) -> set[int]:
        """Return the local ports of the connections on which an answer came in time."""
        answered: set[int] = set()
        with selectors.DefaultSelector() as selector:
            for probe in self._sockets:
                probe.sendall(_PROBE)
                selector.register(probe, selectors.EVENT_READ, data=probe)
            deadline = time.monotonic() + PROBE_SECONDS
            while selector.get_map() and (left := deadline - time.monotonic()) > 0:
                for key, _ in selector.select(left):
                    selector.unregister(key.fileobj)
                    if _is_ok(key.data):
                        answered.add(key.data.getsockname()[1])
        return answered

    def close(self) -> None:
        for probe in self._sockets:
            probe.close()


def _is_ok(probe: socket.socket) -> bool:
    try:
        return probe.recv(4096).startswith(b"HTTP/1.1 200 ")
    except OSError:
        return False


def _connections(worker: psutil.Process) -> list[Any]:
    try:
        return list(worker.net_connections("tcp4"))
    except psutil.NoSuchProcess:
        return []


@contextmanager
def chaos_server(database_url: str, workers: int, **settings: Any) -> Iterator[ChaosServer]:
    """Run the server for the length of the block; ``settings`` are environment variables."""
    with LiveServer(database_url, WEB_CONCURRENCY=workers, **settings) as live:
        yield ChaosServer(live, workers)
