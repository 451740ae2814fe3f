"""Idle pooled connections cut by the server or on the way: the next request succeeds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import Future

import pytest

from booking.db import connection
from tests.concurrency.races import queue_for_slot
from tests.support.apps import Answer, Api, running_app
from tests.support.proxy import TcpProxy
from tests.support.rows import read_slot
from tests.support.sessions import holding, terminate, wait_until
from tests.support.snapshots import query
from tests.support.threads import at_once, background, result, results

CONNECTIONS = 6


def open_connections(api: Api, url: str) -> str:
    """Have that many connections of the pool in use at once; return the id of a slot."""
    slot_id = api.create_slot(total_capacity=100)
    bookings = queue_for_slot(url, slot_id, [lambda: api.book(slot_id)] * CONNECTIONS)
    assert {booking.status for booking in bookings} == {201}
    return slot_id


def backends_of(url: str, others: set[int]) -> set[int]:
    rows = query(
        url,
        "SELECT pid FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name = 'booking'",
    )
    return {pid for (pid,) in rows} - others


def test_server_ends_every_idle_connection(
    start_api: Callable[..., Api], database_url: str
) -> None:
    others = backends_of(database_url, set())
    api = start_api(db_pool_size=CONNECTIONS)
    slot_id = open_connections(api, database_url)
    backends = backends_of(database_url, others)
    assert len(backends) == CONNECTIONS
    for backend in backends:
        terminate(database_url, backend)

    answers = at_once([lambda: api.book(slot_id)] * (2 * CONNECTIONS))

    assert [answer.status for answer in answers] == [201] * (2 * CONNECTIONS)
    assert read_slot(database_url, slot_id).remaining == 100 - 3 * CONNECTIONS
    assert not backends_of(database_url, others) & backends


def test_proxy_cuts_every_idle_connection(
    database_url: str, proxied_url: str, database_proxy: TcpProxy
) -> None:
    with running_app(proxied_url, db_pool_size=CONNECTIONS) as api:
        slot_id = open_connections(api, database_url)
        database_proxy.cut()

        answers = at_once([lambda: api.book(slot_id)] * (2 * CONNECTIONS))

        assert [answer.status for answer in answers] == [201] * (2 * CONNECTIONS)
    assert read_slot(database_url, slot_id).remaining == 100 - 3 * CONNECTIONS


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux drops what a socket receives")
def test_server_vanishes_behind_every_idle_connection(
    database_url: str,
    proxied_url: str,
    database_proxy: TcpProxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "UNACKNOWLEDGED_SECONDS", 1)
    with running_app(proxied_url, db_pool_size=CONNECTIONS) as api:
        slot_id = open_connections(api, database_url)
        assert database_proxy.vanish() == CONNECTIONS

        # As many as there are connections, so that each is tried.
        works = [lambda: api.get_slot(slot_id), lambda: api.book(slot_id)] * (CONNECTIONS // 2)
        with background() as start:
            futures: list[Future[Answer]] = [start(work) for work in works]
            try:
                wait_until(lambda: all(each.done() for each in futures), "every answer")
            finally:
                database_proxy.cut()
        answers = results(futures)
        again = at_once([lambda: api.book(slot_id)] * (2 * CONNECTIONS))

        assert [(answer.status, answer.code) for answer in answers] == [
            (200, None),
            (503, "OUTCOME_UNKNOWN"),
        ] * (CONNECTIONS // 2)
        assert [answer.status for answer in again] == [201] * (2 * CONNECTIONS)
    assert read_slot(database_url, slot_id).remaining == 100 - 3 * CONNECTIONS


@pytest.mark.parametrize(("cuts", "status"), [(1, 200), (2, 503)])
def test_read_that_is_cut_is_done_once_more(
    api: Api, database_url: str, cuts: int, status: int
) -> None:
    slot_id = api.create_slot()

    with (
        background() as start,
        holding(database_url, "LOCK TABLE slots IN ACCESS EXCLUSIVE MODE") as holder,
    ):
        future: Future[Answer] = start(lambda: api.get_slot(slot_id))
        for _ in range(cuts):
            [backend] = holder.wait_for_waiters()
            terminate(database_url, backend)
        if status == 200:
            holder.wait_for_waiters()
        else:
            answer = result(future)
        holder.rollback()
        answer = result(future)

    assert answer.status == status
    assert answer.code == (None if status == 200 else "DATABASE_UNAVAILABLE")
    assert api.get_slot(slot_id).status == 200
