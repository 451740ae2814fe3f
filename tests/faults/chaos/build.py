"""Builds what a run consists of: PostgreSQL, the server, both proxies and the clients."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from psycopg2.extensions import make_dsn, parse_dsn

from booking.db.migrations import migrate
from tests.faults.chaos.disk import SmallDisk
from tests.faults.chaos.options import Options
from tests.faults.chaos.postgres import chaos_postgres
from tests.faults.chaos.proxies import proxy_to
from tests.faults.chaos.server import chaos_server
from tests.faults.chaos.stage import Stage
from tests.faults.chaos.traffic import TrafficOptions, traffic

WAL_DISK_BYTES = 256 * 1_048_576
HOLD_TTL_SECONDS = 2.0
SWEEP_SECONDS = 0.5
POOL_SIZE = 4
SERVER_SETTINGS = {
    "APP_ENV": "development",
    "AUTH_MODE": "open",
    "DB_POOL_SIZE": POOL_SIZE,
    # Less than the lock timeout: those who wait for a connection give up before those who have one.
    "DB_POOL_TIMEOUT_SECONDS": 1,
    "EXPIRY_INTERVAL_SECONDS": SWEEP_SECONDS,
    "HOLD_TTL_SECONDS": HOLD_TTL_SECONDS,
    "LOG_LEVEL": "warning",
}


@contextmanager
def build_stage(
    options: Options, directory: Path, history: Path, wal_disk: SmallDisk | None
) -> Iterator[Stage]:
    """Start everything for the length of the block; the clients do not begin by themselves."""
    with ExitStack() as stack:
        postgres = stack.enter_context(chaos_postgres(directory / "postgres", wal_disk))
        migrate(postgres.url)
        port = int(parse_dsn(postgres.url)["port"])
        database_proxy = stack.enter_context(proxy_to(port))
        url = make_dsn(postgres.url, host="127.0.0.1", port=database_proxy.port)
        server = stack.enter_context(chaos_server(url, options.workers, **SERVER_SETTINGS))
        client_proxy = stack.enter_context(proxy_to(server.port))
        traffic_options = TrafficOptions(
            port=client_proxy.port,
            clients=options.size.clients,
            rate=options.size.rate,
            seed=options.seed,
            history=history,
        )
        clients = stack.enter_context(traffic(traffic_options))
        yield Stage(postgres, server, database_proxy, client_proxy, clients, wal_disk)
