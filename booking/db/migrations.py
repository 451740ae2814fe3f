"""Applies ``sql/migrations``: forward only, one transaction a file, one server at a time.

A file whose first line is ``-- transaction: none`` holds one statement that PostgreSQL runs outside
a transaction only (CREATE INDEX CONCURRENTLY); it must be written to be run again. An index that it
left half-made stands under its name and serves nothing: the file is not applied while it is there.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2

from booking.config import PROJECT_ROOT
from booking.db.connection import Connection, connect
from booking.db.queries import load_queries
from booking.db.transaction import transaction

MIGRATIONS = PROJECT_ROOT / "sql" / "migrations"
OLDEST_SERVER_VERSION_NUM = 150_000
OUTSIDE_TRANSACTION = "-- transaction: none"
# Any number will do, as long as nothing else in the database uses it.
LOCK_KEY = 0x626F6F6B696E67
LOCK_PATIENCE_SECONDS = 120
LOCK_POLL_SECONDS = 0.1
# A change of a table waits no longer than this for those who use it; they would queue up behind it.
DDL_LOCK_TIMEOUT = "5s"

logger = logging.getLogger(__name__)
_queries = load_queries("schema_migrations")


class MigrationError(Exception):
    """The schema cannot be brought up to date; one line says why."""


@dataclass(frozen=True)
class Migration:
    """One file of ``sql/migrations``."""

    name: str
    sql: str
    sha256: str

    @property
    def runs_in_transaction(self) -> bool:
        """Whether the file is applied within a transaction, as all are but the marked."""
        return not self.sql.startswith(OUTSIDE_TRANSACTION)


def load_migrations(folder: Path = MIGRATIONS) -> list[Migration]:
    """Return the folder's files in the order in which they are applied: by name."""
    return [
        Migration(path.stem, path.read_text("utf-8"), hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(folder.glob("*.sql"))
    ]


def find_pending(conn: Connection, migrations: list[Migration]) -> list[Migration]:
    """Return what is yet to be applied.

    Raises MigrationError when a file was changed or removed after it was applied.
    """
    applied: Mapping[str, str] = (
        dict(_queries.list_applied_migrations(conn)) if _queries.has_schema_migrations(conn) else {}
    )
    known = {migration.name: migration.sha256 for migration in migrations}
    for name, sha256 in applied.items():
        if name not in known:
            raise MigrationError(f"{name} was applied to this database and is not among the files")
        if known[name] != sha256:
            raise MigrationError(
                f"{name} was changed after it was applied; write a new file instead"
            )
    return [migration for migration in migrations if migration.name not in applied]


def migrate(dsn: str, folder: Path = MIGRATIONS) -> list[str]:
    """Bring the schema up to date and return the names of the files that were applied.

    Several may call at once: one applies, the others wait for it. Raises MigrationError, and
    psycopg2.OperationalError when the server is not reached. A file that fails leaves nothing of
    itself behind, and the ones before it stand.
    """
    conn = connect(dsn, application_name="booking migrate")
    try:
        if conn.info.server_version < OLDEST_SERVER_VERSION_NUM:
            raise MigrationError(
                f"PostgreSQL 15 or newer is needed, this server is {conn.info.server_version}"
            )
        with _migration_lock(conn):
            _queries.create_schema_migrations(conn)
            pending = find_pending(conn, load_migrations(folder))
            for migration in pending:
                _apply(conn, migration)
            return [migration.name for migration in pending]
    finally:
        conn.close()


@contextmanager
def _migration_lock(conn: Connection) -> Iterator[None]:
    deadline = time.monotonic() + LOCK_PATIENCE_SECONDS
    while not _queries.try_lock_migrations(conn, key=LOCK_KEY):
        if time.monotonic() > deadline:
            raise MigrationError("another server has been migrating for too long")
        time.sleep(LOCK_POLL_SECONDS)
    try:
        yield
    finally:
        if not conn.closed:
            _queries.unlock_migrations(conn, key=LOCK_KEY)


def _apply(conn: Connection, migration: Migration) -> None:
    logger.info("applying %s", migration.name)
    try:
        with conn.cursor() as cursor:
            if migration.runs_in_transaction:
                with transaction(conn):
                    cursor.execute(f"SET LOCAL lock_timeout = '{DDL_LOCK_TIMEOUT}'")
                    cursor.execute(migration.sql)
                    _record(conn, migration)
            else:
                cursor.execute(migration.sql)
                _refuse_invalid_indexes(conn, migration)
                _record(conn, migration)
    except psycopg2.Error as error:
        raise MigrationError(f"{migration.name}: {' '.join(str(error).split())}") from error


def _refuse_invalid_indexes(conn: Connection, migration: Migration) -> None:
    if names := [name for (name,) in _queries.list_invalid_indexes(conn)]:
        raise MigrationError(
            f"{migration.name}: {', '.join(names)} is not valid; drop it, and start again"
        )


def _record(conn: Connection, migration: Migration) -> None:
    _queries.insert_applied_migration(conn, name=migration.name, sha256=migration.sha256)
