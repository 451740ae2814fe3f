"""Several servers in one connection string, of which the first lets nobody in, nor refuses."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg2
import pytest
from psycopg2.extensions import make_dsn, parse_dsn

from booking.db.connection import CONNECT_TIMEOUT_SECONDS
from booking.db.hosts import Hosts
from booking.db.migrations import migrate
from tests.support.apps import Api, api_over_http
from tests.support.rows import read_slot
from tests.support.servers import LiveServer
from tests.support.threads import at_once

CONNECTIONS = 4
# Beside the one that is given to the server that says nothing.
SLACK_SECONDS = 2.0


@contextmanager
def silent_server(host: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """Listen and never accept: a stopped process, whose kernel answers for it."""
    with socket.create_server((host, port)) as listener:
        yield listener.getsockname()[1]


def behind(port: int, url: str) -> str:
    """Return the address of a database, with a server on another port before it."""
    real = parse_dsn(url)
    return make_dsn(url, host=f"127.0.0.1,{real['host']}", port=f"{port},{real['port']}")


def book_all_at_once(api: Api, slot_id: str) -> list[int]:
    return [answer.status for answer in at_once([lambda: api.book(slot_id)] * CONNECTIONS)]


def test_first_of_two_hosts_is_frozen(database_url: str) -> None:
    with (
        silent_server() as port,
        LiveServer(behind(port, database_url), WEB_CONCURRENCY=1).serving(
            wait_for="/health"
        ) as server,
    ):
        api = api_over_http(server.base_url)
        began = time.monotonic()
        slot_id = api.create_slot(total_capacity=100)
        at_first = time.monotonic() - began
        began = time.monotonic()
        # As many at once as make it open more connections.
        statuses = book_all_at_once(api, slot_id)
        afterwards = time.monotonic() - began
    assert statuses == [201] * CONNECTIONS
    assert at_first < CONNECT_TIMEOUT_SECONDS + SLACK_SECONDS
    assert afterwards < CONNECT_TIMEOUT_SECONDS
    assert read_slot(database_url, slot_id).remaining == 100 - CONNECTIONS


def test_migrations_go_past_a_frozen_host(new_database: Callable[..., str]) -> None:
    with silent_server() as port:
        began = time.monotonic()
        assert migrate(behind(port, new_database()), patience_seconds=0) == []
        assert time.monotonic() - began < CONNECT_TIMEOUT_SECONDS + SLACK_SECONDS


def test_name_of_two_addresses_of_which_the_first_is_frozen(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(parse_dsn(database_url)["port"])

    def resolve(name: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        assert name == "db.test"
        return [(0, 0, 0, "", (address, 0)) for address in ("127.0.0.2", "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    hosts = Hosts(make_dsn(database_url, host="db.test"))
    with silent_server("127.0.0.2", port):
        for limit in (CONNECT_TIMEOUT_SECONDS + SLACK_SECONDS, CONNECT_TIMEOUT_SECONDS):
            began = time.monotonic()
            conn = hosts.connect(connect_timeout=CONNECT_TIMEOUT_SECONDS)
            assert time.monotonic() - began < limit
            assert (conn.info.host, conn.info.port) == ("db.test", port)
            conn.close()


def test_what_each_host_said_is_told() -> None:
    with silent_server() as port:
        url = make_dsn("", host="127.0.0.1,nowhere.invalid", port=f"{port},1", user="booking")
        with pytest.raises(psycopg2.OperationalError) as caught:
            Hosts(url).connect(connect_timeout=2)
    first, second = str(caught.value).split("; ")
    assert f"port {port} failed: timeout expired" in first
    assert "nowhere.invalid" in second
