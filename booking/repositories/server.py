"""What the database server says of itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from booking.db.connection import Connection, find_encoding_fault
from booking.db.migrations import MigrationError, find_pending, load_migrations
from booking.db.queries import load_queries

_queries = load_queries("server")
_migrations = load_migrations()


@dataclass(frozen=True)
class ServerState:
    """The settings of a server that bookings rest on."""

    version_num: int
    is_read_only: bool
    has_fsync: bool
    has_full_page_writes: bool
    has_synchronous_commit: bool


def get_server_state(conn: Connection) -> ServerState:
    """Return what the server says of its durability and of taking writes."""
    return ServerState(*_queries.read_server_state(conn))


def commit_nothing(conn: Connection) -> None:
    """Commit as a booking does, and change nothing. Needs a connection in autocommit."""
    _queries.commit_nothing(conn)


def list_encoding_faults(conn: Connection) -> Sequence[str]:
    """Return why the database cannot hold every name; nothing when it can."""
    fault = find_encoding_fault(conn)
    return [fault] if fault else []


def list_schema_faults(conn: Connection) -> Sequence[str]:
    """Return why the schema is not the one that this code was written for; nothing when it is."""
    try:
        pending = find_pending(conn, _migrations)
    except MigrationError as error:
        return [str(error)]
    return [f"migration {migration.name} is not applied" for migration in pending]
