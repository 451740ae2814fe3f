"""After the last fault: everything is healed, settled, and as good as before."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import requests

from tests.faults.chaos.postgres import outsider
from tests.faults.chaos.stage import Stage, poll
from tests.faults.chaos.violation import Violation
from tests.support.snapshots import query

CALM_SECONDS = 10.0
AUDIT_SECONDS = 120
POOL_ATTEMPTS = 5
POOL_SECONDS = 1.5
READERS_PER_CONNECTION = 4
READ_SECONDS = 20

_HERE = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
_WAITING_FOR_LOCKS = f"{_HERE} AND wait_event_type = 'Lock'"
# Longer than any request leaves one between two of its statements.
_LEFT_OPEN = f"""
{_HERE} AND state LIKE 'idle in transaction%%'
AND state_change < clock_timestamp() - interval '1 second'
"""
_PENDING = "SELECT count(*) FROM bookings WHERE status = 'PENDING'"
_BACKENDS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'booking'"
_WAITING = f"{_BACKENDS} AND wait_event_type = 'Lock'"


def heal(stage: Stage) -> None:
    """Undo what a fault may have left."""
    stage.database_proxy.heal()
    stage.client_proxy.heal()
    if stage.wal_disk:
        stage.wal_disk.free()
    if not stage.postgres.is_running():
        stage.postgres.start()
    for worker in stage.server.workers():
        worker.resume()


def find_what_did_not_heal(
    stage: Stage, *, last_fault: float, pool_size: int, swept_seconds: float
) -> Iterator[Violation]:
    """Look, ten seconds after the last fault, for what is not as before it.

    ``swept_seconds`` is how long a hold may stand, from its making until it is swept.
    """
    time.sleep(max(0.0, last_fault + CALM_SECONDS - time.monotonic()))
    url = stage.postgres.url
    yield from find_left_in_database(url)
    yield from _find_not_ready(stage)
    connections = stage.server.workers_wanted * pool_size
    [(backends,)] = query(url, _BACKENDS)
    if backends > connections:
        yield Violation(
            "pools_are_whole", f"{backends} connections, and the pools have {connections}", ()
        )
    usable = _most_usable_connections(stage, connections)
    if usable != connections:
        yield Violation(
            "pools_are_whole", f"{usable} connections of {connections} can be used at once", ()
        )
    pending: list[int] = []

    def has_none_pending() -> bool:
        pending[:] = [query(url, _PENDING)[0][0]]
        return pending == [0]

    if not poll(has_none_pending, swept_seconds):
        yield Violation(
            "lapsed_holds_are_swept", f"{pending[0]} holds stand unswept past their expiry", ()
        )


def find_left_in_database(url: str) -> Iterator[Violation]:
    """Look for sessions that wait for a lock, and for transactions that nobody ends."""
    [(waiting,)] = query(url, _WAITING_FOR_LOCKS)
    if waiting:
        yield Violation("no_lock_is_waited_for", f"{waiting} locks are waited for", ())
    [(left_open,)] = query(url, _LEFT_OPEN)
    if left_open:
        yield Violation("no_transaction_is_left_open", f"{left_open} transactions stand open", ())


def _find_not_ready(stage: Stage) -> Iterator[Violation]:
    whole = stage.server.wait_until_whole(time.monotonic(), CALM_SECONDS)
    if whole is None:
        yield Violation("server_is_whole", "not every worker serves", ())
    try:
        answer = requests.get(f"http://127.0.0.1:{stage.server.port}/ready", timeout=10)
    except requests.RequestException as error:
        yield Violation("server_is_ready", "/ready does not answer", (str(error),))
        return
    if not answer.ok:
        yield Violation("server_is_ready", f"/ready answers {answer.status_code}", (answer.text,))


def _most_usable_connections(stage: Stage, connections: int) -> int:
    """Return how many connections all workers together can be made to use at once.

    Somebody locks the slots; readers, more than there are connections, wait on all of them.
    """
    most = 0
    for _ in range(POOL_ATTEMPTS):
        most = max(most, _use_all_connections(stage, connections))
        if most >= connections:
            break
    return most


def _use_all_connections(stage: Stage, connections: int) -> int:
    slot_id = stage.traffic.hot_slots()[0]
    address = f"http://127.0.0.1:{stage.server.port}/api/slots/{slot_id}"
    readers = READERS_PER_CONNECTION * connections
    seen = [0]
    begin = threading.Barrier(readers + 1)

    def read() -> None:
        begin.wait()
        # Some are refused: they are more than there are connections.
        with suppress(requests.RequestException):
            requests.get(address, timeout=READ_SECONDS)

    with ThreadPoolExecutor(readers) as executor, outsider(stage.postgres.url) as conn:
        done = [executor.submit(read) for _ in range(readers)]
        with conn.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("LOCK TABLE slots IN ACCESS EXCLUSIVE MODE")
            begin.wait()

            def uses_all() -> bool:
                cursor.execute(_WAITING)
                seen[0] = max(seen[0], (cursor.fetchone() or [0])[0])
                return seen[0] >= connections

            poll(uses_all, POOL_SECONDS)
            cursor.execute("ROLLBACK")
        for each in done:
            each.result()
    return seen[0]


def audit(stage: Stage) -> tuple[dict[str, int], list[Violation]]:
    """Ask the server for its audit; return what each check found, and the violations."""
    address = f"http://127.0.0.1:{stage.server.port}/api/admin/audit"
    try:
        answer = requests.get(address, timeout=AUDIT_SECONDS)
        answer.raise_for_status()
    except requests.RequestException as error:
        return {}, [Violation("audit_answers", str(error), ())]
    checks = {check["name"]: check["violations"] for check in answer.json()["data"]["checks"]}
    violations = [
        Violation(f"audit: {name}", f"{found} rows", ()) for name, found in checks.items() if found
    ]
    return {f"audit: {name}": found for name, found in checks.items()}, violations
