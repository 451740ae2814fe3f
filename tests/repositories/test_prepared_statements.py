"""What is asked often is prepared on each pooled connection, and asked all the same where that
cannot be: within a transaction, on a session that a pooler changed, after a change of the schema.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg2
import pytest
from psycopg2.extensions import connection as PgConnection  # noqa: N812

from booking.db.connection import PooledConnection, pool_parameters
from booking.db.prepared import RUNS_OF_A_PLAN
from booking.repositories import bookings
from tests.support.factories import UNKNOWN_ID
from tests.support.snapshots import query

STATEMENTS = "SELECT name, prepare_time, generic_plans + custom_plans FROM pg_prepared_statements"


def connect(url: str) -> PooledConnection:
    conn = psycopg2.connect(url, **pool_parameters(statement_timeout_ms=5000, lock_timeout_ms=2000))
    assert isinstance(conn, PooledConnection)
    return conn


@pytest.fixture
def pooled(database_url: str) -> Iterator[PooledConnection]:
    conn = connect(database_url)
    yield conn
    conn.close()


def read_statements(conn: PgConnection) -> list[tuple[str, str, int]]:
    with conn.cursor() as cursor:
        cursor.execute(STATEMENTS)
        return cursor.fetchall()


def execute(conn: PgConnection, statement: str) -> None:
    with conn.cursor() as cursor:
        cursor.execute(statement)


def ask(conn: PgConnection) -> None:
    assert bookings.find_booking(conn, UNKNOWN_ID, None) is None


def test_statement_is_prepared_once(pooled: PooledConnection) -> None:
    for _ in range(3):
        ask(pooled)
    [(_, _, runs)] = read_statements(pooled)
    assert runs == 3


def test_plan_is_made_anew_now_and_then(pooled: PooledConnection) -> None:
    for _ in range(RUNS_OF_A_PLAN):
        ask(pooled)
    [(name, before, runs)] = read_statements(pooled)
    assert runs == RUNS_OF_A_PLAN
    ask(pooled)
    [(again, after, runs)] = read_statements(pooled)
    assert (again, runs) == (name, 1)
    assert after > before


def test_nothing_is_prepared_within_a_transaction(pooled: PooledConnection) -> None:
    execute(pooled, "BEGIN")
    ask(pooled)
    execute(pooled, "COMMIT")
    assert read_statements(pooled) == []


def test_nothing_is_prepared_on_other_connections(conn: PgConnection) -> None:
    ask(conn)
    assert read_statements(conn) == []


def test_session_without_the_statement(pooled: PooledConnection) -> None:
    ask(pooled)
    execute(pooled, "DEALLOCATE ALL")
    ask(pooled)
    ask(pooled)
    assert not pooled.prepares
    assert read_statements(pooled) == []


def test_session_that_another_client_prepared(database_url: str, pooled: PooledConnection) -> None:
    other = connect(database_url)
    ask(other)
    [(name, _, _)] = read_statements(other)
    other.close()
    execute(pooled, f"PREPARE {name} AS SELECT 'not ours'")
    ask(pooled)
    assert not pooled.prepares


def test_columns_that_changed_their_type(new_database: Callable[..., str]) -> None:
    url = new_database()
    conn = connect(url)
    ask(conn)
    [(definition,)] = query(url, "SELECT pg_get_viewdef('current_bookings')")
    assert "b.num_seats," in definition
    query(url, "DROP VIEW current_bookings")
    wider = definition.replace("b.num_seats,", "b.num_seats::bigint AS num_seats,")
    query(url, f"CREATE VIEW current_bookings AS {wider}")
    ask(conn)
    conn.close()
