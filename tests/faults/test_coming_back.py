"""Coming back: after a worker's death the server is whole again, by itself and within 2 seconds."""

from __future__ import annotations

import time

from tests.faults.chaos.server import ChaosServer, chaos_server

WHOLE_SECONDS = 2.0
PATIENCE_SECONDS = 30.0
WORKERS = 2
# The machine may be busy with other tests at one time, but hardly each time.
DEATHS = 3


def die_and_come_back(server: ChaosServer) -> float:
    """Kill the oldest worker; return in how many seconds as many serve as before."""
    before = server.workers()
    killed = time.monotonic()
    before[0].kill()
    seconds = server.wait_until_whole(killed, PATIENCE_SECONDS)
    assert seconds is not None
    assert before[0] not in server.workers()
    assert before[1] in server.workers()
    return seconds


def test_worker_that_died_is_replaced(database_url: str) -> None:
    with chaos_server(database_url, WORKERS) as server:
        took: list[float] = []
        while not took or (took[-1] > WHOLE_SECONDS and len(took) < DEATHS):
            took.append(die_and_come_back(server))
    assert min(took) <= WHOLE_SECONDS
