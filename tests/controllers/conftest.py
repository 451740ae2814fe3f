"""What tests of the API make through it, and what only time or an operator could do to the data."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from logging.config import DictConfigurator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from psycopg2.extensions import connection as PgConnection  # noqa: N812

from booking.app import create_app
from booking.config import Config
from booking.middleware.logs import logging_config
from booking.middleware.request_id import RequestIdFilter
from tests.controllers.answers import data_of
from tests.support.factories import booking_body, make_config, slot_body
from tests.support.servers import free_port

Maker = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def worker_app(worker_database_url: str) -> Iterator[Flask]:
    app = create_app(make_config(database_url=worker_database_url))
    yield app
    app.extensions["booking"].pool.close()


@pytest.fixture
def client(worker_app: Flask, database_url: str) -> FlaskClient:
    """A client of the whole application, in this process; its pool stays open between tests."""
    return worker_app.test_client()


@pytest.fixture(scope="session")
def offline() -> FlaskClient:
    """A client of the application with no database to reach: what it refuses needs none."""
    dsn = f"postgresql://booking@127.0.0.1:{free_port()}/booking"
    return create_app(make_config(database_url=dsn)).test_client()


@pytest.fixture
def make_client(database_url: str) -> Iterator[Callable[..., FlaskClient]]:
    """Makes clients of the application with settings other than the default ones."""
    with ExitStack() as stack:

        def make(**settings: Any) -> FlaskClient:
            config: Config = make_config(**{"database_url": database_url, **settings})
            app = create_app(config)
            stack.callback(app.extensions["booking"].pool.close)
            return app.test_client()

        yield make


@pytest.fixture
def new_slot(client: FlaskClient) -> Maker:
    """Makes a slot through the API and returns it."""

    def create(**fields: Any) -> dict[str, Any]:
        slot: dict[str, Any] = data_of(
            client.post("/api/admin/slots", json=slot_body(**fields)), 201
        )
        return slot

    return create


@pytest.fixture
def new_booking(client: FlaskClient) -> Maker:
    """Makes a booking through the API and returns it."""

    def create(slot_id: str, **fields: Any) -> dict[str, Any]:
        response = client.post("/api/bookings", json=booking_body(slot_id, **fields))
        booking: dict[str, Any] = data_of(response, 201)
        return booking

    return create


@pytest.fixture
def lapse(conn: PgConnection) -> Callable[[str], None]:
    """Lets a hold's time run out, unswept."""

    def do(booking_id: str) -> None:
        with conn.cursor() as cursor:
            cursor.execute(
                "UPDATE bookings SET expires_at = clock_timestamp() - interval '1 second' "
                "WHERE id = %s AND status = 'PENDING'",
                (booking_id,),
            )
            assert cursor.rowcount == 1

    return do


@pytest.fixture
def begin(conn: PgConnection) -> Callable[[str], None]:
    """Lets a slot's start pass."""

    def do(slot_id: str) -> None:
        with conn.cursor() as cursor:
            cursor.execute(
                "UPDATE slots SET start_time = clock_timestamp() - interval '1 second' "
                "WHERE id = %s",
                (slot_id,),
            )
            assert cursor.rowcount == 1

    return do


class Log:
    """What the application logged, as its formatter writes it."""

    def __init__(self, stream: io.StringIO) -> None:
        self._stream = stream

    @property
    def text(self) -> str:
        return self._stream.getvalue()

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


@pytest.fixture
def capture_log() -> Iterator[Callable[[str], Log]]:
    """Writes the application's log, as text or as json, to where a test reads it."""
    logger = logging.getLogger("booking")
    level = logger.level
    handlers: list[logging.Handler] = []

    def start(log_format: str) -> Log:
        settings = logging_config(level="info", log_format=log_format)
        stream = io.StringIO()
        handler = logging.StreamHandler(stream)
        configurator = DictConfigurator(settings)
        handler.setFormatter(configurator.configure_formatter(settings["formatters"][log_format]))
        handler.addFilter(RequestIdFilter())
        handlers.append(handler)
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        return Log(stream)

    yield start
    for handler in handlers:
        logger.removeHandler(handler)
    logger.setLevel(level)
