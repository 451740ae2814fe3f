"""Where the scenarios are run: a database and one or two servers on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from booking.db.connection import Connection, connect
from scripts.benchmark.database import (
    FIRST_HOT_SLOT,
    benchmark_database,
    insert_slots,
    server_version,
)
from scripts.benchmark.servers import Server, running_server

GROUPING_SETTINGS: Mapping[bool, Mapping[str, str]] = {
    True: {},
    False: {"GROUP_COMMIT_SIZE": "1"},
}
"""The server's settings with grouping on and off."""


@dataclass
class Stage:
    """Where the scenarios are run. The servers are by whether they group bookings."""

    conn: Connection
    dsn: str
    postgres_version: str
    servers: dict[bool, Server]
    _next_hot_slot: int = field(default=FIRST_HOT_SLOT)

    def new_hot_slot(self) -> range:
        """Make a slot that nobody booked yet."""
        slots = range(self._next_hot_slot, self._next_hot_slot + 1)
        self._next_hot_slot += 1
        insert_slots(self.conn, slots)
        return slots


@contextmanager
def opened_stage(
    directory: Path, grouping: Sequence[bool], settings: Mapping[str, str] | None = None
) -> Iterator[Stage]:
    """Start a database, and a server with each way of grouping. Raises NotRun."""
    with ExitStack() as stack:
        dsn = stack.enter_context(benchmark_database(directory / "postgres"))
        conn = stack.enter_context(closing(connect(dsn, application_name="benchmark")))
        servers = {
            is_on: stack.enter_context(
                running_server(
                    dsn,
                    directory / f"server-{'on' if is_on else 'off'}.log",
                    {**GROUPING_SETTINGS[is_on], **(settings or {})},
                )
            )
            for is_on in grouping
        }
        yield Stage(conn, dsn, server_version(conn), servers)
