"""Connecting takes its time: those who need no new connection do not wait for those who do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial

import pytest

from booking.app import create_services
from booking.db import connection
from booking.db.pool import ConnectionPool
from tests.support.factories import make_config
from tests.support.proxy import TcpProxy
from tests.support.sessions import wait_until
from tests.support.threads import PATIENCE_SECONDS, background, result

POOL_SIZE = 2


@pytest.fixture
def pool(proxied_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[ConnectionPool]:
    """A pool with one idle connection and room for another, behind ``database_proxy``."""
    monkeypatch.setitem(connection._REACHING, "connect_timeout", PATIENCE_SECONDS)
    made = create_services(
        make_config(
            database_url=proxied_url,
            db_pool_size=POOL_SIZE,
            db_pool_timeout_seconds=PATIENCE_SECONDS,
        )
    ).pool
    ask(made)
    yield made
    made.close()


def ask(pool: ConnectionPool) -> None:
    with pool.connection() as conn, conn.cursor() as cursor:
        cursor.execute("SELECT 1")


def are_waiting(pool: ConnectionPool, number: int) -> bool:
    return len(pool._permits._waiting) == number


def test_slow_connect_keeps_nobody_from_what_is_there(
    pool: ConnectionPool, database_proxy: TcpProxy
) -> None:
    rounds = 3
    database_proxy.delay_new_connections(PATIENCE_SECONDS)
    with background() as start:
        with pool.connection():
            slow = start(partial(ask, pool))
            wait_until(lambda: database_proxy.held == 1, "the slow connect")
        for _ in range(rounds):
            # Taken and given back while the other one is still being opened.
            ask(pool)
            assert not slow.done()
        database_proxy.delay_new_connections(0)
        result(slow)


def test_what_comes_back_during_a_slow_connect_goes_to_who_waits_first(
    pool: ConnectionPool, database_proxy: TcpProxy
) -> None:
    order: list[int] = []
    lent, comes_back = threading.Event(), threading.Event()

    def lend() -> None:
        with pool.connection():
            lent.set()
            assert comes_back.wait(PATIENCE_SECONDS)

    def wait_for_one(number: int) -> None:
        with pool.connection():
            order.append(number)

    database_proxy.delay_new_connections(PATIENCE_SECONDS)
    with background() as start:
        lender = start(lend)
        assert lent.wait(PATIENCE_SECONDS)
        slow = start(partial(ask, pool))
        wait_until(lambda: database_proxy.held == 1, "the slow connect")
        waiting = []
        for number in range(3):
            waiting.append(start(partial(wait_for_one, number)))
            wait_until(partial(are_waiting, pool, number + 1), "who waits")
        comes_back.set()
        for future in (lender, *waiting):
            result(future)
        assert not slow.done()
        database_proxy.delay_new_connections(0)
        result(slow)
    assert order == [0, 1, 2]
