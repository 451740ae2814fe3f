"""Another server leads, or the same one takes writes again: nothing of the time before stays."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing

import psycopg2
import pytest
from psycopg2.extensions import make_dsn

from booking.db.connection import pool_parameters
from booking.db.hosts import Hosts
from booking.db.migrations import migrate
from booking.embedded.layout import ADDRESS
from tests.faults.replication import Pair, address
from tests.proxies.pgbouncer import pgbouncer
from tests.support.apps import Answer, Api, api_over_http, running_app
from tests.support.proxy import tcp_proxy
from tests.support.rows import read_slot
from tests.support.servers import LiveServer
from tests.support.sessions import wait_until
from tests.support.snapshots import query, violations_of
from tests.support.threads import at_once

# What is promised once a server that takes writes is reached.
SERVED_SECONDS = 2.0
POLL_SECONDS = 0.05
CONNECTIONS = 4

OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


def wait_for_success(since: float, act: Callable[[], Answer]) -> None:
    """Ask until it succeeds, which it must within what is promised, counted from ``since``."""
    while (answer := act()).status == 503 and time.monotonic() < since + SERVED_SECONDS:
        time.sleep(POLL_SECONDS)
    assert answer.status in {200, 201}, answer.body


def end_others(url: str) -> None:
    query(url, f"SELECT pg_terminate_backend(pid) {OTHERS}")
    wait_until(lambda: query(url, f"SELECT count(*) {OTHERS}") == [(0,)], "the end of all others")


def wait_out_promise(since: float) -> None:
    """Each worker, and each of its connections, finds out for itself: wait until all have to."""
    time.sleep(max(0.0, since + SERVED_SECONDS - time.monotonic()))


def book_all_at_once(api: Api, slot_id: str) -> set[tuple[int, str | None]]:
    answers = at_once([lambda: api.book(slot_id)] * (2 * CONNECTIONS))
    return {(answer.status, answer.code) for answer in answers}


def assert_takes_no_writes(api: Api, slot_id: str) -> None:
    assert book_all_at_once(api, slot_id) == {(503, "DATABASE_UNAVAILABLE")}
    not_ready = api.get_readiness()
    assert (not_ready.status, not_ready.code) == (503, "NOT_READY")
    assert "takes no writes" in not_ready.body["detail"]


def test_database_that_took_no_writes_for_a_while(
    new_database: Callable[..., str], server_url: str
) -> None:
    url = new_database()
    [(name,)] = query(url, "SELECT quote_ident(current_database())")
    with running_app(url, db_pool_size=CONNECTIONS) as api:
        slot_id = api.create_slot(total_capacity=100)
        query(url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        end_others(url)
        assert_takes_no_writes(api, slot_id)
        assert api.get_slot(slot_id).status == 200

        query(server_url, f"ALTER DATABASE {name} RESET default_transaction_read_only")
        since = time.monotonic()
        wait_for_success(since, api.get_readiness)
        wait_for_success(since, lambda: api.book(slot_id))
        wait_out_promise(since)
        assert book_all_at_once(api, slot_id) == {(201, None)}


def test_several_hosts_lead_to_the_one_that_takes_writes(pair: Pair) -> None:
    ports = f"{pair.standby.port},{pair.primary.port}"
    both = make_dsn(pair.primary.url, host=f"{ADDRESS},{ADDRESS}", port=ports)
    with closing(Hosts(make_dsn(both, target_session_attrs="any")).connect()) as conn:
        assert conn.info.port == pair.standby.port
    with pytest.raises(psycopg2.OperationalError, match="read-only"):
        Hosts(make_dsn(pair.standby.url, target_session_attrs="read-write")).connect()
    assert migrate(both, patience_seconds=0) == []
    with LiveServer(both, DB_POOL_SIZE=CONNECTIONS) as server:
        api = api_over_http(server.base_url)
        slot_id = api.create_slot(total_capacity=1000)
        assert book_all_at_once(api, slot_id) == {(201, None)}
        pair.wait_for_stream()
        pair.demote()
        assert book_all_at_once(api, slot_id) == {(503, "DATABASE_UNAVAILABLE")}
        pair.promote()
        since = time.monotonic()
        wait_for_success(since, lambda: api.book(slot_id))
        wait_out_promise(since)
        assert book_all_at_once(api, slot_id) == {(201, None)}


def test_what_a_pooler_goes_on_to_report_is_not_believed(pair: Pair) -> None:
    parameters = pool_parameters(statement_timeout_ms=5000, lock_timeout_ms=2000)
    with (
        tcp_proxy(ADDRESS, pair.standby.port) as proxy,
        pgbouncer(
            address(proxy.port), role_url=address(pair.primary.port), auth_type="trust"
        ) as url,
    ):
        hosts = Hosts(url)
        with closing(hosts.connect(**parameters)) as conn:
            assert conn.is_read_only
        proxy.lead_to(ADDRESS, pair.primary.port)
        proxy.cut()
        with closing(hosts.connect(**parameters)) as conn:
            assert conn.info.parameter_status("in_hot_standby") == "on"
            assert not conn.is_read_only


def test_sessions_stay_on_a_server_that_no_longer_leads(pair: Pair) -> None:
    """There and back behind a proxy that ends nothing, as HAProxy without shutdown-sessions."""
    with (
        tcp_proxy(ADDRESS, pair.primary.port) as proxy,
        LiveServer(address(proxy.port), DB_POOL_SIZE=CONNECTIONS) as server,
    ):
        api = api_over_http(server.base_url)
        slot_id = api.create_slot(total_capacity=1000)
        for _ in range(2):
            assert book_all_at_once(api, slot_id) == {(201, None)}
            pair.wait_for_stream()
            pair.demote()
            # The proxy has not noticed: what connects now reaches a server that does not lead.
            assert_takes_no_writes(api, slot_id)
            assert api.get_slot(slot_id).status == 200
            proxy.lead_to(ADDRESS, pair.standby.port)
            pair.promote()
            since = time.monotonic()
            wait_for_success(since, lambda: api.book(slot_id))
            wait_out_promise(since)
            assert api.get_readiness().status == 200
        assert book_all_at_once(api, slot_id) == {(201, None)}
    assert violations_of(pair.primary.url) == {}
    assert read_slot(pair.primary.url, slot_id).remaining < 1000
