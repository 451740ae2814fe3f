"""The processes of a server under test, and the backends that work for them."""

from __future__ import annotations

import psutil

from tests.support.servers import LiveServer
from tests.support.snapshots import query


def workers_of(server: LiveServer) -> set[psutil.Process]:
    """Return the workers there are."""
    assert server.process is not None
    return set(psutil.Process(server.process.pid).children())


def worker_behind(server: LiveServer, url: str, backend: int) -> psutil.Process:
    """Return the worker whose connection a backend serves."""
    [(port,)] = query(url, "SELECT client_port FROM pg_stat_activity WHERE pid = %s", backend)
    [worker] = [
        worker
        for worker in workers_of(server)
        if any(connection.laddr.port == port for connection in worker.net_connections("tcp"))
    ]
    return worker


def is_alive(url: str, backend: int) -> bool:
    """Tell whether a backend is there."""
    return bool(query(url, "SELECT 1 FROM pg_stat_activity WHERE pid = %s", backend))
