"""Readiness: the schema is the code's, the database takes writes and keeps what it commits."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from booking.app import Services, create_services
from booking.errors import NotReady
from booking.services.readiness import ReadinessService
from tests.support.factories import make_config
from tests.support.servers import free_port
from tests.support.snapshots import query


def readiness_of(parts: Services) -> ReadinessService:
    return ReadinessService(parts.db, statement_timeout_ms=5000)


def _check(url: str) -> None:
    parts = create_services(make_config(database_url=url))
    try:
        readiness_of(parts).check_readiness()
    finally:
        parts.pool.close()


def test_migrated_database_is_ready(database_url: str) -> None:
    _check(database_url)


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (
            "DELETE FROM schema_migrations WHERE name = '0003_current_views'",
            "0003_current_views is not applied",
        ),
        (
            "UPDATE schema_migrations SET sha256 = 'x' WHERE name = '0001_slots_and_bookings'",
            "0001_slots_and_bookings was changed",
        ),
        (
            "INSERT INTO schema_migrations (name, sha256) VALUES ('9999_later', repeat('0', 64))",
            "9999_later was applied",
        ),
        ("DROP TABLE schema_migrations", "0001_slots_and_bookings is not applied"),
        ("ALTER DATABASE {} SET default_transaction_read_only = on", "takes no writes"),
        ("ALTER DATABASE {} SET synchronous_commit = off", "synchronous_commit is off"),
    ],
    ids=["pending", "changed", "unknown", "unmigrated", "read only", "not durable"],
)
def test_what_keeps_bookings_from_being_served_is_named(
    new_database: Callable[..., str], statement: str, told: str
) -> None:
    url = new_database()
    [(name,)] = query(url, "SELECT quote_ident(current_database())")
    query(url, statement.format(name))
    with pytest.raises(NotReady, match=told):
        _check(url)


def test_several_faults_are_told_together(new_database: Callable[..., str]) -> None:
    url = new_database()
    [(name,)] = query(url, "SELECT quote_ident(current_database())")
    query(url, f"ALTER DATABASE {name} SET synchronous_commit = off")
    query(url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with pytest.raises(NotReady) as caught:
        _check(url)
    assert "takes no writes" in caught.value.detail
    assert "synchronous_commit" in caught.value.detail


def test_database_that_is_not_reached_is_not_ready() -> None:
    with pytest.raises(NotReady):
        _check(f"postgresql://booking@127.0.0.1:{free_port()}/booking")


def test_database_that_comes_back_is_ready_again(new_database: Callable[..., str]) -> None:
    url = new_database()
    parts = create_services(make_config(database_url=url))
    readiness = readiness_of(parts)
    readiness.check_readiness()
    query(
        url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    readiness.check_readiness()
    parts.pool.close()
