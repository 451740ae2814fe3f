"""A synchronous standby is frozen: every commit waits for it, and nothing can be booked."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.faults.replication import Pair
from tests.support.apps import Answer, Api, api_over_http
from tests.support.servers import LiveServer
from tests.support.sessions import wait_until
from tests.support.snapshots import query
from tests.support.threads import background, results

# In which a probe is told, and the server is ready again.
TOLD_SECONDS = 4.0
PROBES = 30

WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@pytest.fixture
def synchronous_pair(pair: Pair) -> Iterator[Pair]:
    """The two servers, the standby being one that commits wait for."""
    set_standby_names(pair, "*")
    wait_until(
        lambda: (
            query(pair.primary.url, "SELECT sync_state FROM pg_stat_replication") == [("sync",)]
        ),
        "the synchronous standby",
    )
    yield pair
    set_standby_names(pair, "")


def set_standby_names(pair: Pair, names: str) -> None:
    query(pair.primary.url, f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
    query(pair.primary.url, "SELECT pg_reload_conf()")


@contextmanager
def frozen(pair: Pair) -> Iterator[None]:
    """Stop the process that receives what the primary writes."""
    [(receiver,)] = query(pair.standby.url, "SELECT pid FROM pg_stat_wal_receiver")
    os.kill(receiver, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(receiver, signal.SIGCONT)


def waiting(pair: Pair) -> int:
    return len(query(pair.primary.url, WAITING))


def ask_until_ready(api: Api) -> Answer:
    deadline = time.monotonic() + TOLD_SECONDS
    while (answer := api.get_readiness()).status == 503 and time.monotonic() < deadline:
        time.sleep(0.05)
    return answer


@pytest.mark.parametrize("statement_ms", [5000, 500])
def test_server_is_not_ready_while_commits_are_not_answered(
    synchronous_pair: Pair, statement_ms: int
) -> None:
    settings = {
        "WEB_CONCURRENCY": 1,
        "DB_STATEMENT_TIMEOUT_MS": statement_ms,
        "DB_LOCK_TIMEOUT_MS": statement_ms // 2,
    }
    with LiveServer(synchronous_pair.primary.url, **settings) as server:
        api = api_over_http(server.base_url)
        slot_id = api.create_slot(total_capacity=5)
        with frozen(synchronous_pair):
            began = time.monotonic()
            not_ready = api.get_readiness()
            seconds = time.monotonic() - began
        ready = ask_until_ready(api)
        booked = api.book(slot_id)
    assert (not_ready.status, not_ready.code) == (503, "NOT_READY")
    assert "commit" in not_ready.body["detail"]
    assert seconds < TOLD_SECONDS
    assert (ready.status, booked.status) == (200, 201)


def test_many_who_ask_cost_one_commit_at_a_time(synchronous_pair: Pair) -> None:
    with LiveServer(synchronous_pair.primary.url, WEB_CONCURRENCY=1) as server:
        api = api_over_http(server.base_url)
        with frozen(synchronous_pair), background(PROBES) as start:
            futures = [start(api.get_readiness) for _ in range(PROBES)]
            most = 0
            while not all(future.done() for future in futures):
                most = max(most, waiting(synchronous_pair))
            answers = results(futures)
            # The server gives up waiting by itself: no session is left to wait for the standby.
            wait_until(lambda: not waiting(synchronous_pair), "the end of what was waited for")
        assert ask_until_ready(api).status == 200
    assert {answer.status for answer in answers} == {503}
    assert most == 1
