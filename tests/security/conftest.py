"""The application with tokens, in this process and as a server; and what its tables hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from flask import Flask
from flask.testing import FlaskClient
from psycopg2.extensions import connection as PgConnection  # noqa: N812

from booking.app import create_app
from tests.security.callers import AUTH, SECRET
from tests.support.factories import make_config
from tests.support.servers import LiveServer

# What an operator sets, beside the database.
SETTINGS = {
    "json": {"APP_ENV": "production", "HOST": "127.0.0.1", "LOG_FORMAT": "json"},
    "text": {"APP_ENV": "development", "LOG_FORMAT": "text"},
}


@pytest.fixture(scope="session")
def guarded_app(worker_database_url: str) -> Iterator[Flask]:
    app = create_app(make_config(database_url=worker_database_url, auth=AUTH))
    yield app
    app.extensions["booking"].pool.close()


@pytest.fixture
def guarded(guarded_app: Flask, database_url: str) -> FlaskClient:
    """A client of the application in this process, AUTH_MODE=jwt."""
    return guarded_app.test_client()


@pytest.fixture(scope="session")
def worker_guarded_servers(worker_database_url: str) -> Iterator[Callable[[str], LiveServer]]:
    with ExitStack() as stack:
        running: dict[str, LiveServer] = {}

        def get(log_format: str) -> LiveServer:
            if log_format not in running:
                running[log_format] = stack.enter_context(
                    LiveServer(
                        worker_database_url,
                        AUTH_MODE="jwt",
                        AUTH_JWT_SECRET=SECRET,
                        **SETTINGS[log_format],
                    )
                )
            return running[log_format]

        yield get


@pytest.fixture
def guarded_server(
    worker_guarded_servers: Callable[[str], LiveServer], database_url: str
) -> Callable[[str], LiveServer]:
    """gunicorn with tokens: "json" in production, "text" in development; shared by the tests."""
    return worker_guarded_servers


@pytest.fixture
def rows_of(conn: PgConnection) -> Callable[[str], list[object]]:
    """Returns all that is stored of a slot: its row, its bookings and their events."""

    def read(slot_id: str) -> list[object]:
        rows: list[object] = []
        with conn.cursor() as cursor:
            for table, column in (
                ("slots", "id"),
                ("bookings", "slot_id"),
                ("booking_events", "slot_id"),
            ):
                cursor.execute(f"SELECT * FROM {table} WHERE {column} = %s ORDER BY id", [slot_id])
                rows += cursor.fetchall()
        return rows

    return read
