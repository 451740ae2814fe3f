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
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from psycopg2 import errorcodes

from booking.config import PROJECT_ROOT
from booking.db.backoff import Backoff
from booking.db.connection import Connection, connect, find_encoding_fault
from booking.db.failures import domain_error, one_line
from booking.db.queries import load_queries
from booking.db.transaction import transaction
from booking.errors import ConnectionLost, OutcomeUnknown

MIGRATIONS = PROJECT_ROOT / "sql" / "migrations"
OLDEST_SERVER_VERSION_NUM = 150_000
OUTSIDE_TRANSACTION = "-- transaction: none"
# Any two numbers will do, as long as nothing else in the database uses them.
LOCK_SPACE, LOCK_NUMBER = 0x626F6F6B, 0x696E67
LOCK_POLL_SECONDS = 0.1
# A change of a table waits no longer than this for those who use it; they would queue up behind it.
DDL_LOCK_TIMEOUT = "5s"
PATIENCE_SECONDS = 120.0

_PASSING = {
    errorcodes.DEADLOCK_DETECTED,
    errorcodes.LOCK_NOT_AVAILABLE,
    errorcodes.SERIALIZATION_FAILURE,
    errorcodes.DISK_FULL,
    errorcodes.OUT_OF_MEMORY,
    errorcodes.IO_ERROR,
    errorcodes.READ_ONLY_SQL_TRANSACTION,
}

logger = logging.getLogger(__name__)
_queries = load_queries("schema_migrations")


class MigrationError(Exception):
    """The schema cannot be brought up to date; one line says why."""


class MigrationInterrupted(MigrationError):
    """What was in the way may pass, and to migrate again goes on where this stopped."""


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


def migrate(
    dsn: str, folder: Path = MIGRATIONS, *, patience_seconds: float = PATIENCE_SECONDS
) -> list[str]:
    """Bring the schema up to date and return the names of the files that this call is known to have
    applied.

    Several may call at once: one applies, the others wait for it. What may pass is tried again as
    long as the patience lasts. A file that fails leaves nothing of itself behind, but for an index
    that is not valid where it runs outside a transaction, and the ones before it stand. Raises
    MigrationInterrupted when the patience has run out, MigrationError for what will not pass, and
    psycopg2.OperationalError when the server is not reached.
    """
    migrations = load_migrations(folder)
    patience = Backoff(patience_seconds)
    applied: list[str] = []
    was_reached = False
    while True:
        try:
            with closing(connect(dsn, application_name="booking migrate")) as conn:
                was_reached = True
                _bring_up_to_date(conn, migrations, applied, patience)
        except (MigrationInterrupted, psycopg2.OperationalError) as error:
            if not was_reached:
                raise
            patience.rest(error, try_began=time.monotonic())
        else:
            return applied


def _bring_up_to_date(
    conn: Connection, migrations: list[Migration], applied: list[str], patience: Backoff
) -> None:
    if conn.info.server_version < OLDEST_SERVER_VERSION_NUM:
        raise MigrationError(
            f"PostgreSQL 15 or newer is needed, this server is {conn.info.server_version}"
        )
    if encoding_fault := find_encoding_fault(conn):
        raise MigrationError(encoding_fault)
    with _told(conn, "schema_migrations"):
        # What is wrong with the files is told without waiting for another server.
        if not find_pending(conn, migrations):
            return
        with _migration_lock(conn, patience):
            _queries.create_schema_migrations(conn)
            for migration in find_pending(conn, migrations):
                _apply_patiently(conn, migration, patience)
                applied.append(migration.name)


@contextmanager
def _told(conn: Connection, what: str) -> Iterator[None]:
    """Say of a failure what it is of, in one line, and whether it may pass."""
    try:
        yield
    except OutcomeUnknown as error:
        # What was committed is recorded, so the next try finds out.
        raise MigrationInterrupted(f"{what}: the connection was lost at the commit") from error
    except psycopg2.Error as error:
        is_lost = isinstance(domain_error(error, conn), ConnectionLost)
        kind = MigrationInterrupted if is_lost or error.pgcode in _PASSING else MigrationError
        raise kind(f"{what}: {one_line(error)}") from error


@contextmanager
def _migration_lock(conn: Connection, patience: Backoff) -> Iterator[None]:
    while not _queries.try_lock_migrations(conn, space=LOCK_SPACE, number=LOCK_NUMBER):
        if patience.is_over():
            raise MigrationInterrupted("another server is migrating")
        time.sleep(LOCK_POLL_SECONDS)
    try:
        yield
    finally:
        if not conn.closed:
            _queries.unlock_migrations(conn, space=LOCK_SPACE, number=LOCK_NUMBER)


def _apply_patiently(conn: Connection, migration: Migration, patience: Backoff) -> None:
    """Rests with the lock of migrations held: others who waited for it would not rest."""
    while True:
        logger.info("applying %s", migration.name)
        try_began = time.monotonic()
        try:
            with _told(conn, migration.name):
                return _apply(conn, migration)
        except MigrationInterrupted as error:
            if conn.closed:
                raise
            patience.rest(error, try_began=try_began)


def _apply(conn: Connection, migration: Migration) -> None:
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


def _refuse_invalid_indexes(conn: Connection, migration: Migration) -> None:
    if names := [name for (name,) in _queries.list_invalid_indexes(conn)]:
        raise MigrationError(
            f"{migration.name}: {', '.join(names)} is not valid; drop it, and start again"
        )


def _record(conn: Connection, migration: Migration) -> None:
    _queries.insert_applied_migration(conn, name=migration.name, sha256=migration.sha256)
