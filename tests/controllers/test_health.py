"""The probes: alive while the process lives, ready while bookings can be served."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from tests.controllers.answers import data_of, problem_of
from tests.support.factories import UNKNOWN_ID, booking_body
from tests.support.servers import free_port
from tests.support.snapshots import query

Clients = Callable[..., FlaskClient]


def test_health_is_ok(client: FlaskClient) -> None:
    assert data_of(client.get("/health")) == {"status": "ok"}


def test_ready_is_ok(client: FlaskClient) -> None:
    data_of(client.get("/ready"))


@pytest.fixture
def unreachable(make_client: Clients) -> FlaskClient:
    return make_client(database_url=f"postgresql://booking@127.0.0.1:{free_port()}/booking")


def test_health_needs_no_database(unreachable: FlaskClient) -> None:
    assert data_of(unreachable.get("/health")) == {"status": "ok"}


def test_ready_says_that_the_database_is_not_reached(unreachable: FlaskClient) -> None:
    problem_of(unreachable.get("/ready"), 503, "NOT_READY")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/slots"),
        ("GET", "/api/admin/audit"),
        ("POST", "/api/admin/expire-pending"),
        ("GET", f"/api/bookings/{UNKNOWN_ID}"),
    ],
)
def test_routes_say_that_the_database_is_not_reached(
    unreachable: FlaskClient, method: str, path: str
) -> None:
    problem_of(unreachable.open(path, method=method), 503, "DATABASE_UNAVAILABLE")


def test_booking_without_a_database_is_refused_as_not_done(unreachable: FlaskClient) -> None:
    body = booking_body(UNKNOWN_ID)
    problem_of(unreachable.post("/api/bookings", json=body), 503, "DATABASE_UNAVAILABLE")


def test_password_is_in_no_answer_and_no_log(
    make_client: Clients, capture_log: Callable[[str], object], caplog: pytest.LogCaptureFixture
) -> None:
    client = make_client(
        database_url=f"postgresql://booking:hunter2-planted@127.0.0.1:{free_port()}/booking"
    )
    with caplog.at_level("DEBUG"):
        answer = client.get("/ready")
    problem_of(answer, 503, "NOT_READY")
    assert "no connection to the database" in caplog.text
    assert "hunter2-planted" not in answer.get_data(as_text=True) + caplog.text


def test_ready_names_a_migration_that_is_missing(
    new_database: Callable[..., str], make_client: Clients
) -> None:
    url = new_database()
    query(url, "DELETE FROM schema_migrations WHERE name LIKE %s", "0004%")
    problem = problem_of(make_client(database_url=url).get("/ready"), 503, "NOT_READY")
    assert "0004_cursor_keys" in problem["detail"]


def test_ready_says_that_the_schema_is_missing(
    new_database: Callable[..., str], make_client: Clients
) -> None:
    client = make_client(database_url=new_database(migrated=False))
    problem_of(client.get("/ready"), 503, "NOT_READY")
    data_of(client.get("/health"))
