from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from psycopg2.extensions import make_dsn, parse_dsn

from booking.db.migrations import migrate
from tests.conftest import ROOT
from tests.faults.replication import Pair, replicated
from tests.support.factories import unique
from tests.support.proxy import TcpProxy, tcp_proxy


@pytest.fixture
def keyed() -> dict[str, str]:
    """A user, and a key of that user."""
    return {"user_id": unique("user"), "key": unique("key")}


@pytest.fixture
def database_proxy(database_url: str) -> Iterator[TcpProxy]:
    """A proxy before the database."""
    address = parse_dsn(database_url)
    with tcp_proxy(address["host"], int(address["port"])) as proxy:
        yield proxy


@pytest.fixture
def proxied_url(database_url: str, database_proxy: TcpProxy) -> str:
    """The address of this worker's database, by way of ``database_proxy``."""
    return make_dsn(database_url, host="127.0.0.1", port=database_proxy.port)


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """A migrated database on two servers, of which the second streams from the first."""
    with replicated(ROOT / ".local" / f"test-{os.getpid()}-replicated") as servers:
        migrate(servers.primary.url)
        yield servers
