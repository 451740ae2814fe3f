"""Names are UTF-8, whatever a database, a role or an environment says; else nothing is served."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from psycopg2.extensions import make_dsn

from booking.app import create_services
from booking.db.migrations import MigrationError, migrate
from booking.errors import NotReady
from booking.services.readiness import ReadinessService
from tests.support.apps import running_app
from tests.support.factories import make_config, unique
from tests.support.snapshots import query

# The first is in LATIN1, the second in no encoding of one byte.
NAMES = ("Dr. Müller", "Dr. 王 🦷")


@pytest.fixture(params=["SQL_ASCII", "LATIN1"])
def other_encoding(server_url: str, request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """The address of an empty database that is not in UTF-8, and its encoding."""
    name, encoding = unique("encoded").replace("-", "_"), request.param
    query(
        server_url,
        f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LOCALE_PROVIDER libc"
        " LC_COLLATE 'C' LC_CTYPE 'C'",
    )
    yield make_dsn(server_url, dbname=name), encoding
    query(server_url, f"DROP DATABASE {name} WITH (FORCE)")


def test_database_of_another_encoding_is_not_migrated(other_encoding: tuple[str, str]) -> None:
    url, encoding = other_encoding
    with pytest.raises(MigrationError, match=f"{encoding}.*ENCODING 'UTF8'") as caught:
        migrate(url, patience_seconds=0)
    assert "\n" not in str(caught.value)
    assert query(url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


def test_database_of_another_encoding_is_not_ready(other_encoding: tuple[str, str]) -> None:
    url, encoding = other_encoding
    parts = create_services(make_config(database_url=url))
    with pytest.raises(NotReady, match=f"{encoding}.*ENCODING 'UTF8'"):
        ReadinessService(parts.db, statement_timeout_ms=5000).check_readiness()
    parts.pool.close()


def by_database(url: str, _: pytest.MonkeyPatch) -> str:
    [(name,)] = query(url, "SELECT quote_ident(current_database())")
    query(url, f"ALTER DATABASE {name} SET client_encoding = 'LATIN1'")
    return url


def by_environment(url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PGCLIENTENCODING", "SQL_ASCII")
    return url


def by_url(url: str, _: pytest.MonkeyPatch) -> str:
    return make_dsn(url, client_encoding="LATIN1")


@pytest.mark.parametrize("ask_for_another", [by_database, by_environment, by_url])
def test_encoding_of_the_client_is_ours(
    new_database: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    ask_for_another: Callable[[str, pytest.MonkeyPatch], str],
) -> None:
    url = ask_for_another(new_database(migrated=False), monkeypatch)
    migrate(url, patience_seconds=0)
    with running_app(url) as api:
        for name in NAMES:
            slot_id = api.create_slot(doctor_name=name)
            booking_id = api.make_booking(slot_id, user_id=name)
            assert api.get_slot(slot_id).data["doctor_name"] == name
            assert api.get_booking(booking_id).data["user_id"] == name
