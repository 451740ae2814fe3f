"""What failures of the driver say, and mean to the domain (PostgreSQL, appendix "Error Codes")."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import psycopg2
from psycopg2 import errorcodes

from booking.db.connection import Connection
from booking.db.constraints import DOMAIN_ERRORS
from booking.errors import (
    Busy,
    ConnectionLost,
    DatabaseReadOnly,
    DatabaseUnavailable,
    DomainError,
    LockTimeout,
    TransactionConflict,
)

_LOST = {
    errorcodes.ADMIN_SHUTDOWN,
    errorcodes.CRASH_SHUTDOWN,
    errorcodes.DATABASE_DROPPED,
    errorcodes.IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
}
# "unsupported startup parameter: options", and since 1.20 "… in options: lock_timeout".
_REFUSED_BY_PGBOUNCER = re.compile(r"unsupported startup parameter(?:: | in )(\w+)")
# Every statement is prepared against the migrated schema in a test: what one of them does not find
# is not there yet, or not any more, in this database.
_OTHER_SCHEMA = {
    errorcodes.UNDEFINED_TABLE,
    errorcodes.UNDEFINED_COLUMN,
    errorcodes.UNDEFINED_FUNCTION,
}
_MEANINGS: Mapping[str, Callable[[], DomainError]] = {
    errorcodes.SERIALIZATION_FAILURE: TransactionConflict,
    errorcodes.DEADLOCK_DETECTED: TransactionConflict,
    errorcodes.LOCK_NOT_AVAILABLE: LockTimeout,
    errorcodes.QUERY_CANCELED: lambda: Busy("The database took too long."),
    errorcodes.CANNOT_CONNECT_NOW: DatabaseUnavailable,
    errorcodes.READ_ONLY_SQL_TRANSACTION: DatabaseReadOnly,
    **dict.fromkeys(
        _OTHER_SCHEMA, lambda: DatabaseUnavailable("The database has not this release's schema.")
    ),
}
_CLASS_MEANINGS: Mapping[str, Callable[[], DomainError]] = {
    errorcodes.CLASS_CONNECTION_EXCEPTION: ConnectionLost,
    errorcodes.CLASS_INSUFFICIENT_RESOURCES: lambda: DatabaseUnavailable(
        "The database is short of disk, memory or connections."
    ),
    errorcodes.CLASS_SYSTEM_ERROR: DatabaseUnavailable,
}


def one_line(error: Exception) -> str:
    """Return what an error says without the line breaks that libpq puts into it, and what to do
    where a pooler refuses how a connection begins.
    """
    text = " ".join(str(error).split())
    if refused := _REFUSED_BY_PGBOUNCER.search(text):
        setting = f"ignore_startup_parameters = {refused[1]}"
        return f"{text} (PgBouncer needs {setting}; see docs/DEPLOYMENT.md)"
    return text


def domain_error(error: psycopg2.Error, conn: Connection) -> DomainError | None:
    """Return what the error means, or None where it is a defect of ours."""
    code = error.pgcode or ""
    if _is_lost(error, code, conn):
        return ConnectionLost()
    if isinstance(error, psycopg2.IntegrityError):
        constraint = DOMAIN_ERRORS.get(error.diag.constraint_name or "")
        return constraint() if constraint else None
    meaning = _MEANINGS.get(code) or _CLASS_MEANINGS.get(code[:2])
    return meaning() if meaning else None


def _is_lost(error: psycopg2.Error, code: str, conn: Connection) -> bool:
    if conn.closed or code in _LOST:
        return True
    # libpq reports a broken socket with no code at all.
    return not code and isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError)
