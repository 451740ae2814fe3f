"""What each failure of the driver means to the domain, by its SQLSTATE."""

from __future__ import annotations

from typing import Any

import psycopg2
import pytest
from psycopg2 import errorcodes
from psycopg2.extensions import connection as PgConnection  # noqa: N812

from booking.db.constraints import DOMAIN_ERRORS, INTERNAL
from booking.db.failures import domain_error
from booking.errors import (
    Busy,
    ConnectionLost,
    DatabaseReadOnly,
    DatabaseUnavailable,
    DomainError,
    LockTimeout,
    TransactionConflict,
)


def _raised(conn: PgConnection, code: str) -> psycopg2.Error:
    """Let the server raise an error with the code."""
    with pytest.raises(psycopg2.Error) as caught, conn.cursor() as cursor:
        cursor.execute(f"DO $$BEGIN RAISE EXCEPTION 'planted' USING ERRCODE = '{code}'; END$$")
    assert caught.value.pgcode == code
    return caught.value


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        (errorcodes.SERIALIZATION_FAILURE, TransactionConflict),
        (errorcodes.DEADLOCK_DETECTED, TransactionConflict),
        (errorcodes.LOCK_NOT_AVAILABLE, LockTimeout),
        (errorcodes.QUERY_CANCELED, Busy),
        (errorcodes.ADMIN_SHUTDOWN, ConnectionLost),
        (errorcodes.CRASH_SHUTDOWN, ConnectionLost),
        (errorcodes.DATABASE_DROPPED, ConnectionLost),
        (errorcodes.IDLE_IN_TRANSACTION_SESSION_TIMEOUT, ConnectionLost),
        (errorcodes.CONNECTION_FAILURE, ConnectionLost),
        (errorcodes.CONNECTION_DOES_NOT_EXIST, ConnectionLost),
        (errorcodes.CANNOT_CONNECT_NOW, DatabaseUnavailable),
        (errorcodes.READ_ONLY_SQL_TRANSACTION, DatabaseReadOnly),
        (errorcodes.DISK_FULL, DatabaseUnavailable),
        (errorcodes.OUT_OF_MEMORY, DatabaseUnavailable),
        (errorcodes.TOO_MANY_CONNECTIONS, DatabaseUnavailable),
        (errorcodes.IO_ERROR, DatabaseUnavailable),
        (errorcodes.UNDEFINED_TABLE, DatabaseUnavailable),
        (errorcodes.UNDEFINED_COLUMN, DatabaseUnavailable),
        (errorcodes.UNDEFINED_FUNCTION, DatabaseUnavailable),
        (errorcodes.SYNTAX_ERROR, None),
        (errorcodes.DIVISION_BY_ZERO, None),
        (errorcodes.INVALID_TEXT_REPRESENTATION, None),
        (errorcodes.NUMERIC_VALUE_OUT_OF_RANGE, None),
        (errorcodes.NOT_NULL_VIOLATION, None),
        (errorcodes.RESTRICT_VIOLATION, None),
        (errorcodes.IN_FAILED_SQL_TRANSACTION, None),
    ],
)
def test_code_has_its_meaning(
    conn: PgConnection, code: str, meaning: type[DomainError] | None
) -> None:
    told = domain_error(_raised(conn, code), conn)
    assert type(told) is (meaning or type(None))


@pytest.mark.parametrize(
    ("constraint", "meaning"),
    [
        *DOMAIN_ERRORS.items(),
        *((name, None) for name in sorted(INTERNAL)[:3]),
        ("unheard_of", None),
    ],
)
def test_constraint_has_its_meaning(
    conn: PgConnection, constraint: str, meaning: type[DomainError] | None
) -> None:
    code = errorcodes.CHECK_VIOLATION
    with pytest.raises(psycopg2.Error) as caught, conn.cursor() as cursor:
        cursor.execute(
            f"DO $$BEGIN RAISE EXCEPTION 'planted' USING ERRCODE = '{code}', "
            f"CONSTRAINT = '{constraint}'; END$$"
        )
    assert type(domain_error(caught.value, conn)) is (meaning or type(None))


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (psycopg2.OperationalError("server closed the connection unexpectedly"), ConnectionLost),
        (psycopg2.InterfaceError("connection already closed"), ConnectionLost),
        (psycopg2.ProgrammingError("the query has no parameters"), type(None)),
        (psycopg2.DataError("a string cannot contain NUL"), type(None)),
    ],
)
def test_error_without_a_code(conn: PgConnection, error: psycopg2.Error, meaning: Any) -> None:
    assert type(domain_error(error, conn)) is meaning


def test_any_error_of_a_closed_connection_is_its_loss(database_url: str) -> None:
    conn = psycopg2.connect(database_url)
    error = _raised(conn, errorcodes.DIVISION_BY_ZERO)
    conn.close()
    assert type(domain_error(error, conn)) is ConnectionLost
